"""Missing, damaged and hostile files; and the real sets, where their files are."""

from __future__ import annotations

import hashlib
import io
import math
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
import torchvision

from ch6dist.catalog.dataset_files import DataFilesError, data_root
from ch6dist.catalog.datasets import DATASETS, DataFile
from ch6dist.config import parse_section
from ch6dist.data.download import download
from ch6dist.data.images import TrainData, epoch_plan, load_split, load_test
from ch6dist.data.names import class_names
from ch6dist.data.stored import ArrayUnpickler
from ch6dist.errors import InputError
from ch6dist.seeding import generator
from ch6dist.trial_sections import DataConfig
from tests.support.trials import real

torch.set_num_threads(1)

REAL = [name for name, entry in DATASETS.items() if not entry.synthetic]


def config(name: str = "synthetic_mnist", **fields: object) -> DataConfig:
    return parse_section(DataConfig, {"name": name, **fields})


def split(name: str = "synthetic_mnist", **fields: object) -> TrainData:
    return load_split(config(name, **fields), device="cpu")


# Files


@pytest.mark.parametrize("name", REAL)
def test_missing_files_are_named_with_the_command_that_brings_them(name, tmp_path):
    for load in (load_split, load_test):
        with pytest.raises(DataFilesError, match="is missing") as caught:
            load(config(name, root=str(tmp_path)), device="cpu")
        assert str(tmp_path) in str(caught.value)
        assert DATASETS[name].train_files[0].path in str(caught.value)
        assert f"ch6dist data {name}" in str(caught.value)


@pytest.mark.parametrize("name", REAL)
def test_damaged_files_are_refused(name, tmp_path):
    for file in DATASETS[name].train_files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(b"not the data" * 1000)
    with pytest.raises(DataFilesError, match="md5") as caught:
        split(name, root=str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert f"ch6dist data {name}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_data_root_comes_from_the_environment_unless_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("CH6DIST_DATA", str(tmp_path / "environment"))
    with pytest.raises(DataFilesError, match="environment"):
        split("cifar100")
    with pytest.raises(DataFilesError, match="given"):
        split("cifar100", root=str(tmp_path / "given"))


class Attack:
    def __reduce__(self):
        return (os.mkdir, ("attacked",))


@pytest.mark.parametrize("payload", [Attack(), {b"data": [Attack()]}])
def test_a_pickle_that_names_code_is_not_run(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="not allowed in the pickle of a data set"):
        ArrayUnpickler(io.BytesIO(pickle.dumps(payload)), encoding="bytes").load()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["imagenet", "synthetic_mnist"])
def test_only_sets_with_files_can_be_downloaded(name, tmp_path):
    with pytest.raises(InputError, match="cifar100"):
        download(name, root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "theirs"), [("cifar10", torchvision.datasets.CIFAR10), ("cifar100", torchvision.datasets.CIFAR100)]
)
def test_the_checksums_of_cifar_are_torchvisions(name, theirs):
    entry = DATASETS[name]
    for ours, listed in ((entry.train_files, theirs.train_list), (entry.test_files, theirs.test_list)):
        assert [[file.path.removeprefix(f"{theirs.base_folder}/"), file.md5] for file in ours] == listed
    assert entry.names_file is not None
    assert Path(entry.names_file.path).name == theirs.meta["filename"]
    assert entry.names_file.md5 == theirs.meta["md5"]


# CIFAR-10's format, in files made here

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


class Python2Pickler(pickle._Pickler):
    """The pickles of CIFAR are Python 2's, whose text is bytes."""

    def save_text(self, text: str | bytes) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)

    dispatch: ClassVar[dict[type, object]] = {**pickle._Pickler.dispatch, str: save_text, bytes: save_text}


@pytest.fixture
def made_cifar10(tmp_path, monkeypatch):
    """Write 50 training images in five pickles, 20 test images and the names; the catalog knows their checksums."""
    source = np.random.default_rng(0)

    def written(file: DataFile, content: dict[str, object]) -> DataFile:
        path = tmp_path / file.path
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as opened:
            Python2Pickler(opened, protocol=2).dump(content)
        return DataFile(file.path, hashlib.md5(path.read_bytes()).hexdigest())

    def batch(count: int) -> dict[str, object]:
        pixels = source.integers(256, size=(count, 3 * 32 * 32), dtype=np.uint8)
        return {"data": pixels, "labels": source.integers(10, size=count).tolist(), "batch_label": "made"}

    entry = DATASETS["cifar10"]
    made = replace(
        entry,
        train_images=50,
        test_images=20,
        train_files=tuple(written(file, batch(10)) for file in entry.train_files),
        test_files=tuple(written(file, batch(20)) for file in entry.test_files),
        names_file=written(entry.names_file, {"label_names": CLASSES, "num_vis": 3072}),
    )
    monkeypatch.setitem(DATASETS, "cifar10", made)
    for kind in (False, True):
        files = made.train_files if kind else made.test_files
        theirs = [[Path(file.path).name, file.md5] for file in files]
        monkeypatch.setattr(torchvision.datasets.CIFAR10, "train_list" if kind else "test_list", theirs)
    meta = {**torchvision.datasets.CIFAR10.meta, "md5": made.names_file.md5}
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "meta", meta)
    return tmp_path


def test_cifar10_is_what_torchvision_reads_of_the_same_files(made_cifar10):
    theirs = {part: torchvision.datasets.CIFAR10(made_cifar10, train=part == "train") for part in ("train", "test")}
    images, labels = load_test(config("cifar10", root=str(made_cifar10)), device="cpu")
    assert torch.equal(images, torch.as_tensor(theirs["test"].data).permute(0, 3, 1, 2))
    assert labels.tolist() == theirs["test"].targets
    data = load_split(config("cifar10", root=str(made_cifar10), val_size=7), device="cpu")
    order = torch.randperm(50, generator=generator(0, "split"))
    pixels = torch.as_tensor(theirs["train"].data).permute(0, 3, 1, 2)[order]
    assert torch.equal(torch.cat([data.val_images, data.train_images]), pixels)
    targets = torch.tensor(theirs["train"].targets)[order]
    assert torch.equal(torch.cat([data.val_labels, data.train_labels]), targets)
    assert data.coarse_of_class is None
    names = class_names("cifar10", root=str(made_cifar10))
    assert list(names.classes) == theirs["train"].classes == CLASSES
    assert names.superclasses == ()


def test_intact_files_of_cifar10_are_not_downloaded_again(made_cifar10):
    assert download("cifar10", root=str(made_cifar10)) == made_cifar10


@pytest.mark.parametrize("file", [0, 4])
def test_each_of_the_five_files_of_cifar10_is_checked(file, made_cifar10):
    path = made_cifar10 / DATASETS["cifar10"].train_files[file].path
    path.write_bytes(path.read_bytes() + b".")
    with pytest.raises(DataFilesError, match=f"data_batch_{file + 1} is damaged"):
        split("cifar10", root=str(made_cifar10))


# The real sets


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cifar100", torchvision.datasets.CIFAR100),
        ("fashion_mnist", torchvision.datasets.FashionMNIST),
        ("mnist", torchvision.datasets.MNIST),
    ],
)
def test_test_images_and_labels_are_what_torchvision_reads(name, kind):
    real(name)
    images, labels = load_test(config(name), device="cpu")
    theirs = kind(data_root(), train=False, download=False)
    pixels = torch.as_tensor(theirs.data)
    pixels = pixels.permute(0, 3, 1, 2) if pixels.dim() == 4 else pixels[:, None]
    assert torch.equal(images, pixels)
    assert torch.equal(labels, torch.as_tensor(theirs.targets))
    assert len(images) == DATASETS[name].test_images


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("cifar100", [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),  # weiaicunzai/pytorch-cifar100, rounded
        ("fashion_mnist", [0.2860], [0.3530]),
        ("mnist", [0.1307], [0.3081]),
    ],
)
def test_the_whole_training_set_has_the_published_statistics(name, mean, std):
    real(name)
    entry = DATASETS[name]
    data = split(name, val_size=0)
    assert data.train_images.shape == (entry.train_images, entry.channels, entry.height, entry.width)
    assert data.mean.tolist() == pytest.approx(mean, abs=1e-4)
    assert data.std.tolist() == pytest.approx(std, abs=1e-4)
    if name == "cifar100":  # the constants most often copied, a little off
        assert data.mean.tolist() == pytest.approx([0.5071, 0.4867, 0.4408], abs=2e-4)
        assert data.std.tolist() == pytest.approx([0.2675, 0.2565, 0.2761], abs=2e-4)
    if name != "mnist":  # MNIST's digits are not equally many
        assert torch.bincount(data.train_labels).tolist() == [entry.train_images // entry.classes] * entry.classes
    assert download(name) == data_root(), "nothing to do where everything is in place"


@pytest.mark.real_data
def test_classes_of_cifar_have_their_superclasses():
    real("cifar100")
    data = split("cifar100", train_size=1000, val_size=100)
    with (data_root() / "cifar-100-python/meta").open("rb") as file:
        names = ArrayUnpickler(file, encoding="bytes").load()
    fine, coarse = ([n.decode() for n in names[key]] for key in (b"fine_label_names", b"coarse_label_names"))
    # Krizhevsky's own table
    for superclass, classes in {
        "fish": "aquarium_fish flatfish ray shark trout",
        "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
        "people": "baby boy girl man woman",
        "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
        "vehicles_2": "lawn_mower rocket streetcar tank tractor",
    }.items():
        members = [name for name, c in zip(fine, data.coarse_of_class, strict=True) if coarse[c] == superclass]
        assert members == classes.split()
    assert torch.bincount(data.coarse_of_class).tolist() == [5] * 20


@pytest.mark.real_data
def test_a_cifar_batch_keeps_to_the_default_augmentation():
    real("cifar100")
    settings = config("cifar100", train_size=1000, val_size=100)
    data = load_split(settings, device="cpu")
    plan = epoch_plan(seed=0, epoch=0, count=1000, augment=settings.augment, device="cpu")
    assert plan.offsets is not None
    assert plan.flips is not None
    images, labels = plan.batch(data, 0, 128, torch.float32)
    assert images.shape == (128, 3, 32, 32)
    assert torch.equal(labels, data.train_labels[plan.order[:128]])
    assert math.isfinite(images.sum().item())
