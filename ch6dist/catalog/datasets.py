"""The data sets as data: shapes, counts, default augmentation, and the files with their checksums.

Sources: Krizhevsky 2009 (CIFAR), LeCun et al. 1998 (MNIST), Xiao et al. 2017 (Fashion-MNIST). The checksum of a
CIFAR file is the one torchvision checks; those of the MNIST kinds belong to the unpacked files.

    DATASETS["cifar100"].classes        # 100
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Augment = Literal["none", "flip", "crop", "crop_flip"]


@dataclass(frozen=True)
class DataFile:
    """A file of a data set: its path under the data root and its md5."""

    path: str
    md5: str


@dataclass(frozen=True)
class DatasetEntry:
    """A data set of labelled images, `channels` × `height` × `width` bytes each."""

    name: str
    description: str
    channels: int
    height: int
    width: int
    classes: int
    coarse_classes: int  # superclasses; 0: the set has none
    train_images: int
    test_images: int
    augment: Augment  # augmentation of the training images, unless the trial says otherwise
    synthetic: bool  # generated from a seed, without files
    train_files: tuple[DataFile, ...] = ()  # CIFAR: one pickle or several; MNIST kinds: images, labels
    test_files: tuple[DataFile, ...] = ()
    names_file: DataFile | None = None  # CIFAR: a pickle with the names of classes, and of superclasses where there are
    format: Literal["pickle", "idx"] = "pickle"  # of the files
    class_names: tuple[str, ...] = ()  # of a set whose files hold no names; left out: the numbers are the names


def _idx_files(folder: str, prefix: str, *, images: str, labels: str) -> tuple[DataFile, ...]:
    return (
        DataFile(f"{folder}/raw/{prefix}-images-idx3-ubyte", images),
        DataFile(f"{folder}/raw/{prefix}-labels-idx1-ubyte", labels),
    )


_CIFAR100 = DatasetEntry(
    name="cifar100",
    description="CIFAR-100: colour photographs, 100 classes in 20 superclasses",
    channels=3,
    height=32,
    width=32,
    classes=100,
    coarse_classes=20,
    train_images=50_000,
    test_images=10_000,
    augment="crop_flip",
    synthetic=False,
    train_files=(DataFile("cifar-100-python/train", "16019d7e3df5f24257cddd939b257f8d"),),
    test_files=(DataFile("cifar-100-python/test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
    names_file=DataFile("cifar-100-python/meta", "7973b15100ade9c7d40fb424638fde48"),
)

_CIFAR10 = DatasetEntry(
    name="cifar10",
    description="CIFAR-10: colour photographs, 10 classes",
    channels=3,
    height=32,
    width=32,
    classes=10,
    coarse_classes=0,
    train_images=50_000,
    test_images=10_000,
    augment="crop_flip",
    synthetic=False,
    train_files=(
        DataFile("cifar-10-batches-py/data_batch_1", "c99cafc152244af753f735de768cd75f"),
        DataFile("cifar-10-batches-py/data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
        DataFile("cifar-10-batches-py/data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
        DataFile("cifar-10-batches-py/data_batch_4", "634d18415352ddfa80567beed471001a"),
        DataFile("cifar-10-batches-py/data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    test_files=(DataFile("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e"),),
    names_file=DataFile("cifar-10-batches-py/batches.meta", "5ff9c542aee3614f3951f8cda6e48888"),
)

_FASHION_MNIST = DatasetEntry(
    name="fashion_mnist",
    description="Fashion-MNIST: grey images of clothes, 10 classes",
    channels=1,
    height=28,
    width=28,
    classes=10,
    coarse_classes=0,
    train_images=60_000,
    test_images=10_000,
    augment="none",
    synthetic=False,
    format="idx",
    train_files=_idx_files(
        "FashionMNIST",
        "train",
        images="f4a8712d7a061bf5bd6d2ca38dc4d50a",
        labels="9018921c3c673c538a1fc5bad174d6f9",
    ),
    test_files=_idx_files(
        "FashionMNIST",
        "t10k",
        images="8181f5470baa50b63fa0f6fddb340f0a",
        labels="15d484375f8d13e6eb1aabb0c3f46965",
    ),
    class_names=(
        "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    ),
)  # fmt: skip

_MNIST = replace(
    _FASHION_MNIST,
    name="mnist",
    description="MNIST: handwritten digits, 10 classes",
    class_names=(),
    train_files=_idx_files(
        "MNIST",
        "train",
        images="6bbc9ace898e44ae57da46a324031adb",
        labels="a25bea736e30d166cdddb491f175f624",
    ),
    test_files=_idx_files(
        "MNIST",
        "t10k",
        images="2646ac647ad5339dbf082846283269ea",
        labels="27ae3e4e09519cfbb04c329615203637",
    ),
)


def _synthetic(entry: DatasetEntry) -> DatasetEntry:
    return replace(
        entry,
        name=f"synthetic_{entry.name}",
        description=f"generated from a seed, with the shapes and counts of {entry.name}: nothing to download",
        synthetic=True,
        train_files=(),
        test_files=(),
        names_file=None,
        class_names=(),
    )


_REAL = (_CIFAR10, _CIFAR100, _FASHION_MNIST, _MNIST)

SYNTHETIC = "SYNTHETIC DATA: generated images; this says nothing about real ones"  # the banner of every view

DATASETS: dict[str, DatasetEntry] = {entry.name: entry for entry in (*_REAL, *(_synthetic(entry) for entry in _REAL))}


def is_synthetic(dataset: str) -> bool:
    """Return whether a data set of this name is generated; a name that is in no catalog (any more) is not."""
    return dataset in DATASETS and DATASETS[dataset].synthetic
