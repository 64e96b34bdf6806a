"""Real processes that train together over gloo, as those of a cluster do: what tests of distributed training share.

in_ranks(3, tmp_path, target, *arguments)      # [rank]: what target(group, folder, *arguments) returned there
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from ch6dist.distributed.group import connect, process_group, rendezvous
from tests.support.trials import PROCESSES

HOST = "127.0.0.1"


def in_ranks(world_size: int, folder: Path, target: Callable[..., Any], *arguments: Any) -> list[Any]:
    """[rank]: what `target(group, folder, *arguments)` returned."""
    with started(world_size, folder, target, *arguments) as processes:
        pass
    assert [process.exitcode for process in processes] == [0] * world_size
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(world_size)]


@contextlib.contextmanager
def started(world_size: int, folder: Path, target: Callable[..., Any], *arguments: Any) -> Iterator[list[Any]]:
    """The processes, joined after the block; what `target` returns lands in `folder`/rank.pickle."""
    folder.mkdir(exist_ok=True)
    port = PROCESSES.Queue()
    calls = [(rank, world_size, port, folder, target, arguments) for rank in range(world_size)]
    processes = [PROCESSES.Process(target=_rank, args=call) for call in calls]
    for process in processes:
        process.start()
    yield processes
    for process in processes:
        process.join()


def _rank(rank, world_size, port, folder, target, arguments):
    torch.set_num_threads(1)
    if rank == 0:
        store = rendezvous(HOST, world_size)
        for _ in range(1, world_size):
            port.put(store.port)
    else:
        store = connect(HOST, port.get(), world_size)
    with process_group(store, rank=rank, world_size=world_size, address=HOST) as group:
        found = target(group, folder, *arguments)
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(found))
