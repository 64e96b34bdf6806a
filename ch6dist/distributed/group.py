"""Several processes, one training: each rank takes its slice of every global batch.

    with from_environment() as group:          # one process: a group of one, in which every method does nothing
        train(trials, group=group, …)

Under `torchrun` the group is torch's: nccl on GPUs, gloo on CPUs. The global batch stays what the configuration says.
Processes that somebody else started meet at a store:

    store = rendezvous(address, world_size)                     # rank 0, which tells the others its address and port
    store = connect(address, port, world_size)                  # the others
    with process_group(store, rank=rank, world_size=world_size, address=own_address, device=device) as group:
        train(trials, group=group, …)
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import nn
from torch.distributed import DistStoreError, TCPStore
from torch.nn.parallel import DistributedDataParallel

from ch6dist.distributed.batch_norm import over_all_ranks
from ch6dist.distributed.environment import read_rank
from ch6dist.errors import InputError, UsageError
from ch6dist.host.interfaces import interface_of
from ch6dist.packs import share

CONNECT_TIMEOUT = timedelta(minutes=5)  # within which all ranks must connect
# Long, because rank 0 may wait for its driver inside a collective. Whoever started the ranks notices when one dies.
COLLECTIVE_TIMEOUT = timedelta(days=1)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Group:
    """The processes that train together. This one, of size 1, is a training in one process."""

    rank: int = 0
    world_size: int = 1

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """Return this rank's slice of the global batch [start, stop)."""
        return share(start, stop, rank=self.rank, world_size=self.world_size)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the module whose backward leaves the group's mean gradient in `model`'s parameters."""
        return model

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum `tensor` over the ranks, in place, and return it: equal on each."""
        return tensor

    def from_rank_zero(self, value: Any) -> Any:
        """Return rank 0's picklable value, on every rank."""
        return value

    def on_rank_zero(self, action: Callable[[], Result]) -> Result:
        """Call `action` on rank 0 alone; return its (picklable) result, or raise its error, on every rank."""
        found: tuple[Any, Exception | None] = None, None
        if self.rank == 0:
            try:
                found = action(), None
            except Exception as error:
                self.from_rank_zero((None, _portable(error)))
                raise
        value, raised = self.from_rank_zero(found)
        if raised is not None:
            raise raised
        result: Result = value
        return result


@dataclass(frozen=True)
class TorchGroup(Group):
    """torch.distributed's default group."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return DistributedDataParallel around `model`: its backward averages gradients over the ranks.

        Buffers are not broadcast: batch normalisation over all ranks computes the same ones on each.
        """
        parallel = DistributedDataParallel(over_all_ranks(model))
        parallel.broadcast_buffers = False  # torch renamed the argument, not the attribute
        return parallel

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """All-reduce `tensor`, in place, and return it."""
        torch.distributed.all_reduce(tensor)
        return tensor

    def from_rank_zero(self, value: Any) -> Any:
        """Broadcast `value`, by pickle, and return rank 0's."""
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]


SOLO = Group()


def _portable(error: Exception) -> Exception:
    """Return `error`, or one with its text where it does not survive pickling."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is made again
        return RuntimeError(f"rank 0: {type(error).__name__}: {error}")
    return error


@contextlib.contextmanager
def from_environment() -> Iterator[Group]:
    """Join the group that `torchrun` describes (RANK, WORLD_SIZE, …), or a group of one.

    Raises InputError or UsageError for an environment that describes none, or whose ranks cannot meet.
    """
    info = read_rank()
    device = default_device(local_rank=info.local_rank)
    if info.world_size == 1:
        yield SOLO
        return
    with contextlib.ExitStack() as stack:
        try:
            store, rank, world_size = next(torch.distributed.rendezvous("env://", timeout=CONNECT_TIMEOUT))
            _meet(store, rank=rank, world_size=world_size)
            how = {"store": store, "rank": rank, "world_size": world_size}
            group = stack.enter_context(_joined(backend="nccl" if device.type == "cuda" else "gloo", **how))
        except torch.distributed.DistError as error:  # the port is taken, nobody answers
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise UsageError(f"the ranks cannot meet at {where}: {str(error).splitlines()[0]}") from None
        yield group


def rendezvous(host: str, world_size: int) -> TCPStore:
    """Create the store at which the ranks of one group meet, on rank 0's own address `host`; return it without waiting.

    The system chooses `store.port`. The store listens on that address only, as long as the object lives.
    """
    listening = socket.create_server((host, 0))
    port = listening.getsockname()[1]
    descriptor = listening.detach()  # the store closes it
    return TCPStore(
        host,
        port,
        world_size,
        is_master=True,
        wait_for_workers=False,
        timeout=CONNECT_TIMEOUT,
        master_listen_fd=descriptor,
    )


def connect(host: str, port: int, world_size: int) -> TCPStore:
    """Connect another rank to the store that `rendezvous` made.

    Raises torch.distributed.DistNetworkError where nothing answers.
    """
    return TCPStore(host, port, world_size, is_master=False, wait_for_workers=False, timeout=CONNECT_TIMEOUT)


@contextlib.contextmanager
def process_group(
    store: TCPStore, *, rank: int, world_size: int, address: str, device: torch.device | None = None
) -> Iterator[TorchGroup]:
    """Form the group of the ranks that meet at `store`; it ends with the block, also after an error.

    Args:
        store: from `rendezvous` on rank 0, from `connect` elsewhere.
        rank: this process's, from 0.
        world_size: number of ranks.
        address: this host's, as the others connect to it: their traffic takes the interface that holds it, unless
            GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME names another already.
        device: this process's GPU, for nccl; anything else is gloo.

    Raises InputError for an address that is not this host's, torch.distributed.DistStoreError naming the ranks that
    have not connected within CONNECT_TIMEOUT.
    """
    on_gpu = device is not None and device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(device)  # torch sends objects through the current one
    interface = interface_of(address)
    _meet(store, rank=rank, world_size=world_size)
    with (
        _environment(GLOO_SOCKET_IFNAME=interface, NCCL_SOCKET_IFNAME=f"={interface}"),  # "=": NCCL's sign for exactly
        _joined(
            backend="nccl" if on_gpu else "gloo",
            store=store,
            rank=rank,
            world_size=world_size,
            device_id=device if on_gpu else None,
        ) as group,
    ):
        yield group


def _meet(store: TCPStore, *, rank: int, world_size: int) -> None:
    """Wait until every rank has connected: torch's own wait would last as long as a collective may."""
    store.set(f"here/{rank}", "")
    try:
        store.wait([f"here/{peer}" for peer in range(world_size)], CONNECT_TIMEOUT)
    except DistStoreError as error:
        missing = [peer for peer in range(world_size) if not store.check([f"here/{peer}"])]
        raise DistStoreError(f"ranks {missing} of {world_size} did not connect within {CONNECT_TIMEOUT}") from error


@contextlib.contextmanager
def _joined(**how: Any) -> Iterator[TorchGroup]:
    # torch imports it at the first DistributedDataParallel; it keeps the default group of that moment, ports and all
    importlib.import_module("torch._dynamo")
    torch.distributed.init_process_group(timeout=COLLECTIVE_TIMEOUT, **how)
    try:
        yield TorchGroup(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


@contextlib.contextmanager
def _environment(**defaults: str) -> Iterator[None]:
    """Set variables of this process that are not set yet, for the length of the block."""
    added = {name: value for name, value in defaults.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def default_device(*, local_rank: int | None = None) -> torch.device:
    """Return this process's device: its current GPU if there are any, else the CPU.

    Args:
        local_rank: the number of the GPU that becomes the current one.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if local_rank is not None:
        if local_rank >= torch.cuda.device_count():
            allowed = f"less than the {torch.cuda.device_count()} GPUs of this host (from the environment)"
            raise InputError("LOCAL_RANK", local_rank, allowed)
        torch.cuda.set_device(local_rank)
    return torch.device("cuda", torch.cuda.current_device())
