"""Kernel variants: several ways to compute one thing, of which the fastest here is measured once for each shape.

    cache = AutotuneCache(recorded, record)
    variant = cache.choose("conv 6>16 …", variants, lambda: fastest(variants, device=device))
    cache.choices                           # goes into checkpoints: a resume uses the same variants, for the same bits

Grouped convolutions are not fast everywhere (pytorch#73764, #70954), so every variant is timed. Two timings may choose
differently, and variants differ in the last bits: so a choice is recorded before it is used, for all of the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Mapping
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from ch6dist.config import TrialConfig
from ch6dist.host.hardware import cpu_name

WARM_UPS = 2  # the first runs choose algorithms and allocate
REPEATS = 5
ENOUGH_SECONDS = 1.0  # to measure for, at most; then the times so far count


Record = Callable[[str, str], object]


class AutotuneCache:
    """The choice for each key; `context` names what the keys leave out: processor, precision, size of a batch."""

    def __init__(self, recorded: Mapping[str, str] | None = None, record: Record = lambda key, choice: None) -> None:
        """Begin with the choices of a run.

        Args:
            recorded: what the run has recorded, by key with its context; it may grow.
            record: called with such a key and a measured choice before that is used; afterwards `recorded` may hold
                another pack's choice, which came first and counts.
        """
        self.recorded, self.record = {} if recorded is None else recorded, record
        self.context = ""
        self.choices: dict[str, str] = {}

    def choose(self, key: str, allowed: Container[str], measure: Callable[[], str]) -> str:
        """Return this pack's choice, else the run's, else what `measure` returns, which is recorded first."""
        name = self._name(key)
        choice = self.choices.get(key, self.recorded.get(name, ""))
        if choice not in allowed:
            measured = measure()
            self.record(name, measured)
            agreed = self.recorded.get(name, "")
            choice = agreed if agreed in allowed else measured
        self.choices[key] = choice
        return choice

    def restore(self, choices: Mapping[str, str]) -> None:
        """Use a checkpoint's choices, except for what is chosen already; record those that the run does not have."""
        new = {key: choice for key, choice in choices.items() if key not in self.choices}
        self.choices |= new
        for key, choice in new.items():
            if self._name(key) not in self.recorded:
                self.record(self._name(key), choice)

    def _name(self, key: str) -> str:
        return f"{self.context}: {key}"


def fastest(variants: Mapping[str, Callable[[], object]], *, device: torch.device) -> str:
    """Return the name of the fastest of `variants` on `device`, the first of equals."""
    return min(variants, key=lambda name: seconds(variants[name], device=device))


def processor(device: torch.device) -> str:
    """Return what computes, for the context of choices: a GPU by its name, or a CPU with its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {threads} {'thread' if threads == 1 else 'threads'}"


def context_of(trial: TrialConfig, where: str) -> str:
    """Return what kernel variants of a trial depend on beside shapes and lanes."""
    return f"{where}, {trial.precision}, batch {trial.data.batch_size}"


def seconds(run: Callable[[], object], *, device: torch.device) -> float:
    """Return the median seconds of `run`; infinite if it does not fit into the device's memory."""
    times: list[float] = []
    while len(times) < WARM_UPS + REPEATS and not (sum(times) > ENOUGH_SECONDS and len(times) > 1):
        started = _now(device)
        try:
            run()
        except torch.OutOfMemoryError:
            return math.inf
        times.append(_now(device) - started)
    return median(times[min(WARM_UPS, len(times) - 1) :])


def lanes_key(lanes: int) -> int:
    """Return the next power of two: lane counts up to it share a measurement, so that few are timed."""
    return 1 << (lanes - 1).bit_length()


# Convolutions of K lanes. x: [B, W·C, H, W'] holds W groups of lanes side by side, lanes of a group see the same maps;
# weight: [K, O, C, h, w], bias: [K, O] or None. All give [B, K·O, H, W'].


def grouped(x: Tensor, weight: Tensor, bias: Tensor | None, *, width: int, stride: int, padding: int) -> Tensor:
    """Compute one convolution of `width` groups."""
    together = None if bias is None else bias.reshape(-1)
    return F.conv2d(x, weight.flatten(0, 1), together, stride=stride, padding=padding, groups=width)


def loop(x: Tensor, weight: Tensor, bias: Tensor | None, *, width: int, stride: int, padding: int) -> Tensor:
    """Compute a convolution for each group."""
    weights = weight.reshape(width, -1, *weight.shape[2:])
    biases = [None] * width if bias is None else bias.reshape(width, -1)
    parts = zip(x.chunk(width, dim=1), weights, biases, strict=True)
    return torch.cat([F.conv2d(maps, w, b, stride=stride, padding=padding) for maps, w, b in parts], dim=1)


def matmul(x: Tensor, weight: Tensor, bias: Tensor | None, *, width: int, stride: int, padding: int) -> Tensor:
    """Write out all patches, then compute one product of matrices for each group."""
    kernel = weight.shape[3:]
    height, breadth = ((size + 2 * padding - k) // stride + 1 for size, k in zip(x.shape[2:], kernel, strict=True))
    patches = F.unfold(x, kernel, padding=padding, stride=stride).view(len(x), width, -1, height * breadth)
    columns = patches.permute(1, 2, 0, 3).flatten(2)  # [W, C·h·w, B·H·W']
    rows = weight.reshape(width, -1, columns.shape[1])  # [W, K/W·O, C·h·w]
    maps = torch.bmm(rows, columns) if bias is None else torch.baddbmm(bias.reshape(width, -1, 1), rows, columns)
    return maps.view(width, -1, len(x), height * breadth).permute(2, 0, 1, 3).reshape(len(x), -1, height, breadth)


CONVOLUTIONS: dict[str, Callable[..., Tensor]] = {"grouped": grouped, "loop": loop, "matmul": matmul}


def pick_convolution(
    cache: AutotuneCache, x: Tensor, weight: Tensor, bias: Tensor | None, *, width: int, stride: int, padding: int
) -> Callable[..., Tensor]:
    """Return the fastest kernel variant for tensors like these, forward and backward."""
    lanes, maps, channels, *kernel = weight.shape
    sides = "×".join(map(str, x.shape[2:]))
    what = f"conv {channels}>{maps} {kernel[0]}×{kernel[1]} stride {stride} on {sides}"
    key = f"{what}, {lanes_key(lanes)} lanes, {'shared' if width < lanes else 'own'} input"

    def measure() -> str:
        """Return the name of the variant that is fastest on tensors of these shapes."""
        like = torch.ones_like(x).requires_grad_(x.requires_grad), torch.ones_like(weight).requires_grad_(), bias
        how = {"width": width, "stride": stride, "padding": padding}
        runs = {name: partial(_forward_backward, variant, like, **how) for name, variant in CONVOLUTIONS.items()}
        return fastest(runs, device=x.device)

    return CONVOLUTIONS[cache.choose(key, CONVOLUTIONS, measure)]


def _forward_backward(variant: Callable[..., Tensor], like: tuple[Tensor, Tensor, Tensor | None], **how: int) -> None:
    x, weight, bias = like
    with torch.enable_grad():
        maps = variant(x, weight, bias, **how)
    torch.autograd.grad(maps, [t for t in (x, weight) if t.requires_grad], torch.ones_like(maps))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
