"""Where randomness comes from, and the switches that make a training run repeat itself bit for bit.

Nothing of ours draws from global generators: every draw is a function of (seed, epoch) or (seed, step, layer), so a
checkpoint holds no generator state and a resume, another pack or another world size sees the same numbers. What is not
ours may draw from those of torch, numpy and random: each trial then has its own states of them, seeded for each epoch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch


def mix(*parts: int | str) -> int:
    """Return a well-mixed 63-bit seed from any parts: `mix(seed, epoch, "order")`. Equal in every process."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded by `mix(*parts)`."""
    return torch.Generator().manual_seed(mix(*parts))


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of torch (on the CPU), numpy and random; they are as before behind the block."""
    with GlobalGenerators(torch.device("cpu"), seed).in_use():
        yield


class GlobalGenerators:
    """States of the global generators of torch, numpy and random that code which is not ours draws from."""

    def __init__(self, device: torch.device, seed: int) -> None:
        """Begin with the states that follow from `seed`; on a GPU, of its generator too."""
        self.device = device
        self.states = self._seeded_states(seed)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Draw from these states in the block; what was drawn from outside is as before behind it."""
        outside = self._now()
        self._set(self.states)
        try:
            yield
        finally:
            self.states = self._now()
            self._set(outside)

    def _seeded_states(self, seed: int) -> tuple[Any, ...]:
        outside = self._now()
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        found = self._now()
        self._set(outside)
        return found

    def _now(self) -> tuple[Any, ...]:
        on_gpu = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        return torch.default_generator.get_state(), on_gpu, np.random.get_state(), random.getstate()

    def _set(self, states: tuple[Any, ...]) -> None:
        on_cpu, on_gpu, of_numpy, of_random = states
        torch.default_generator.set_state(on_cpu)
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu, self.device)
        np.random.set_state(of_numpy)
        random.setstate(of_random)


@contextlib.contextmanager
def numerics(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Compute fp32 as fp32 (tf32 off), and on a GPU by deterministic algorithms only, for the length of the block.

    A CPU with a fixed number of threads repeats itself anyway, and is left alone.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, before its first call
    before = (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cudnn.benchmark,
        torch.are_deterministic_algorithms_enabled(),
    )
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = not deterministic
    torch.use_deterministic_algorithms(deterministic)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before[:2]
        torch.use_deterministic_algorithms(before[2])
