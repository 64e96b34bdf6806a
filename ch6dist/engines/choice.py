"""The engines by name, and the one that suits a device."""

from __future__ import annotations

import torch

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.distributed.group import Group
from ch6dist.engines.eager import EagerEngine
from ch6dist.engines.engine import Engine
from ch6dist.engines.fused import FusedEngine
from ch6dist.errors import InputError
from ch6dist.runs.schema import EngineName


def suitable_engine(optimizer: str, *, device: torch.device, group: Group) -> EngineName:
    """`fused` for one process on a GPU, where a step is then one graph; `eager` elsewhere and for other optimizers."""
    alone_on_gpu = device.type == "cuda" and group.world_size == 1
    return "fused" if alone_on_gpu and OPTIMIZERS[optimizer].family else "eager"


def make_engine(
    name: EngineName, *, dataset: DatasetEntry, steps_per_epoch: int, device: torch.device, group: Group
) -> Engine:
    """The engine of that name; InputError for `fused` over several processes, whose lanes are one process's."""
    if name == "eager":
        return EagerEngine(dataset=dataset, steps_per_epoch=steps_per_epoch, device=device, group=group)
    if group.world_size > 1:
        raise InputError("engine", name, f"eager (a trial over {group.world_size} processes trains alone)")
    return FusedEngine(dataset=dataset, steps_per_epoch=steps_per_epoch, device=device)
