"""Images as they are: some of every class, and a few as the training sees them in several epochs.

found = class_samples(data, classes=100)
seen = augmented_samples(data, trial, count=4)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ch6dist.config import TrialConfig
from ch6dist.data.images import PAD, EpochPlan, TrainData, epoch_plan

EPOCHS = 8  # that augmented images are shown of
FEW_CLASSES, PER_CLASS = 20, 8  # up to so many classes have several images each, more have one


class ClassSamples(NamedTuple):
    """The first training images of every class."""

    images: Tensor  # uint8 [classes, per class, C, H, W]; black where there are too few
    found: Tensor  # int64 [classes]: how many there are


class Augmented(NamedTuple):
    """The first training images, as they are and as the epochs see them."""

    images: Tensor  # uint8 [count, 1 + epochs, C, H, W]; the first of each is the original
    rows: list[
        tuple[int, int, int, int, int, str]
    ]  # image, epoch, mirrored, down, right, further; by image, then epoch


def class_samples(data: TrainData, *, classes: int) -> ClassSamples:
    """Return the first training images of every class, in the order of the split."""
    per_class = PER_CLASS if classes <= FEW_CLASSES else 1
    images = torch.zeros(classes, per_class, *data.train_images.shape[1:], dtype=torch.uint8)
    found = torch.zeros(classes, dtype=torch.int64)
    labels = data.train_labels.cpu()
    for number in range(classes):
        chosen = torch.nonzero(labels == number)[:per_class, 0]
        images[number, : len(chosen)] = data.train_images[chosen.to(data.train_images.device)].cpu()
        found[number] = len(chosen)
    return ClassSamples(images, found)


def augmented_samples(data: TrainData, trial: TrialConfig, *, count: int) -> Augmented:
    """Return the first `count` training images with what the trial's own epochs made of them, by its own plan."""
    total = len(data.train_images)
    originals = data.train_images[:count].cpu()
    seen, moves, device = [originals], [], data.train_images.device
    size, shape = trial.data.batch_size, originals.shape
    for epoch in range(min(EPOCHS, trial.epochs)):
        how: dict[str, Any] = {"augment": trial.data.augment, "batch_size": size, "shape": shape, "device": device}
        plan = epoch_plan(seed=trial.seed, epoch=epoch, count=total, **how)
        inverse = torch.argsort(plan.order)  # where in the epoch each image stands
        places = inverse[: len(originals)].tolist()
        seen.append(torch.stack([_seen(plan, data, place, size) for place in places]))
        for image, place in enumerate(places):
            down, right = (0, 0) if plan.offsets is None else (PAD - plan.offsets[place]).tolist()
            mirrored = (
                0 if plan.flips is None else int(plan.flips[place])
            )  # behind the crop: what was right is left now
            further = plan.further.words(place) if plan.further else ""
            moves.append((image + 1, epoch + 1, mirrored, down, -right if mirrored else right, further))
    return Augmented(torch.stack(seen, dim=1), sorted(moves))


def _seen(plan: EpochPlan, data: TrainData, place: int, size: int) -> Tensor:
    """Return the image at a position of the epoch as bytes, as the batch of `size` that it is of has it."""
    start = place // size * size
    batch = slice(start, min(start + size, len(plan.order)))
    images, labels = plan.pictures(data, batch)
    if plan.further and plan.further.mixing:
        images = plan.further.mix(images.float(), labels, batch)[0].round().to(torch.uint8)
    return images[place - start].cpu()
