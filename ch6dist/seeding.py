"""Where randomness comes from, and the switches that make a training run repeat itself bit for bit.

Nothing draws from torch's global generators: every draw is a function of (seed, epoch) or (seed, step, layer), so a
checkpoint holds no generator state and a resume, another pack or another world size sees the same numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from collections.abc import Iterator

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
def seeded_globals(*parts: int | str) -> Iterator[None]:
    """Seed the global generators of torch, numpy and Python for the length of the block, and put them back behind it.

    For a user's code, which may draw from them.
    """
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(mix(*parts))
        np.random.seed(mix(*parts) % 2**32)
        random.seed(mix(*parts))
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


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
