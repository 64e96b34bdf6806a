"""Images and labels as arrays: checked, and written where every trial finds them.

part = checked("npz", "digits.npz", images, labels)         # uint8 [N, C, H, W], int64 [N]
save(folder, train=part, test=None, class_names=())
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ch6dist.catalog.own_data import ABOUT
from ch6dist.catalog.text import listed
from ch6dist.errors import InputError

CHANNELS = (1, 3)
SHAPES = "[N, C, H, W] or [N, H, W, C] with 1 or 3 channels (`channels` says another number), or grey [N, H, W]"


@dataclass(frozen=True)
class Part:
    """The images of one part of a data set."""

    images: NDArray[np.uint8]  # [N, C, H, W]
    labels: NDArray[np.int64]  # [N]


def checked(key: str, value: str, images: Any, labels: Any, *, part: str = "", channels: int | None = None) -> Part:
    """Return images [N, C, H, W] and labels [N] of a part, as they are to be.

    Args:
        key, value: of the file that names them, for errors.
        part: such as `test_`: how the names of its arrays begin.
        channels: of the images, where they are neither 1 nor 3.

    Raises InputError for another type, shape or number, and for labels that are negative.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8:
        raise InputError(key, value, f"{part}images of type uint8, values from 0 to 255; these are {images.dtype}")
    if images.ndim == 3 and channels in (None, 1):
        images = images[:, None]
    if images.ndim != 4 or not images.size:
        raise InputError(key, value, f"{part}images of the shape {SHAPES}; these are {list(images.shape)}")
    wanted = CHANNELS if channels is None else (channels,)
    if images.shape[1] not in wanted:
        if images.shape[3] not in wanted:
            raise InputError(key, value, f"{part}images of the shape {SHAPES}; these are {list(images.shape)}")
        images = images.transpose(0, 3, 1, 2)
    if labels.ndim != 1 or len(labels) != len(images):
        allowed = f"{part}labels of the shape [{len(images)}], one for each image; these are {list(labels.shape)}"
        raise InputError(key, value, allowed)
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(key, value, f"{part}labels that are whole numbers; these are {labels.dtype}")
    if labels.min() < 0:
        raise InputError(key, value, f"{part}labels from 0 on; the least is {labels.min()}")
    return Part(np.ascontiguousarray(images), labels.astype(np.int64))


def check_parts(key: str, value: str, train: Part, test: Part | None, *, class_names: Sequence[str] = ()) -> int:
    """Return how many classes there are; InputError where labels lie outside or a class has no image to train on."""
    classes = len(class_names) or int(train.labels.max()) + 1
    for name, part in (("", train), ("test_", test)):
        if part is not None and part.labels.max() >= classes:
            allowed = f"{name}labels below {classes}, the number of classes; the largest is {part.labels.max()}"
            raise InputError(key, value, allowed)
    if empty := np.flatnonzero(np.bincount(train.labels, minlength=classes) == 0).tolist():
        raise InputError(
            key, value, f"images to train on of every class; these have none: {listed(list(map(str, empty)))}"
        )
    if classes < 2:
        raise InputError(key, value, "at least two classes")
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        here, there = list(test.images.shape[1:]), list(train.images.shape[1:])
        raise InputError(key, value, f"test images of the shape of the others, {there}; these are {here}")
    return classes


def facts(train: Part, test: Part | None, *, classes: int) -> dict[str, Any]:
    """Return shapes and counts, as `Found` has them."""
    _, channels, height, width = train.images.shape
    counts = {"train_images": len(train.labels), "test_images": 0 if test is None else len(test.labels)}
    return {"channels": channels, "height": height, "width": width, "classes": classes, **counts}


def save(folder: Path, *, train: Part, test: Part | None, class_names: Sequence[str], classes: int) -> None:
    """Write the arrays, and the names of the classes: their numbers where they have none."""
    for name, part in (("train", train), ("test", test)):
        if part is not None:
            np.save(folder / f"{name}_images.npy", part.images)
            np.save(folder / f"{name}_labels.npy", part.labels)
    names = list(class_names) or [str(number) for number in range(classes)]
    (folder / ABOUT).write_text(json.dumps({"class_names": names}), encoding="utf-8")
