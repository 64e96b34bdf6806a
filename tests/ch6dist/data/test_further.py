"""TrivialAugment, erasing, mixup, CutMix and a user's own: as drawn, as published, the same however they are split."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from ch6dist.config import parse_trial
from ch6dist.data.further import Mixed, main_labels
from ch6dist.data.images import TrainData, channel_statistics, epoch_plan
from ch6dist.data.mixing import draw_erasing, draw_mixing, erase
from ch6dist.data.trivial import OPERATIONS, SCALES, SIGNED, draw_trivial, trivial
from ch6dist.errors import InputError
from ch6dist.packs import share

torch.set_num_threads(1)

ALL = ["crop", "flip", "trivial", "erase", {"name": "mixup", "alpha": 0.4}, "cutmix"]
ERASE = {"name": "erase", "probability": 0.5, "min_area": 0.02, "max_area": 0.4, "min_aspect": 0.3}
TRANSFORMS = dict(zip(OPERATIONS, v2.TrivialAugmentWide._AUGMENTATION_SPACE, strict=True))  # ours → torchvision's


def images_of(count: int, *, channels: int = 3, side: int = 32) -> torch.Tensor:
    source = torch.Generator().manual_seed(count)
    smooth = torch.rand(count, channels, 5, 5, generator=source)
    return (torch.nn.functional.interpolate(smooth, size=(side, side), mode="bicubic") * 255).clamp(0, 255).byte()


def data_of(count: int = 70, **shape: int) -> TrainData:
    images = images_of(count, **shape)
    return TrainData(images, torch.arange(count), images[:0], torch.arange(0), *channel_statistics(images), None)


def resolved(augment: Any) -> Any:
    return parse_trial({"data": {"name": "synthetic_cifar100", "augment": augment}}).data.augment


def plan_of(augment: Any, *, epoch: int = 1, count: int = 70, side: int = 32) -> Any:
    how = {"seed": 3, "count": count, "device": "cpu", "batch_size": 16, "shape": (side, side)}
    return epoch_plan(epoch=epoch, augment=resolved(augment), **how)


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_an_operation_is_torchvisions_to_within_a_grey_level(name, channels):
    number, images = list(OPERATIONS).index(name), images_of(12, channels=channels)
    space, signed = v2.TrivialAugmentWide._AUGMENTATION_SPACE[TRANSFORMS[name]]
    scale = space(31, 32, 32)
    torch.testing.assert_close(SCALES[number].float(), torch.zeros(31) if scale is None else scale.float())
    assert bool(SIGNED[number]) == signed
    for level, sign in itertools.product((0, 1, 9, 20, 30), (1, -1) if signed else (1,)):
        strength = SCALES[number, level] * sign
        ours = trivial(images, torch.full((12,), number), strength.expand(12))
        transform = v2.TrivialAugmentWide()
        theirs = transform._apply_image_or_video_transform(images, TRANSFORMS[name], float(strength), "nearest", {})
        apart = (ours.int() - theirs.int()).abs()
        assert apart.max() <= 1 or (apart > 1).double().mean() < 1e-3, (level, sign)
        assert (apart > 0).double().mean() < 0.01, (level, sign)


def test_each_image_has_its_own_operation_and_strength():
    drawn, images = draw_trivial(seed=0, epoch=0, count=60), images_of(60)
    together = trivial(images, drawn.operations, drawn.strengths)
    alone = [trivial(images[i : i + 1], drawn.operations[i : i + 1], drawn.strengths[i : i + 1]) for i in range(60)]
    assert (together.int() - torch.cat(alone).int()).abs().max() <= 1
    assert (together != images).flatten(1).any(1).double().mean() > 0.6


def test_operations_strengths_and_signs_are_uniform_and_independent_of_each_other():
    drawn = draw_trivial(seed=0, epoch=0, count=60_000)
    assert stats.chisquare(drawn.operations.bincount(minlength=len(OPERATIONS)).numpy()).pvalue > 1e-3
    rotations = drawn.strengths[drawn.operations == list(OPERATIONS).index("rotate")]
    levels = (rotations.abs() / 4.5).round().long().bincount(minlength=31)
    assert stats.chisquare(levels.numpy()).pvalue > 1e-3
    assert abs(float((rotations[rotations != 0] > 0).double().mean()) - 0.5) < 0.03


def test_erasing_fills_rectangles_of_the_stated_areas_and_is_torchvisions():
    boxes, images = draw_erasing(ERASE, seed=0, epoch=0, count=20_000, height=32, width=32), images_of(50)
    fill = torch.tensor([1, 2, 3], dtype=torch.uint8)
    found = erase(images, boxes[:50], fill)
    for box, image, after in zip(boxes[:50].tolist(), images, found, strict=True):
        expected = reference.erase(image, *box, fill[:, None, None].expand(3, *box[2:])) if any(box) else image
        assert torch.equal(after, expected)
    top, left, height, width = boxes[boxes.any(1)].T
    assert ((top >= 0) & (left >= 0) & (top + height <= 32) & (left + width <= 32)).all()
    assert abs(float(boxes.any(1).double().mean()) - 0.5) < 0.02
    areas = (height * width).double() / 1024
    assert 0.01 < float(areas.min()) < 0.03
    assert 0.38 < float(areas.max()) < 0.43
    assert float((height.double() / width).log().mean().abs()) < 0.05


def test_mixup_draws_weights_of_its_beta_distribution_and_partners_within_the_batch():
    mixing = draw_mixing({"mixup": {"alpha": 0.4, "probability": 1.0}}, seed=0, epoch=0, count=8000, batch_size=2,
                         height=8, width=8)  # fmt: skip
    assert torch.equal(mixing.partners // 2, torch.arange(8000) // 2)
    weights = mixing.weights.view(-1, 2)
    assert torch.equal(weights[:, 0], weights[:, 1])
    assert stats.kstest(weights[:, 0].numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    assert not mixing.boxes.any()


def test_mixed_images_are_the_formulas_of_the_papers():
    plan, data = plan_of(["mixup", "cutmix"]), data_of()
    mixing, kinds = plan.further.mixing, set()
    for start in range(0, 70, 16):
        batch = slice(start, min(start + 16, 70))
        found, plain = plan.batch(data, batch.start, batch.stop, torch.float64), plan_of("none")
        images, labels = plain.batch(data, batch.start, batch.stop, torch.float64)
        others = mixing.partners[batch] - start
        weight, (top, left, height, width) = mixing.weights[start], mixing.boxes[start].tolist()
        if height * width:
            expected, kind = images.clone(), "cutmix"
            box = (..., slice(top, top + height), slice(left, left + width))
            expected[box] = images[others][box]
            assert weight == pytest.approx(1 - height * width / 1024)
        else:
            expected, kind = weight * images + (1 - weight) * images[others], "mixup"
        kinds.add(kind)
        torch.testing.assert_close(found.images, expected, rtol=1e-12, atol=1e-12)
        assert torch.equal(found.labels.labels, labels)
        assert torch.equal(found.labels.others, labels[others])
        assert torch.equal(main_labels(found.labels), labels if weight >= 0.5 else labels[others])
    assert kinds == {"mixup", "cutmix"}


@pytest.mark.parametrize("augment", [ALL, ["trivial"], ["erase", "cutmix"], ["mixup"]])
@pytest.mark.parametrize("world_size", [2, 3])
def test_the_shares_of_the_ranks_are_the_batch_of_one(augment, world_size):
    plan, data = plan_of(augment), data_of()
    for start in range(0, 70, 16):
        whole = slice(start, min(start + 16, 70))
        one = plan.batch(data, whole.start, whole.stop, torch.float32)
        rows = [share(whole.start, whole.stop, rank=rank, world_size=world_size) for rank in range(world_size)]
        parts = [plan.batch(data, *low_high, torch.float32, whole=whole) for low_high in rows]
        assert torch.equal(torch.cat([part.images for part in parts]), one.images)
        if isinstance(one.labels, Mixed):
            for own, pieces in zip(one.labels, zip(*(part.labels for part in parts), strict=True), strict=True):
                assert torch.equal(torch.cat(list(pieces)), own)


def test_what_is_drawn_depends_on_seed_and_epoch_alone_and_each_leaves_the_others_as_they_are():
    data, alone, all_ = data_of(), plan_of(["trivial"]), plan_of(ALL)
    again, other = plan_of(ALL), plan_of(ALL, epoch=2)
    batches = [plan.batch(data, 0, 16, torch.float32).images for plan in (all_, again, other)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert torch.equal(all_.order, plan_of("none").order)
    assert torch.equal(all_.offsets, plan_of("crop").offsets)
    steps = [plan.further.steps[0].words(5) for plan in (alone, all_)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("crop_flip", "crop_flip"), (["flip", "crop"], "crop_flip"), (["crop_flip"], "crop_flip"), ([], "none"),
        (["none"], "none"), ("flip", "flip"), ({"name": "crop"}, "crop"), ("trivial", [{"name": "trivial"}]),
        (["trivial", "flip"], [{"name": "flip"}, {"name": "trivial"}]),
        ({"name": "mixup", "alpha": "0.2"}, [{"name": "mixup", "alpha": 0.2, "probability": 1.0}]),
    ],
)  # fmt: skip
def test_lists_that_mean_the_same_are_the_same(given, expected):
    assert resolved(given) == expected
    assert resolved(resolved(given)) == expected


@pytest.mark.parametrize(
    ("given", "key", "part"),
    [
        ("trivail", "data.augment", "did you mean 'trivial'"), (["crop", "crop_flip"], "data.augment", "once"),
        (["none", "flip"], "data.augment", "nothing beside"), (7, "data.augment", "a list of names"),
        ({"name": "mixup", "alpha": 0}, "data.augment.alpha", "> 0"), ({"name": "flip", "p": 1}, "data.augment.p", ""),
        ({"name": "erase", "min_area": 0.5}, "data.augment.min_area", "at most max_area"),
        ("nowhere:f", "data.augment", "can be imported"),
    ],
)  # fmt: skip
def test_what_is_no_augmentation_is_refused_by_key_and_value(given, key, part):
    with pytest.raises(InputError) as caught:
        resolved(given)
    assert caught.value.key == key
    assert part in str(caught.value)


OWN = """
import random, numpy, torch
def noise(images, generator, strength: int = 9):
    drawn = torch.randint(strength, images.shape, generator=generator)
    drawn = drawn + random.randrange(3) + int(numpy.random.randint(3)) + torch.randint(3, (1,))
    return (images.int() + drawn).clamp(0, 255).to(torch.uint8)
def half(images, generator):
    return images[::2]
def broken(images, generator):
    raise ValueError("no such colour")
"""


def test_a_users_own_function_draws_the_same_in_every_split_and_has_its_code_in_the_trial(tmp_path, monkeypatch):
    (tmp_path / "myaug.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    augment = ["crop", {"name": "myaug:noise", "strength": 5}, "mixup"]
    item = resolved(augment)[1]
    assert (item["name"], item["strength"], len(item["code"])) == ("myaug:noise", 5, 12)
    data, plan = data_of(), plan_of(augment)
    one = plan.batch(data, 16, 32, torch.float32)
    parts = [plan.batch(data, *rows, torch.float32, whole=slice(16, 32)) for rows in ((16, 21), (21, 32))]
    assert torch.equal(torch.cat([part.images for part in parts]), one.images)
    assert not torch.equal(one.images, plan_of(["crop", "mixup"]).batch(data, 16, 32, torch.float32).images)
    before = torch.random.get_rng_state()
    plan.batch(data, 16, 32, torch.float32)
    assert torch.equal(before, torch.random.get_rng_state())
    for name, part in (
        ("half", "returns a batch as it was given"),
        ("broken", "ValueError: no such colour (myaug.py:"),
    ):
        with pytest.raises(InputError, match=r"data\.augment: 'myaug:") as caught:
            resolved(f"myaug:{name}")
        assert part in str(caught.value)
