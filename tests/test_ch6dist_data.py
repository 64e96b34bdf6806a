"""Split, epoch plan, augmentation and normalisation; the synthetic sets; and the real files, where there are any."""

from __future__ import annotations

import dataclasses
import io
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from scipy import stats
from torchvision.transforms import functional as reference

from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import DataConfig, parse_section
from ch6dist.data import (
    PAD,
    EpochPlan,
    TrainData,
    _ArrayUnpickler,
    augment_images,
    channel_statistics,
    epoch_plan,
    load_split,
    load_test,
    normalize,
)
from ch6dist.datafiles import data_root
from ch6dist.download import download
from ch6dist.errors import InputError
from ch6dist.models import build_model
from ch6dist.synthetic import synthetic_images, synthetic_labels

torch.set_num_threads(1)

AUGMENTS = ("none", "flip", "crop", "crop_flip")
SYNTHETIC = [name for name, entry in DATASETS.items() if entry.synthetic]
REAL = [name for name, entry in DATASETS.items() if not entry.synthetic]


def config(name: str = "synthetic_mnist", **fields: object) -> DataConfig:
    return parse_section(DataConfig, {"name": name, **fields})


def split(name: str = "synthetic_mnist", **fields: object) -> TrainData:
    return load_split(config(name, **fields), device="cpu")


def real(name: str) -> None:
    entry = DATASETS[name]
    if not all((data_root() / file.path).is_file() for file in (*entry.train_files, *entry.test_files)):
        pytest.skip(f"no {name} under {data_root()}: `ch6dist data {name}` downloads it")


def random_images(count: int, *, channels: int = 3, side: int = 32) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), generator=source, dtype=torch.uint8)


# Augmentation and normalisation


def by_hand(image: torch.Tensor, offset: torch.Tensor | None, flip: bool) -> torch.Tensor:
    """One image, with torchvision: pad, cut out, mirror."""
    height, width = image.shape[1:]
    if offset is not None:
        image = reference.crop(reference.pad(image, [PAD] * 4), int(offset[0]), int(offset[1]), height, width)
    return reference.hflip(image) if flip else image


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 28, 28), (2, 9, 13)])
def test_a_batch_is_torchvisions_image_by_image(augment, channels, height, width):
    source = torch.Generator().manual_seed(1)
    images = torch.randint(256, (100, channels, height, width), generator=source, dtype=torch.uint8)
    labels, (mean, std) = torch.arange(100), channel_statistics(images)
    data = TrainData(images, labels, images[:0], labels[:0], mean, std, None)
    plan = epoch_plan(seed=0, epoch=0, count=100, augment=augment, device="cpu")
    batch = plan.batch(data, 20, 97, torch.float32)
    assert torch.equal(batch.labels, plan.order[20:97])
    for place, image in zip(range(20, 97), batch.images, strict=True):
        offset = None if plan.offsets is None else plan.offsets[place]
        flip = plan.flips is not None and bool(plan.flips[place])
        expected = by_hand(images[plan.order[place]], offset, flip).float() / 255
        torch.testing.assert_close(image, reference.normalize(expected, mean.tolist(), std.tolist()))


def test_an_offset_of_the_padding_and_no_flip_changes_nothing():
    images = random_images(5)
    middle = torch.full((5, 2), PAD)
    assert torch.equal(augment_images(images, offsets=middle, flips=torch.zeros(5, dtype=torch.bool)), images)


def test_the_outermost_crops_take_in_the_padding():
    images = random_images(2) | 1  # nothing is zero
    corners = augment_images(images, offsets=torch.tensor([[0, 0], [2 * PAD, 2 * PAD]]), flips=None)
    assert torch.equal(corners[0, :, PAD:, PAD:], images[0, :, :-PAD, :-PAD])
    assert torch.equal(corners[1, :, :-PAD, :-PAD], images[1, :, PAD:, PAD:])
    assert not corners[0, :, :PAD].any()
    assert not corners[1, :, -PAD:].any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_normalised_training_images_have_mean_0_and_deviation_1(dtype):
    images = random_images(200)
    result = normalize(images, *channel_statistics(images), dtype)
    assert result.dtype == dtype
    tolerance = {torch.float64: 1e-9, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    assert result.double().mean((0, 2, 3)).abs().max() < tolerance
    assert (result.double().std((0, 2, 3), correction=0) - 1).abs().max() < tolerance


def test_channel_statistics_are_numpys():
    images = random_images(50, side=17)
    pixels = images.numpy() / 255
    mean, std = channel_statistics(images)
    assert mean.tolist() == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert std.tolist() == pytest.approx(pixels.std((0, 2, 3)).tolist(), rel=1e-12)


# The epoch plan


@pytest.mark.parametrize("augment", AUGMENTS)
def test_a_plan_visits_every_image_once_and_draws_what_augment_says(augment):
    plan = epoch_plan(seed=0, epoch=3, count=1001, augment=augment, device="cpu")
    assert plan.order.sort().values.tolist() == list(range(1001))
    assert (plan.offsets is not None) == ("crop" in augment)
    assert (plan.flips is not None) == ("flip" in augment)


def test_order_crops_and_flips_are_the_same_whatever_else_is_drawn():
    plans = {a: epoch_plan(seed=0, epoch=3, count=500, augment=a, device="cpu") for a in AUGMENTS}
    both = plans["crop_flip"]
    assert all(torch.equal(plan.order, both.order) for plan in plans.values())
    assert torch.equal(plans["crop"].offsets, both.offsets)
    assert torch.equal(plans["flip"].flips, both.flips)


def test_crops_are_uniform_and_half_of_the_images_are_flipped():
    plan = epoch_plan(seed=0, epoch=0, count=50_000, augment="crop_flip", device="cpu")
    places = plan.offsets[:, 0] * (2 * PAD + 1) + plan.offsets[:, 1]
    assert stats.chisquare(torch.bincount(places, minlength=(2 * PAD + 1) ** 2).numpy()).pvalue > 1e-4
    assert stats.binomtest(int(plan.flips.sum()), 50_000, 0.5).pvalue > 1e-4


def test_other_seeds_and_epochs_are_other_plans():
    """Seed 1 epoch 0 is not seed 0 epoch 1, and neighbours have no order in common."""
    plans = [
        epoch_plan(seed=s, epoch=e, count=10_000, augment="crop_flip", device="cpu") for s in range(3) for e in range(3)
    ]
    for i, plan in enumerate(plans):
        for other in plans[:i]:
            assert (plan.order == other.order).sum() < 15  # a random permutation fixes one on average
            assert stats.binomtest(int((plan.flips == other.flips).sum()), 10_000, 0.5).pvalue > 1e-5


def test_batches_of_ranks_make_up_the_global_batch():
    data = split(train_size=300, val_size=10)
    plan = epoch_plan(seed=0, epoch=0, count=300, augment="crop_flip", device="cpu")
    whole = plan.batch(data, 100, 228, torch.float32)
    parts = [plan.batch(data, start, stop, torch.float32) for start, stop in ((100, 143), (143, 186), (186, 228))]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), whole.labels)


def test_plans_and_splits_are_equal_in_another_process(capsys):
    program = (
        "import torch, hashlib\n"
        "from ch6dist.config import DataConfig, parse_section\n"
        "from ch6dist.data import epoch_plan, load_split\n"
        "torch.set_num_threads(1)\n"
        "plan = epoch_plan(seed=1, epoch=2, count=999, augment='crop_flip', device='cpu')\n"
        "given = {'name': 'synthetic_mnist', 'train_size': 50, 'val_size': 50}\n"
        "data = load_split(parse_section(DataConfig, given), device='cpu')\n"
        "parts = [plan.order, plan.offsets, plan.flips, data.train_images, data.val_labels, data.mean]\n"
        "print(hashlib.sha256(b''.join(part.numpy().tobytes() for part in parts)).hexdigest())"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parent.parent,
        env={"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1"},
    ).stdout
    exec(program, {})
    assert capsys.readouterr().out == elsewhere


# The split


def test_the_validation_split_depends_on_its_seed_and_size_alone():
    small = split(train_size=100, val_size=200)
    large = split(train_size=5000, val_size=200)
    assert torch.equal(small.val_images, large.val_images)
    assert torch.equal(small.val_labels, large.val_labels)
    assert torch.equal(small.train_images, large.train_images[:100])
    other = split(train_size=100, val_size=200, seed=1)
    assert not torch.equal(small.val_labels, other.val_labels)


def test_training_and_validation_share_no_image():
    """Of the whole set: what is not in one is in the other, each image once."""
    data = split(val_size=1000)
    train, val = ({image.tobytes() for image in images.numpy()} for images in (data.train_images, data.val_images))
    everything = synthetic_images(DATASETS["synthetic_mnist"], "train", torch.arange(60_000))
    assert (len(train), len(val), len(train & val)) == (59_000, 1000, 0)
    assert train | val == {image.tobytes() for image in everything.numpy()}


def test_statistics_come_from_the_training_images_in_use():
    data = split("synthetic_cifar100", train_size=64, val_size=500)
    pixels = data.train_images.numpy() / 255
    assert data.mean.tolist() == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert data.std.tolist() == pytest.approx(pixels.std((0, 2, 3)).tolist(), rel=1e-12)


def test_no_validation_split_is_an_empty_one():
    data = split(train_size=100, val_size=0)
    assert data.val_images.shape == (0, 1, 28, 28)
    assert len(data.train_images) == 100


def test_a_process_loads_the_same_data_once():
    first = split(train_size=100, val_size=10)
    assert split(train_size=100, val_size=10, batch_size=7, augment="flip") is first
    assert split(train_size=101, val_size=10) is not first


# The synthetic sets


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_synthetic_set_has_the_shapes_and_counts_of_the_real_one(name):
    entry, twin = DATASETS[name], DATASETS[name.removeprefix("synthetic_")]
    same = {"name", "description", "synthetic", "train_files", "test_files"}
    fields = [field.name for field in dataclasses.fields(entry) if field.name not in same]
    assert {f: getattr(entry, f) for f in fields} == {f: getattr(twin, f) for f in fields}
    images, labels = load_test(config(name), device="cpu")
    assert images.shape == (entry.test_images, entry.channels, entry.height, entry.width)
    assert images.dtype == torch.uint8
    assert torch.bincount(labels).tolist() == [entry.test_images // entry.classes] * entry.classes
    data = split(name, train_size=50, val_size=20)
    assert data.train_images.shape == (50, entry.channels, entry.height, entry.width)
    assert (data.coarse_of_class is not None) == bool(entry.coarse_classes)
    if data.coarse_of_class is not None:
        per_coarse = entry.classes // entry.coarse_classes
        assert torch.bincount(data.coarse_of_class).tolist() == [per_coarse] * entry.coarse_classes


@pytest.mark.parametrize("name", SYNTHETIC)
def test_an_image_is_the_same_alone_and_among_others(name):
    entry, indices = DATASETS[name], torch.tensor([7, 4999, 31, 7])
    few = synthetic_images(entry, "train", indices)
    many = synthetic_images(entry, "train", torch.arange(5000))
    assert torch.equal(few, many[indices])
    assert not torch.equal(synthetic_images(entry, "test", indices), few)
    counts = torch.bincount(synthetic_labels(entry, "train"))
    assert counts.tolist() == [entry.train_images // entry.classes] * entry.classes


@pytest.mark.parametrize(
    ("name", "model", "steps", "low", "high"),
    [("synthetic_mnist", "simple_nn", 300, 0.5, 0.95), ("synthetic_cifar100", "lenet5", 250, 0.1, 0.9)],
)
def test_a_synthetic_set_can_be_learnt_but_not_at_once(name, model, steps, low, high):
    """Validation accuracy after part of an epoch: far above chance (0.1 and 0.01), and far from perfect."""
    entry, data = DATASETS[name], split(name, train_size=40_000, val_size=1000)
    shape = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
    net = build_model({"name": model}, **shape, seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    plan = epoch_plan(seed=0, epoch=0, count=40_000, augment="none", device="cpu")
    for step in range(steps):
        batch = plan.batch(data, step * 128, (step + 1) * 128, torch.float32)
        optimizer.zero_grad()
        F.cross_entropy(net(batch.images), batch.labels).backward()
        optimizer.step()
    net.eval()
    logits = net(normalize(data.val_images, data.mean, data.std, torch.float32))
    assert low < (logits.argmax(1) == data.val_labels).float().mean().item() < high


# Files


@pytest.mark.parametrize("name", REAL)
def test_missing_files_are_named_with_the_command_that_brings_them(name, tmp_path):
    for load in (load_split, load_test):
        with pytest.raises(InputError) as caught:
            load(config(name, root=str(tmp_path)), device="cpu")
        assert caught.value.key == "data.root"
        assert str(tmp_path) in str(caught.value)
        assert DATASETS[name].train_files[0].path in str(caught.value)
        assert f"ch6dist data {name}" in str(caught.value)


@pytest.mark.parametrize("name", REAL)
def test_damaged_files_are_refused(name, tmp_path):
    for file in DATASETS[name].train_files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).write_bytes(b"not the data" * 1000)
    with pytest.raises(InputError, match="md5") as caught:
        split(name, root=str(tmp_path))
    assert caught.value.key == "data.root"
    assert "\n" not in str(caught.value)


def test_the_data_root_comes_from_the_environment_unless_it_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("CH6DIST_DATA", str(tmp_path / "environment"))
    with pytest.raises(InputError, match="environment"):
        split("cifar100")
    with pytest.raises(InputError, match="given"):
        split("cifar100", root=str(tmp_path / "given"))


class Attack:
    def __reduce__(self):
        return (os.mkdir, ("attacked",))


@pytest.mark.parametrize("payload", [Attack(), {b"data": [Attack()]}])
def test_a_pickle_that_names_code_is_not_run(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match="no part of a data set"):
        _ArrayUnpickler(io.BytesIO(pickle.dumps(payload)), encoding="bytes").load()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["cifar10", "synthetic_mnist"])
def test_only_sets_with_files_can_be_downloaded(name, tmp_path):
    with pytest.raises(InputError, match="cifar100"):
        download(name, root=str(tmp_path))


def test_the_checksums_of_cifar_are_torchvisions():
    entry, theirs = DATASETS["cifar100"], torchvision.datasets.CIFAR100
    ours = [[file.path.removeprefix(f"{theirs.base_folder}/"), file.md5] for file in entry.train_files]
    assert ours == theirs.train_list
    assert [[Path(file.path).name, file.md5] for file in entry.test_files] == theirs.test_list


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
        names = _ArrayUnpickler(file, encoding="bytes").load()
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
    assert isinstance(plan, EpochPlan)
    assert plan.offsets is not None
    assert plan.flips is not None
    images, labels = plan.batch(data, 0, 128, torch.float32)
    assert images.shape == (128, 3, 32, 32)
    assert torch.equal(labels, data.train_labels[plan.order[:128]])
    assert math.isfinite(images.sum().item())
