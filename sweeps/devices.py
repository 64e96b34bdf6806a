"""How many packs at once fit on the devices of a machine.

slots = place(spec.resources, visible_devices())      # InputError for what could never be placed
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ch6dist.errors import InputError
from ch6dist.machine import Devices
from sweeps.spec import Resources


@dataclass(frozen=True)
class Slots:
    """Places for packs: `count` run at once, each with `memory_bytes` of a `kind` device's memory."""

    kind: Literal["cpu", "gpu"]
    count: int
    memory_bytes: int
    device: str  # the device's name, by which calibrations are kept
    cpus: int  # of one pack
    gpus: float  # of one pack


def place(resources: Resources, devices: Devices) -> Slots:
    """The places that `resources` of one pack leave on `devices`; InputError when there is none."""
    gpus = min(1, len(devices.gpus)) if resources.gpus == "auto" else float(resources.gpus)
    if resources.workers > 1:
        allowed = "1 (not yet on sweeps: DDP trials are trained with torchrun, see README)"
        raise InputError("resources.workers", resources.workers, allowed)
    if gpus > len(devices.gpus):
        raise InputError(
            "resources.gpus", resources.gpus, f"at most the {len(devices.gpus)} GPUs that are visible here"
        )
    if resources.cpus > devices.cpus:
        raise InputError("resources.cpus", resources.cpus, f"at most the {devices.cpus} cores that may be used here")
    by_cpu = devices.cpus // resources.cpus
    if not gpus:
        memory = devices.memory_bytes // by_cpu
        return Slots("cpu", by_cpu, memory, devices.cpu_name, resources.cpus, 0.0)
    by_gpu = math.floor(1 / gpus) * len(devices.gpus) if gpus < 1 else len(devices.gpus) // int(gpus)
    smallest = min(devices.gpus, key=lambda gpu: gpu.memory_bytes)
    memory = int(smallest.memory_bytes * min(1.0, gpus))  # a pack trains on one device
    return Slots("gpu", min(by_cpu, by_gpu), memory, smallest.name, resources.cpus, gpus)
