"""How fast this device trains a model: a few epochs of synthetic images, timed. For `sweeps plan --calibrate`."""

from __future__ import annotations

import time

import torch

from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.config import TrialConfig
from ch6dist.data.images import TrainData
from ch6dist.distributed.group import SOLO, default_device
from ch6dist.engines.choice import make_engine
from ch6dist.engines.engine import DTYPES
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.runs.schema import EngineName
from ch6dist.seeding import numerics

STEPS = 4  # per epoch
LOADED_BYTES = 30_000_000  # glibc keeps blocks up to the largest that was freed (up to 32 MiB): steps are faster then
SECONDS = 4.0  # to time for, at least: shared machines change their speed by the second


def images_per_second(trial: TrialConfig, *, engine: EngineName = "eager", lanes: int = 1) -> float:
    """Return training images per second of one process with one thread, of all its lanes together."""
    torch.set_num_threads(1)
    torch.empty(LOADED_BYTES, dtype=torch.uint8)  # freed at once, as what a training needs to load its images
    device, entry = default_device(), trial.data.entry
    plain = trial.model_copy(update={"schedule": {"name": "none"}, "type": "train", "capture": None})
    config = trial.data.model_copy(update={"train_size": STEPS * trial.data.batch_size})
    data, dtype = _synthetic(entry, config.train_size, device), DTYPES[trial.precision]
    with numerics(device, deterministic=trial.deterministic):
        made = make_engine(engine, data=config, device=device, group=SOLO)
        members = [made.open(plain) for _ in range(lanes)]
        epochs, started = 0, time.perf_counter()
        while epochs < 2 or time.perf_counter() - started < SECONDS:
            if epochs == 1:  # the first one chooses kernel variants, captures graphs and allocates
                started = time.perf_counter()
            epoch = epoch_batches(
                data,
                seeds=[0] * lanes,
                epochs=[epochs] * lanes,
                config=config,
                steps=STEPS,
                device=device,
                dtype=dtype,
            )
            made.train_epoch(members, epoch).sums.cpu()  # waits for the device
            epochs += 1
        return (epochs - 1) * config.train_size * lanes / (time.perf_counter() - started)


def _synthetic(entry: DatasetEntry, count: int, device: torch.device) -> TrainData:
    """Return noise of the data set's shape: its values do not matter for speed."""
    source = torch.Generator().manual_seed(0)
    shape = (count, entry.channels, entry.height, entry.width)
    images = torch.randint(256, shape, generator=source, dtype=torch.uint8).to(device)
    labels = torch.randint(entry.classes, (count,), generator=source).to(device)
    half = torch.full((entry.channels,), 0.5, dtype=torch.float64, device=device)
    return TrainData(images, labels, images[:0], labels[:0], mean=half, std=half / 2, coarse_of_class=None)
