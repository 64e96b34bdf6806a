"""Split, epoch plan, augmentation and normalisation, against torchvision and numpy."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torchvision.transforms import functional as reference

from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import parse_section, parse_trial
from ch6dist.data.images import (
    PAD,
    TrainData,
    augment_images,
    channel_statistics,
    epoch_plan,
    load_split,
    normalize,
)
from ch6dist.data.synthetic import synthetic_images
from ch6dist.errors import InputError
from ch6dist.trial_sections import DataConfig
from tests.support.programs import assert_same_elsewhere

torch.set_num_threads(1)

AUGMENTS = ("none", "flip", "crop", "crop_flip")


def config(name: str = "synthetic_mnist", **fields: object) -> DataConfig:
    return parse_section(DataConfig, {"name": name, **fields})


def split(name: str = "synthetic_mnist", **fields: object) -> TrainData:
    return load_split(config(name, **fields), device="cpu")


def random_images(count: int, *, channels: int = 3, side: int = 32) -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), generator=source, dtype=torch.uint8)


# Augmentation and normalisation


def by_hand(image: torch.Tensor, offset: torch.Tensor | None, flip: bool) -> torch.Tensor:
    """One image, with torchvision: pad, crop, flip."""
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
    for position, image in zip(range(20, 97), batch.images, strict=True):
        offset = None if plan.offsets is None else plan.offsets[position]
        flip = plan.flips is not None and bool(plan.flips[position])
        expected = by_hand(images[plan.order[position]], offset, flip).float() / 255
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
    positions = plan.offsets[:, 0] * (2 * PAD + 1) + plan.offsets[:, 1]
    assert stats.chisquare(torch.bincount(positions, minlength=(2 * PAD + 1) ** 2).numpy()).pvalue > 1e-4
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
        "from ch6dist.sections import parse_section\n"
        "from ch6dist.trial_sections import DataConfig\n"
        "from ch6dist.data.images import epoch_plan, load_split\n"
        "torch.set_num_threads(1)\n"
        "plan = epoch_plan(seed=1, epoch=2, count=999, augment='crop_flip', device='cpu')\n"
        "given = {'name': 'synthetic_mnist', 'train_size': 50, 'val_size': 50}\n"
        "data = load_split(parse_section(DataConfig, given), device='cpu')\n"
        "parts = [plan.order, plan.offsets, plan.flips, data.train_images, data.val_labels, data.mean]\n"
        "print(hashlib.sha256(b''.join(part.numpy().tobytes() for part in parts)).hexdigest())"
    )
    assert_same_elsewhere(program, capsys)


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
    """Training and validation together are the whole set, each image once."""
    data = split(val_size=1000)
    train, val = ({image.tobytes() for image in images.numpy()} for images in (data.train_images, data.val_images))
    everything = synthetic_images(DATASETS["synthetic_mnist"], "train", torch.arange(60_000))
    assert (len(train), len(val), len(train & val)) == (59_000, 1000, 0)
    assert train | val == {image.tobytes() for image in everything.numpy()}


def test_a_split_has_the_counts_that_were_asked_for_and_counts_that_cannot_be_are_refused():
    """83 and 17 % of MNIST are 49,800 and 10,200 images: said as counts, none is rounded, swapped or lost."""
    data = split(train_size=49_800, val_size=10_200)
    assert (len(data.train_images), len(data.val_images)) == (49_800, 10_200)
    assert (len(data.train_labels), len(data.val_labels)) == (49_800, 10_200)
    with pytest.raises(InputError, match=r"train_size: 50000 is not allowed; allowed: at most 49800"):
        config(train_size=50_000, val_size=10_200)


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


@pytest.mark.parametrize("name", ["synthetic_mnist", "cifar100"])
def test_a_split_that_moves_with_the_trials_seed_is_one_for_all_its_configurations(name):
    if name == "cifar100" and not data_root().joinpath("cifar-100-python/train").exists():
        pytest.skip("CIFAR-100 is not there")
    data = {"name": name, "train_size": 300, "val_size": 200}
    trials = [
        parse_trial({"data": data, "vary": ["split"], "seed": seed, "optimizer": {"name": "SGD", "lr": lr}})
        for seed in (0, 1)
        for lr in (0.1, 0.01)
    ]
    moved = [load_split(trial.data, device="cpu", seed=trial.split_seed) for trial in trials]
    fixed = load_split(trials[0].data, device="cpu")
    for one, other in ((moved[0], moved[1]), (moved[2], moved[3])):
        assert torch.equal(one.val_images, other.val_images)
        assert torch.equal(one.train_images, other.train_images)
    kept = [{image.tobytes() for image in part.val_images.numpy()} for part in (fixed, moved[0], moved[2])]
    assert all(len(a & b) < 20 for a, b in ((kept[0], kept[1]), (kept[0], kept[2]), (kept[1], kept[2])))
    train = {image.tobytes() for image in moved[0].train_images.numpy()}
    assert not train & kept[1], "no image is in both parts"
    with_seed = parse_trial({"data": {**data, "seed": 5}, "vary": "split"})
    other = load_split(with_seed.data, device="cpu", seed=with_seed.split_seed)
    assert not torch.equal(other.val_images, moved[0].val_images), "data.seed still counts"
