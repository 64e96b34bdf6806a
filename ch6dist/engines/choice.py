"""The engines by name. Which one suits a trial: ch6dist/packs.py."""

from __future__ import annotations

import torch

from ch6dist.distributed.group import Group
from ch6dist.engines.eager import EagerEngine
from ch6dist.engines.engine import Engine
from ch6dist.engines.fused import FusedEngine
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.errors import InputError
from ch6dist.runs.schema import EngineName
from ch6dist.trial_sections import DataConfig


def make_engine(
    name: EngineName,
    *,
    data: DataConfig,
    device: torch.device,
    group: Group,
    autotune: AutotuneCache | None = None,
) -> Engine:
    """Make the engine of that name; InputError for `fused` over several processes, whose lanes are one process's.

    Args:
        autotune: the kernel variants of a run; left out: of this engine alone.
    """
    dataset, steps_per_epoch = data.entry, data.steps_per_epoch
    if name == "eager":
        return EagerEngine(dataset=dataset, steps_per_epoch=steps_per_epoch, device=device, group=group)
    if group.world_size > 1:
        raise InputError("engine", name, f"eager (a trial over {group.world_size} processes trains alone)")
    return FusedEngine(dataset=dataset, steps_per_epoch=steps_per_epoch, device=device, autotune=autotune)
