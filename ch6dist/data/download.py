"""Download the files of a data set with torchvision, which checks them.

    download("cifar100", root="data")

Undamaged files that are there already are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchvision.datasets import CIFAR10, CIFAR100, MNIST, FashionMNIST
from torchvision.datasets.utils import check_integrity

from ch6dist.catalog.dataset_files import check_files, data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.errors import unknown_name

_SOURCES: dict[str, Any] = {"cifar10": CIFAR10, "cifar100": CIFAR100, "fashion_mnist": FashionMNIST, "mnist": MNIST}


def download(name: str, *, root: str | None = None) -> Path:
    """Put the files of data set `name` under `root` (left out: CH6DIST_DATA, else ./data), with torchvision's progress.

    A damaged file is replaced. Returns the root; raises InputError for a name without files.
    """
    if name not in _SOURCES:
        raise unknown_name("name", name, _SOURCES)
    folder, entry = data_root(root), DATASETS[name]
    for file in (*entry.train_files, *entry.test_files):
        if not check_integrity(folder / file.path, file.md5):
            (folder / file.path).unlink(missing_ok=True)  # torchvision keeps any file with an MNIST file's name
    _SOURCES[name](root=folder, download=True)
    check_files(name, root=root, test=True)
    return folder
