"""What trials cost: operations, memory of a pack, and when several places are done with many packs.

From the catalog's sizes and the constants below; where this machine has been measured, plan.py knows better.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import EngineName

WORKER_BYTES = {"cpu": 900_000_000, "gpu": 1_500_000_000}  # CPU: a process with torch and ray; GPU: CUDA's own share
FP32_BYTES = 4
CORE_MFLOPS = 38_000.0  # per second of a core: LeNet-5, one thread, AMD EPYC, measured
PACK_SECONDS = 1.6  # start of a Ray Tune trial, measured
JOIN_SECONDS = 4.0  # more where several processes train a trial: they start and meet, estimated
LINK_SECONDS = {"cpu": 5e-4, "gpu": 1e-4, "hosts": 1e-3}  # of one exchange between workers, estimated
LINK_BYTES = {"cpu": 1e9, "gpu": 20e9, "hosts": 1e9}  # per second between two workers, estimated


def images(trial: TrialConfig) -> tuple[int, int]:
    """Images a trial trains on and images it validates on, repeats counted."""
    if trial.type == "range_test":
        return trial.range_test.steps * min(trial.data.batch_size, trial.data.train_size), 0
    return trial.epochs * trial.data.train_size, trial.epochs * trial.data.val_size


def work(trial: TrialConfig) -> float:
    """MFLOP of a trial's training; the forward pass alone, a third, for validation."""
    trained, validated = images(trial)
    return (trained + validated / 3) * MODELS[trial.model["name"]].mflop_per_image


def makespan(durations: Iterable[float], count: int) -> float:
    """When `count` places are done that each take the next item as they become free."""
    ends = [0.0] * count
    for duration in durations:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def worker_speed(trial: TrialConfig, speed: float, *, workers: int, link: str, step_seconds: float = 0.0) -> float:
    """Images per second of `workers` that share a trial's batches, where one alone trains `speed`. An estimate.

    Of a step, `step_seconds` stay whatever the batch; the rest is the largest share's. Then come the gradients, by a
    ring all-reduce: 2 (W − 1) messages of 1/W of them each (Patarasuk & Yuan 2009), over a `link` of LINK_BYTES.
    Nothing overlaps.
    """
    if workers == 1:
        return speed
    batch, rounds = trial.data.batch_size, 2 * (workers - 1)
    message = MODELS[trial.model["name"]].parameter_count * FP32_BYTES / workers
    exchange = rounds * (LINK_SECONDS[link] + message / LINK_BYTES[link])
    fixed = min(step_seconds, batch / speed)
    return batch / (fixed + (batch / speed - fixed) * -(-batch // workers) / batch + exchange)


def pack_bytes(trials: Sequence[TrialConfig], *, kind: str, engine: EngineName = "eager", workers: int = 1) -> int:
    """Memory of a pack where its tensors live: the process, the images, each lane's weights, gradients and state.

    With several workers: of each, which has its share of a batch.
    """
    first = trials[0]
    data, dataset = first.data, DATASETS[first.data.name]
    pixels = (data.train_size + data.val_size) * dataset.channels * dataset.height * dataset.width
    activations = MODELS[first.model["name"]].activation_bytes_per_image * -(-data.batch_size // workers)
    together = len(trials) if engine == "fused" else 1  # eager lanes take turns
    return WORKER_BYTES[kind] + pixels + activations * together + sum(map(lane_bytes, trials))


def lane_bytes(trial: TrialConfig) -> int:
    """Weights, their best copy, gradients and the optimizer's state."""
    tensors = 3 + OPTIMIZERS[trial.optimizer["name"]].state_tensors
    return MODELS[trial.model["name"]].parameter_count * FP32_BYTES * tensors
