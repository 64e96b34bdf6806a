"""The images on the training device, split by a seed, and the plan of an epoch: order, crops and flips.

data = load_split(config.data, device="cpu")
plan = epoch_plan(seed=0, epoch=0, count=len(data.train_images), augment="crop_flip", device="cpu")
batch = plan.batch(data, 0, 128, torch.float32)      # images [128, C, H, W], labels [128]
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ch6dist.catalog.augmentations import Resolved, as_list
from ch6dist.data.further import Further, Mixed, TrainBatch, draw_further
from ch6dist.data.stored import StoredImages, images_of
from ch6dist.seeding import generator
from ch6dist.trial_sections import DataConfig

PAD = 4  # pixels of zeros on each side that a random crop may take in
Device = torch.device | str


class Batch(NamedTuple):
    """Normalised images [B, C, H, W] and labels [B] int64."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class TrainData:
    """What a trial may see while it trains: images uint8 [N, C, H, W], labels int64 [N], on the training device."""

    train_images: Tensor
    train_labels: Tensor
    val_images: Tensor
    val_labels: Tensor
    mean: Tensor  # [C] float64, of `train_images` on the scale 0–1
    std: Tensor  # [C] float64
    coarse_of_class: Tensor | None  # [classes] int64: the superclass of every class, where there are superclasses

    def batches(self, images: Tensor, labels: Tensor, *, size: int, dtype: torch.dtype) -> Iterator[Batch]:
        """Yield uint8 `images` and their labels as they are, in order, normalised as the training images are."""
        for part, right in zip(images.split(size), labels.split(size), strict=True):
            yield Batch(normalize(part, self.mean, self.std, dtype), right)


@dataclass(frozen=True)
class EpochPlan:
    """What an epoch does with the training images; row i is the i-th image to be seen."""

    order: Tensor  # [N] int64: which image
    offsets: Tensor | None  # [N, 2] int64 in 0..2·PAD: row and column of the crop in the padded image
    flips: Tensor | None  # [N] bool: mirrored left to right, after the crop
    further: Further | None = None  # what else is done with them, by whole global batches

    def batch(
        self, data: TrainData, start: int, stop: int, dtype: torch.dtype, *, whole: slice | None = None
    ) -> TrainBatch:
        """Return the images from position `start` to before `stop` in the epoch's order, augmented and normalised.

        Args:
            whole: the positions of the global batch that they are of; left out: they are one.
        """
        if self.further is None:
            return self.at(data, slice(start, stop), dtype)
        whole = whole or slice(start, stop)
        images, labels = self.pictures(data, whole)
        images, mixed = self.further.mix(normalize(images, data.mean, data.std, dtype), labels, whole)
        rows = slice(start - whole.start, stop - whole.start)
        return TrainBatch(images[rows], mixed.rows(rows) if isinstance(mixed, Mixed) else mixed[rows])

    def at(self, data: TrainData, positions: slice | Tensor, dtype: torch.dtype) -> TrainBatch:
        """Return the images at `positions` (int64 [B] on the device: no host sync), of a plan without further."""
        images, labels = self._moved(data, positions)
        return TrainBatch(normalize(images, data.mean, data.std, dtype), labels)

    def pictures(self, data: TrainData, positions: slice) -> tuple[Tensor, Tensor]:
        """Return the images of a global batch as bytes, augmented, but not mixed; and their labels."""
        images, labels = self._moved(data, positions)
        fill = (data.mean * 255).round().to(torch.uint8)
        return images if self.further is None else self.further.change(images, positions, fill), labels

    def _moved(self, data: TrainData, positions: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Return images at `positions`, cropped and mirrored, and their labels."""
        index = self.order[positions]
        images = augment_images(
            data.train_images.index_select(0, index),
            offsets=None if self.offsets is None else self.offsets[positions],
            flips=None if self.flips is None else self.flips[positions],
        )
        return images, data.train_labels.index_select(0, index)

    def replace_by(self, other: EpochPlan) -> None:
        """Take over the values of another epoch's plan, in place: a CUDA graph reads the tensors it was made with."""
        for mine, new in ((self.order, other.order), (self.offsets, other.offsets), (self.flips, other.flips)):
            if mine is not None and new is not None:
                mine.copy_(new)


def epoch_plan(
    *,
    seed: int,
    epoch: int,
    count: int,
    augment: Resolved,
    device: Device,
    batch_size: int = 1,
    shape: Sequence[int] = (0, 0),
) -> EpochPlan:
    """Draw order, crops, flips and the other augmentations of an epoch over `count` images.

    They depend on (seed, epoch) alone and are drawn on the CPU: equal in every process, pack and world size and after
    a resume. The order is the same whatever `augment` is.

    Args:
        batch_size: of the global batch, within which images are mixed.
        shape: of the images, ending with height and width, for rectangles in them.
    """
    source = generator(seed, "epoch", epoch)
    order = torch.randperm(count, generator=source)
    offsets = torch.randint(2 * PAD + 1, (count, 2), generator=source)
    flips = torch.randint(2, (count,), generator=source, dtype=torch.uint8).bool()
    items = as_list(augment)
    names = [item["name"] for item in items]
    how: dict[str, Any] = {"batch_size": batch_size, "height": shape[-2], "width": shape[-1], "device": device}
    return EpochPlan(
        order=order.to(device),
        offsets=offsets.to(device) if "crop" in names else None,
        flips=flips.to(device) if "flip" in names else None,
        further=draw_further(items, seed=seed, epoch=epoch, count=count, **how),
    )


def augment_images(images: Tensor, *, offsets: Tensor | None, flips: Tensor | None) -> Tensor:
    """Crop each image of [B, C, H, W], padded by PAD zeros, at its offset [B, 2]; then mirror it or not.

    One index into a view of all windows is more than twice as fast on a CPU core as indexing rows and columns.
    """
    if offsets is not None:
        height, width = images.shape[2:]
        windows = F.pad(images, (PAD, PAD, PAD, PAD)).unfold(2, height, 1).unfold(3, width, 1)
        images = windows[torch.arange(len(images), device=images.device), :, offsets[:, 0], offsets[:, 1]]
    if flips is not None:
        images = torch.where(flips[:, None, None, None], images.flip(-1), images)
    return images


def normalize(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (images / 255 − mean) / std in `dtype`: uint8 [B, C, H, W], mean and std [C]; a multiply and an add."""
    scale = (1 / (255 * std)).to(dtype)[:, None, None]
    shift = (-mean / std).to(dtype)[:, None, None]
    return images.to(dtype).mul_(scale).add_(shift)


def load_split(data: DataConfig, *, device: Device, seed: int | None = None) -> TrainData:
    """Return training and validation images of a trial, on `device`; a process keeps the last one it asked for.

    The validation split is the first `val_size` images of a permutation seeded by `data.seed`, the training images
    are the next `train_size`: another `train_size` leaves the validation split as it is.

    Args:
        seed: of the trial, where its split follows it (`TrialConfig.split_seed`): then both seed the permutation.

    Raises InputError if files are missing or damaged.
    """
    seeds = (data.seed, "split") if seed is None else (data.seed, "split", seed)
    return _load_split(images_of(data), data.train_size, data.val_size, seeds, str(device))


def load_test(data: DataConfig, *, device: Device) -> tuple[Tensor, Tensor]:
    """Return the whole test set: images uint8 [N, C, H, W] and labels int64 [N]. For a final training only."""
    images, labels, _ = images_of(data).read("test", None)
    return images.to(device), labels.to(device)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of every channel of uint8 [N, C, H, W], on the scale 0–1: two [C] float64.

    Exact: taken from a histogram of the 256 values.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = [torch.bincount(images[:, c].flatten(), minlength=256) for c in range(images.shape[1])]
    weights = torch.stack(counts).double() / (images.numel() // images.shape[1])
    mean = weights @ values
    return mean, ((weights * (values - mean[:, None]) ** 2).sum(1)).sqrt()


@functools.lru_cache(maxsize=1)
def _load_split(
    chosen: StoredImages, train_size: int, val_size: int, seeds: tuple[int | str, ...], device: str
) -> TrainData:
    indices = torch.randperm(chosen.entry.train_images, generator=generator(*seeds))[: val_size + train_size]
    images, labels, coarse = chosen.read("train", indices)
    mean, std = channel_statistics(images[val_size:])
    return TrainData(
        train_images=images[val_size:].to(device),
        train_labels=labels[val_size:].to(device),
        val_images=images[:val_size].to(device),
        val_labels=labels[:val_size].to(device),
        mean=mean.to(device),
        std=std.to(device),
        coarse_of_class=None if coarse is None else coarse.to(device),
    )
