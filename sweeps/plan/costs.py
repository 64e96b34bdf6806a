"""What a trial and a pack cost: operations, speed with several workers, memory.

Computed from the sizes in the catalog and the constants below, which estimate.py replaces by measured speeds where
there are any.
"""

from __future__ import annotations

from collections.abc import Sequence

from ch6dist.catalog.lookup import optimizer_of
from ch6dist.catalog.models import ModelSize
from ch6dist.catalog.sizes import model_size
from ch6dist.config import TrialConfig
from ch6dist.runs.schema import EngineName

WORKER_BYTES = {"cpu": 900_000_000, "gpu": 1_500_000_000}  # CPU: a process with torch and ray; GPU: CUDA's own share
FP32_BYTES = 4
CORE_MFLOPS = 27_000.0  # per second of a core: LeNet-5, one thread, AMD EPYC, measured, its activations included
ACTIVATION_BYTES_PER_SECOND = 5.8e8  # of a core: fitted, with the next, to five models, which it meets within a fifth
MULTIPLY_MFLOPS = 200_000.0  # per second of a core, where the matrices are large
PACK_SECONDS = 1.6  # start of a Ray Tune trial, measured
JOIN_SECONDS = 4.0  # extra start-up where several processes train a trial: they start and connect, estimated
LINK_SECONDS = {"cpu": 5e-4, "gpu": 1e-4, "hosts": 1e-3}  # per message between workers, estimated
LINK_BYTES = {"cpu": 1e9, "gpu": 20e9, "hosts": 1e9}  # per second between two workers, estimated


def size_of(trial: TrialConfig) -> ModelSize:
    """Return the size of a trial's model; InputError for a foreign one that cannot be built for its images."""
    return model_size(trial.model, trial.data.entry)


def image_passes(trial: TrialConfig, epochs: float | None = None) -> float:
    """Return the images that a trial trains on, repeats counted; validation, forward only, counts a third per image.

    Args:
        epochs: that it trains itself; None: all. A range test has none.
    """
    if trial.type == "range_test":
        return trial.range_test.steps * min(trial.data.batch_size, trial.data.train_size)
    trained = trial.epochs if epochs is None else epochs
    return trained * (trial.data.train_size + trial.data.val_size / 3)


def work(trial: TrialConfig) -> float:
    """Return the MFLOP of a trial, training and validation."""
    return image_passes(trial) * size_of(trial).mflop_per_image


def core_seconds(size: ModelSize) -> float:
    """Estimate the seconds in which a core trains on one image: small models wait for memory, large ones multiply."""
    memory = size.activation_bytes_per_image / ACTIVATION_BYTES_PER_SECOND
    return memory + size.mflop_per_image / MULTIPLY_MFLOPS


def worker_speed(trial: TrialConfig, speed: float, *, workers: int, link: str, step_seconds: float = 0.0) -> float:
    """Estimate the images per second of `workers` that share a trial's batches.

    A step takes its fixed part, the time of the largest share of the batch, and an all-reduce of the gradients by
    a ring: 2 (W - 1) messages of 1/W of them each (Patarasuk & Yuan 2009). Nothing overlaps.

    Args:
        speed: images per second of one worker alone.
        link: a key of LINK_BYTES.
        step_seconds: the part of a step that does not depend on the batch size.
    """
    if workers == 1:
        return speed
    batch, rounds = trial.data.batch_size, 2 * (workers - 1)
    message = size_of(trial).parameter_count * FP32_BYTES / workers
    exchange = rounds * (LINK_SECONDS[link] + message / LINK_BYTES[link])
    fixed = min(step_seconds, batch / speed)
    return batch / (fixed + (batch / speed - fixed) * -(-batch // workers) / batch + exchange)


def pack_bytes(trials: Sequence[TrialConfig], *, kind: str, engine: EngineName = "eager", workers: int = 1) -> int:
    """Return the bytes that each worker of a pack takes of its device's memory.

    They hold the process, the images, the activations of the worker's share of a batch, and each lane's tensors.
    """
    first = trials[0]
    data, dataset = first.data, first.data.entry
    pixels = (data.train_size + data.val_size) * dataset.channels * dataset.height * dataset.width
    activations = size_of(first).activation_bytes_per_image * -(-data.batch_size // workers)
    together = len(trials) if engine == "fused" else 1  # eager lanes take turns
    return WORKER_BYTES[kind] + pixels + activations * together + sum(map(lane_bytes, trials))


def lane_bytes(trial: TrialConfig) -> int:
    """Return the bytes of a lane's weights, their best copy, the gradients and the optimizer's state.

    Weights for evaluation are counted twice: the new ones are made beside the last ones.
    """
    optimizer = optimizer_of(trial.optimizer)
    tensors = 3 + optimizer.state_tensors + 2 * optimizer.modes
    return size_of(trial).parameter_count * FP32_BYTES * tensors
