"""The images as they are stored: CIFAR's and MNIST's files, decoded images of one's own, generated ones.

    images, labels, coarse = images_of(config.data).read("test", None)      # uint8 [N, C, H, W], int64 [N]

Files are read without torchvision, whose import costs a worker more time than the reading; `download.py` uses it.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ch6dist.catalog.dataset_files import check_files, data_root
from ch6dist.catalog.datasets import DatasetEntry
from ch6dist.catalog.own_data import Found, Source, prepared
from ch6dist.data.synthetic import Part, coarse_of_class, synthetic_images, synthetic_labels
from ch6dist.trial_sections import DataConfig


@dataclass(frozen=True)
class StoredImages:
    """Which images to read, as far as that tells two apart."""

    entry: DatasetEntry
    root: str
    source: Source | None = None  # of the user's own
    found: Found | None = None

    def read(self, part: Part, indices: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return images, labels and the superclass of every class; of the whole part, or of those at `indices`."""
        if self.source and self.found:
            return *_read_own(prepared(self.source, self.found), part, indices), None
        return _read(self.entry, part, self.root, indices)


def images_of(data: DataConfig) -> StoredImages:
    """Return which images a trial has."""
    found = Found(**data.found) if data.found else None
    return StoredImages(data.entry, "" if found else str(data_root(data.root)), data.source, found)


def _read_own(folder: Path, part: Part, indices: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return decoded images and their labels; only those at `indices` are read into memory."""
    images, labels = (np.load(folder / f"{part}_{what}.npy", mmap_mode="r") for what in ("images", "labels"))
    chosen = slice(None) if indices is None else indices.numpy()
    return torch.from_numpy(np.array(images[chosen])), torch.from_numpy(np.array(labels[chosen]))


def _read(entry: DatasetEntry, part: Part, root: str, indices: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return images, labels and the superclass of every class; of the whole part, or of its images at `indices`."""
    if entry.synthetic:
        labels = synthetic_labels(entry, part)
        indices = torch.arange(len(labels)) if indices is None else indices
        return synthetic_images(entry, part, indices), labels[indices], coarse_of_class(entry)
    check_files(entry.name, root=root, test=part == "test")
    files = entry.train_files if part == "train" else entry.test_files
    paths = [Path(root) / file.path for file in files]
    images, labels, coarse = _read_idx(*paths) if entry.format == "idx" else _read_cifar(paths)
    images = images.view(-1, entry.channels, entry.height, entry.width)
    return (images, labels, coarse) if indices is None else (images[indices], labels[indices], coarse)


def _read_cifar(paths: Sequence[Path]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Read CIFAR's pickles: a row of 3·32·32 bytes per image, channels first; a list of labels, of CIFAR-100 two."""
    contents = [read_pickle(path) for path in paths]
    images = torch.cat([torch.from_numpy(content[b"data"]) for content in contents])
    if b"fine_labels" not in contents[0]:
        return images, torch.cat([torch.tensor(content[b"labels"]) for content in contents]), None
    labels, superclasses = (
        torch.cat([torch.tensor(content[key]) for content in contents]) for key in (b"fine_labels", b"coarse_labels")
    )
    coarse = torch.zeros(int(labels.max()) + 1, dtype=torch.int64)
    coarse[labels] = superclasses
    return images, labels, coarse


def read_pickle(path: Path) -> dict[bytes, Any]:
    """Return the dict in a file of CIFAR."""
    with path.open("rb") as file:
        content: dict[bytes, Any] = ArrayUnpickler(file, encoding="bytes").load()
    return content


def _read_idx(images: Path, labels: Path) -> tuple[Tensor, Tensor, None]:
    """Read MNIST's format: a header of 4 bytes and 4 per dimension, then the bytes."""
    pixels, classes = np.fromfile(images, dtype=np.uint8, offset=16), np.fromfile(labels, dtype=np.uint8, offset=8)
    return torch.from_numpy(pixels), torch.from_numpy(classes).long(), None


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler of lists, dicts and numpy arrays; it refuses everything else that a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names, if it is one of numpy's arrays."""
        allowed = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
        if module.split(".")[0] != "numpy" or name not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in the pickle of a data set")
        return allowed[name]
