"""Devices and trials from which tests make plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.host.hardware import Devices, Gpu
from sweeps.plan.packs import Pack

TWO_CORES = Devices(cpus=2, memory_bytes=24 * 10**9)
H200 = Devices(cpus=16, memory_bytes=128 * 10**9, gpus=(Gpu("NVIDIA H200", 139 * 2**30),))


def one_gpu(memory_bytes: int) -> Devices:
    return Devices(cpus=16, memory_bytes=128 * 10**9, gpus=(Gpu("small", memory_bytes),))


def trials(configurations: int, *, seeds: int = 1, **fields: Any) -> list[TrialConfig]:
    made = [
        parse_trial({"epochs": 30, **fields, "optimizer": {"name": "SGD", "lr": 0.001 * (number + 1)}})
        for number in range(configurations)
    ]
    return [trial.model_copy(update={"seed": seed}) for trial in made for seed in range(seeds)]


def sizes(packs: Sequence[Pack]) -> list[int]:
    return [len(pack.trials) for pack in packs]
