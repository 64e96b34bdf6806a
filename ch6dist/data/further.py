"""What an epoch does with its images beside crop and flip, and with whom it mixes their labels.

    further = draw_further([{"name": "trivial"}], seed=0, epoch=0, count=45_000, batch_size=128, shape=(3, 32, 32), …)
    images = further.change(images, slice(0, 128), fill)        # uint8 [128, C, H, W], a whole global batch
    images, labels = further.mix(images, labels, slice(0, 128))

A batch is changed as a whole on every rank, which then takes its rows: a user's own function sees the same on each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ch6dist.catalog.augmentations import MIXING
from ch6dist.catalog.lookup import RESERVED
from ch6dist.data.mixing import Mixing, draw_erasing, draw_mixing, erase
from ch6dist.data.trivial import draw_trivial, trivial, trivial_words
from ch6dist.errors import InputError
from ch6dist.objects.find import find, why
from ch6dist.seeding import GlobalGenerators, generator, mix

Words = Callable[[int], str]  # what is done with the image at a position, for people; empty: nothing


class Mixed(NamedTuple):
    """The labels of mixed images."""

    labels: Tensor  # int64 [B]
    others: Tensor  # int64 [B]: of the images that they are mixed with
    weights: Tensor  # [B]: of `labels`; the others have the rest

    @property
    def main(self) -> Tensor:
        """Return of each image the label with the larger weight: what a prediction has to be to be correct."""
        return torch.where(self.weights >= 0.5, self.labels, self.others)

    def rows(self, rows: slice) -> Mixed:
        """Return the labels of some of the images."""
        return Mixed(self.labels[rows], self.others[rows], self.weights[rows])


Labels = Tensor | Mixed


class TrainBatch(NamedTuple):
    """Normalised images [B, C, H, W] of an epoch's plan, and their labels [B] int64; of mixed ones both labels."""

    images: Tensor
    labels: Labels


def main_labels(labels: Labels) -> Tensor:
    """Return the label of each image; of mixed ones that with the larger weight."""
    return labels.main if isinstance(labels, Mixed) else labels


@dataclass(frozen=True)
class Step:
    """One augmentation of an epoch."""

    change: Callable[[Tensor, slice, Tensor], Tensor]  # of uint8 images at positions, and of their mean colour
    words: Words


@dataclass(frozen=True)
class Further:
    """The steps of an epoch, in their order, and how its batches are mixed."""

    steps: tuple[Step, ...]
    mixing: Mixing | None

    def change(self, images: Tensor, positions: slice, fill: Tensor) -> Tensor:
        """Return the uint8 images of the global batch at `positions`, changed; `fill` [C]: their mean colour."""
        for step in self.steps:
            images = step.change(images, positions, fill)
        return images

    def mix(self, images: Tensor, labels: Tensor, positions: slice) -> tuple[Tensor, Labels]:
        """Return images of a float type and labels of the global batch at `positions`, mixed."""
        if self.mixing is None:
            return images, labels
        others = labels[self.mixing.partners[positions] - positions.start]
        weights = self.mixing.weights[positions].to(images.dtype)
        return self.mixing.images(images, positions), Mixed(labels, others, weights)

    def words(self, position: int) -> str:
        """Return what is done with the image at a position, for people."""
        found = [step.words(position) for step in self.steps]
        if self.mixing is not None and (weight := float(self.mixing.weights[position])) < 1:
            share = f"{1 - weight:.0%}" if weight < 0.995 else "<1%"
            found.append(f"{share} of another")
        return ", ".join(filter(None, found))


def draw_further(
    items: Sequence[Mapping[str, Any]],
    *,
    seed: int,
    epoch: int,
    count: int,
    batch_size: int,
    height: int,
    width: int,
    device: torch.device | str,
) -> Further | None:
    """Draw what an epoch does beside crop and flip; None where that is nothing.

    Args:
        items: a trial's augmentations, as resolved.
        batch_size: of the global batch.
    """
    how: dict[str, Any] = {"seed": seed, "epoch": epoch, "count": count}
    steps = [_step(item, **how, height=height, width=width, device=device) for item in items if _is_step(item)]
    kinds = {item["name"]: item for item in items if item["name"] in MIXING}
    size: dict[str, Any] = {"batch_size": batch_size, "height": height, "width": width, "device": device}
    mixing = draw_mixing(kinds, **how, **size) if kinds else None
    return Further(tuple(steps), mixing) if steps or mixing else None


def _is_step(item: Mapping[str, Any]) -> bool:
    return item["name"] not in ("crop", "flip", *MIXING)


def _step(
    item: Mapping[str, Any],
    *,
    seed: int,
    epoch: int,
    count: int,
    height: int,
    width: int,
    device: torch.device | str,
) -> Step:
    if item["name"] == "trivial":
        drawn = draw_trivial(seed=seed, epoch=epoch, count=count)
        return Step(
            lambda images, at, _: trivial(images, drawn.operations[at], drawn.strengths[at]),
            lambda position: trivial_words(int(drawn.operations[position]), float(drawn.strengths[position])),
        )
    if item["name"] == "erase":
        boxes = draw_erasing(item, seed=seed, epoch=epoch, count=count, height=height, width=width)
        there = boxes.to(device)
        return Step(
            lambda images, at, fill: erase(images, there[at], fill),
            lambda position: "erased" if bool(boxes[position].any()) else "",
        )
    return Step(lambda images, at, _: own_images(item, images, seed=seed, epoch=epoch, position=at.start), lambda _: "")


def own_images(item: Mapping[str, Any], images: Tensor, *, seed: int, epoch: int, position: int) -> Tensor:
    """Return what a function of the user's own makes of a uint8 batch [B, C, H, W].

    It gets a CPU generator seeded by (seed, epoch, position); torch's, numpy's and Python's own are seeded alike.

    Args:
        item: name, code and parameters, as resolved.
        position: of the batch's first image in the epoch.

    Raises InputError where it fails, or returns no batch of the same shape and type.
    """
    function = find("augment", item["name"], code=item.get("code", ""))
    given = {key: value for key, value in item.items() if key not in RESERVED}
    parts = (seed, "augment", item["name"], epoch, position)
    with GlobalGenerators(images.device, mix(*parts)).in_use():
        try:
            found: Any = function(images.clone(), generator(*parts), **given)
        except Exception as error:
            raise InputError("data.augment", item["name"], f"code that can be used: {why(error)}") from error
    if not isinstance(found, Tensor) or found.shape != images.shape or found.dtype != images.dtype:
        what = f"{found.dtype} {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        allowed = f"code that returns a batch as it was given, uint8 {list(images.shape)}; it returned {what}"
        raise InputError("data.augment", item["name"], allowed)
    return found.to(images.device)
