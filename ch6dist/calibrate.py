"""How fast this device trains a model: a few steps on made-up images, timed. For `sweeps plan --calibrate`."""

from __future__ import annotations

import time

import torch

from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import TrialConfig
from ch6dist.distributed import SOLO, default_device
from ch6dist.engines.eager import EagerEngine
from ch6dist.engines.engine import DTYPES
from ch6dist.feed import Position

WARM_UP_STEPS = 3
SECONDS = 2.0  # of timing, at least


def images_per_second(trial: TrialConfig) -> float:
    """Training images per second of one lane in one process with one thread, data preparation left out."""
    torch.set_num_threads(1)
    device, entry = default_device(), DATASETS[trial.data.name]
    engine = EagerEngine(dataset=entry, steps_per_epoch=10**6, device=device, group=SOLO)
    plain = trial.model_copy(update={"schedule": {"name": "none"}, "type": "train"})
    lane, rows = engine.open(plain), trial.data.batch_size
    source = torch.Generator().manual_seed(0)
    shape = (rows, entry.channels, entry.height, entry.width)
    images = torch.randn(shape, generator=source).to(device, DTYPES[trial.precision])
    labels = torch.randint(entry.classes, (rows,), generator=source).to(device)
    steps, started = 0, time.perf_counter()
    while steps < WARM_UP_STEPS or time.perf_counter() - started < SECONDS:
        if steps == WARM_UP_STEPS:
            _wait(device)
            started = time.perf_counter()
        lane.train_batch(images, labels, Position(epoch=0, batch=steps, first_row=0, rows=rows), 1)
        steps += 1
    _wait(device)
    return (steps - WARM_UP_STEPS) * rows / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
