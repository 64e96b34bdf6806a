"""Several processes, one training: each rank takes its slice of every global batch.

    with from_environment() as group:          # one process: a group of one, in which every method does nothing
        train(trials, group=group, …)

Under `torchrun` the group is torch's: nccl on GPUs, gloo on CPUs. The global batch stays what the configuration says.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Group:
    """The processes that train together. This one, of size 1, is a training in one process."""

    rank: int = 0
    world_size: int = 1

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """This rank's slice of the global batch [start, stop): contiguous, sizes differ by at most one."""
        count = stop - start
        return start + count * self.rank // self.world_size, start + count * (self.rank + 1) // self.world_size

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module whose backward leaves the group's mean gradient in `model`'s parameters."""
        return model

    def align(self, model: nn.Module) -> None:
        """Rank 0's buffers on every rank: DDP sends them before a training step, so the last step's are missing."""

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Sum over ranks, the same on each; in place."""
        return tensor

    def from_first(self, value: Any) -> Any:
        """Rank 0's picklable value, on every rank."""
        return value


@dataclass(frozen=True)
class TorchGroup(Group):
    """torch.distributed's default group."""

    def wrap(self, model: nn.Module) -> nn.Module:
        """DistributedDataParallel around `model`: its backward averages gradients over the ranks."""
        return DistributedDataParallel(model)

    def align(self, model: nn.Module) -> None:
        """Broadcast the buffers (BatchNorm's running statistics) of rank 0's model, in place."""
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, src=0)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """All-reduce, in place."""
        torch.distributed.all_reduce(tensor)
        return tensor

    def from_first(self, value: Any) -> Any:
        """Broadcast, by pickle."""
        box = [value]
        torch.distributed.broadcast_object_list(box, src=0)
        return box[0]


SOLO = Group()


@contextlib.contextmanager
def from_environment() -> Iterator[Group]:
    """The group that `torchrun` describes (RANK, WORLD_SIZE, …), or a group of one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield SOLO
        return
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield TorchGroup(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def default_device() -> torch.device:
    """This process's device: the GPU of its local rank if there are any, else the CPU."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
