"""Every model of the catalog: sizes, initial weights, the images it takes; and the dropout whose masks are a hash."""

from __future__ import annotations

import copy
import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
import torchvision
from scipy import stats
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.errors import InputError
from ch6dist.models.build import _BUILDERS, Shape, build_model
from ch6dist.models.dropout import GOLDEN, Dropout, dropout_key, dropout_mask, set_dropout_position, splitmix64
from tests.support.programs import assert_same_elsewhere

torch.set_num_threads(1)

CIFAR = {"channels": 3, "height": 32, "width": 32, "classes": 100}
MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}
WITH_DROPOUT = [name for name, entry in MODELS.items() if "dropout" in {p.name for p in entry.parameters}]


def parameters_of(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def mask(*, seed: int = 0, layer: int = 0, step: int = 0, rows: int = 100, row: int = 1000, p: float = 0.5, first=0):
    position = torch.tensor(step)
    return dropout_mask((rows, row), p=p, key=dropout_key(seed, layer=layer), step=position, first_row=first)


def test_every_model_of_the_catalog_can_be_built_and_no_other():
    assert _BUILDERS.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("images", ["cifar100", "mnist"])
def test_a_model_maps_images_to_logits_and_learns_from_every_parameter(name, images):
    entry = DATASETS[images]
    shape = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
    model = build_model({"name": name}, **shape, seed=0)
    logits = model(torch.randn(4, entry.channels, entry.height, entry.width))
    assert logits.shape == (4, entry.classes)
    F.cross_entropy(logits, torch.arange(4)).backward()
    for where, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32
        assert parameter.grad is not None, where
        assert parameter.grad.abs().sum() > 0, where


@pytest.mark.parametrize("name", MODELS)
def test_the_sizes_in_the_catalog_are_what_is_counted(name):
    entry, batch = MODELS[name], 2
    model = build_model({"name": name}, **CIFAR, seed=0)
    outputs = []

    def keep(module: nn.Module, given: tuple[torch.Tensor], output: torch.Tensor) -> None:
        if output is not given[0]:
            outputs.append(output.nbytes)

    for layer in model.modules():
        if not list(layer.children()):
            layer.register_forward_hook(keep)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(torch.randn(batch, 3, 32, 32)), torch.arange(batch)).backward()
    assert parameters_of(model) == entry.size.parameter_count
    assert counter.get_total_flops() / batch / 1e6 == pytest.approx(entry.size.mflop_per_image, rel=0.01)
    assert sum(outputs) / batch == pytest.approx(entry.size.activation_bytes_per_image, rel=0.02)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("lenet5", CIFAR, 69_656),
        ("lenet_like", CIFAR, 90_776),
        ("convnet", MNIST, 3_199_106),
        ("simple_nn", MNIST, 101_770),
        ("lenet5", {**CIFAR, "classes": 10, "channels": 1}, 61_706),  # the usual count on 1×32×32 images
    ],
)
def test_parameter_counts_are_the_chapters(name, shape, expected):
    assert parameters_of(build_model({"name": name}, **shape, seed=0)) == expected


def test_resnet18_is_torchvisions_with_the_cifar_stem():
    ours = build_model({"name": "resnet18"}, **CIFAR, seed=0).eval()
    theirs = torchvision.models.resnet18(num_classes=100).eval()
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(images), theirs(images))


def test_lenet5_starts_at_the_loss_of_a_guess():
    source = torch.Generator().manual_seed(0)
    images, labels = torch.randn(500, 3, 32, 32, generator=source), torch.arange(500) % 100
    model = build_model({"name": "lenet5"}, **CIFAR, seed=0)
    assert F.cross_entropy(model(images), labels).item() == pytest.approx(math.log(100), abs=0.02)  # 4.60517


@pytest.mark.parametrize("name", MODELS)
def test_no_convolution_before_batch_normalisation_has_a_bias(name):
    layers = build_model({"name": name}, **CIFAR, seed=0).modules()
    normalised = [a for a, b in pairwise(layers) if isinstance(b, nn.BatchNorm2d)]
    assert all(isinstance(layer, nn.Conv2d) and layer.bias is None for layer in normalised)
    assert len(normalised) == {"conv3bn": 3, "resnet18": 20}.get(name, 0)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", MODELS)
def test_images_below_the_smallest_side_are_refused_and_at_it_work(name):
    side = MODELS[name].min_side
    shape = {"channels": 3, "height": side, "width": side + 3, "classes": 5}
    model = build_model({"name": name}, **shape, seed=0)
    assert model(torch.randn(2, 3, side, side + 3)).shape == (2, 5)
    if side > 1:
        with pytest.raises(InputError, match=f"{name} needs at least {side}×{side}") as caught:
            build_model({"name": name}, **{**shape, "height": side - 1}, seed=0)
        assert caught.value.key == "model.name"
        defaults = MODELS[name].resolve({})
        with pytest.raises((RuntimeError, ValueError, ZeroDivisionError)):  # the limit is the model's, not ours
            _BUILDERS[name](Shape(3, side - 1, side - 1, 5), **defaults)(torch.randn(2, 3, side - 1, side - 1))


@pytest.mark.parametrize(
    ("config", "key", "expected"),
    [
        ({"name": "lenet"}, "model.name", "did you mean 'lenet5'"),
        ({}, "model.name", "one of lenet5"),
        ({"name": "lenet5", "dropout": 1.0}, "dropout", "< 1"),
        ({"name": "lenet5", "drop_out": 0.5}, "drop_out", "did you mean 'dropout'"),
        ({"name": "cnn2", "n_feature": 0}, "n_feature", "≥ 1"),
        ({"name": "convnet", "dropout": 0.5}, "dropout", "convnet takes nothing"),
    ],
)
def test_bad_input_is_one_line_that_says_what_is_allowed(config, key, expected):
    with pytest.raises(InputError) as caught:
        build_model(config, **CIFAR, seed=0)
    assert caught.value.key == key
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", MODELS)
def test_one_seed_gives_one_set_of_weights(name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_model({"name": name}, **CIFAR, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), before), "the global generator was drawn from"
    torch.manual_seed(2)
    again = build_model({"name": name}, **CIFAR, seed=3).state_dict()
    other = build_model({"name": name}, **CIFAR, seed=4).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    weights = [k for k in first if k.endswith("weight") and first[k].dim() > 1]
    assert not any(torch.equal(first[k], other[k]) for k in weights)


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_dropout_leaves_the_initial_weights_alone(name):
    without = build_model({"name": name, "dropout": 0.0}, **CIFAR, seed=0).state_dict()
    with_it = build_model({"name": name, "dropout": 0.7}, **CIFAR, seed=0).state_dict()
    assert without.keys() == with_it.keys(), "where dropout stands is no part of a checkpoint"
    assert all(torch.equal(without[k], with_it[k]) for k in without)


def test_weights_and_masks_are_equal_in_another_process(capsys):
    program = (
        "import torch, hashlib\n"
        "from ch6dist.models.build import *\nfrom ch6dist.models.dropout import *\n"
        "torch.set_num_threads(1)\n"
        "m = build_model({'name': 'lenet5'}, channels=3, height=32, width=32, classes=100, seed=5)\n"
        "k = dropout_mask((64, 100), p=0.3, key=dropout_key(5, layer=1), step=torch.tensor(9), first_row=7)\n"
        "b = b''.join(p.detach().numpy().tobytes() for p in m.parameters()) + k.numpy().tobytes()\n"
        "print(hashlib.sha256(b).hexdigest())"
    )
    assert_same_elsewhere(program, capsys)


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        # published outputs of SplitMix64: Rosetta Code, and the reference implementation for seed 0
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]),
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
    ],
)
def test_the_hash_is_splitmix64(seed, expected):
    states = seed + torch.arange(len(expected)) * GOLDEN
    assert [value % 2**64 for value in splitmix64(states).tolist()] == expected


def test_bits_of_the_hash_are_uniform():
    """Chi-square over the 256 values of each byte, of a million counters, as masks use them."""
    bits = splitmix64(dropout_key(0, layer=0) + torch.arange(1_000_000) * GOLDEN)
    for byte in range(8):
        values = (bits >> (8 * byte)) & 255
        assert stats.chisquare(torch.bincount(values, minlength=256).numpy()).pvalue > 1e-4, f"byte {byte}"


@pytest.mark.parametrize("p", [0.05, 0.2, 0.3, 0.5, 0.9])
def test_the_kept_share_is_within_binomial_bounds(p):
    kept = int(mask(p=p).sum())
    low, high = stats.binom.interval(1 - 1e-5, 100_000, 1 - p)
    assert low <= kept <= high


def test_masks_of_other_steps_layers_and_seeds_are_unrelated():
    """Correlations of masks with 100,000 elements: within five standard deviations (0.0032) of zero."""
    base = mask(step=10)
    others = [mask(step=s) for s in (0, 9, 11, 12, 110)]
    others += [mask(step=10, layer=n) for n in (1, 2)] + [mask(step=10, seed=s) for s in (1, 2, 10)]
    others += [mask(step=10, first=100), mask(step=10, first=1)]
    for other in others:
        pair = torch.stack([base.flatten(), other.flatten()]).double()
        assert abs(torch.corrcoef(pair)[0, 1].item()) < 5 / math.sqrt(100_000)


def test_elements_and_rows_of_one_mask_are_unrelated():
    drawn = mask().double() - 0.5
    for lag in (1, 2, 8, 999, 1000, 1001):
        flat = drawn.flatten()
        correlation = (flat[lag:] * flat[:-lag]).mean().item() / 0.25
        assert abs(correlation) < 5 / math.sqrt(100_000 - lag)


@pytest.mark.parametrize("cut", [1, 37, 64, 99])
def test_slices_of_the_batch_have_their_rows_of_the_whole_mask(cut):
    parts = torch.cat([mask(rows=cut, first=5), mask(rows=100 - cut, first=5 + cut)])
    assert torch.equal(parts, mask(first=5))


def test_lanes_with_their_own_seeds_get_their_solo_masks():
    keys = torch.tensor([dropout_key(seed, layer=1) for seed in (0, 1, 2)])[:, None, None]
    together = dropout_mask((8, 20), p=0.5, key=keys, step=torch.tensor(4), first_row=0)
    alone = [mask(seed=seed, layer=1, step=4, rows=8, row=20) for seed in (0, 1, 2)]
    assert torch.equal(together, torch.stack(alone))


def test_dropout_scales_what_it_keeps_and_is_the_identity_in_evaluation():
    layer = Dropout(0.2, layer=0)
    x = torch.randn(50, 40, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    kept = mask(rows=50, row=40, p=0.2)
    torch.testing.assert_close(y, torch.where(kept, x / 0.8, torch.zeros_like(x)))
    y.sum().backward()
    torch.testing.assert_close(x.grad, kept / torch.tensor(0.8, dtype=torch.float64))
    assert layer.eval()(x) is x


def test_a_dropout_that_is_used_several_times_has_a_mask_for_each_use():
    layer, x = Dropout(0.5, layer=0), torch.ones(20, 30)
    uses = []
    for _ in range(2):
        set_dropout_position(layer, seed=0, step=3, first_row=0)
        uses.append([layer(x), layer(x)])
    (first, second), (again, and_again) = uses
    assert not torch.equal(first, second)
    assert torch.equal(first, again)
    assert torch.equal(second, and_again)


def test_a_checkpointed_part_of_a_network_is_computed_again_with_the_same_masks():
    """Its backward pass computes the forward pass again; where that cannot have the same masks, it says so."""
    layer, x = Dropout(0.5, layer=0), torch.ones(20, 30, requires_grad=True)
    set_dropout_position(layer, seed=0, step=3, first_row=0)
    out = torch.utils.checkpoint.checkpoint(lambda y: layer(y).square(), x, use_reentrant=False)
    out.sum().backward()
    assert torch.equal(x.grad != 0, out != 0)
    set_dropout_position(layer, seed=0, step=3, first_row=0)
    twice = torch.utils.checkpoint.checkpoint(lambda y: layer(layer(y)).square(), x, use_reentrant=False)
    with pytest.raises(RuntimeError, match="several times"):
        twice.sum().backward()


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_a_split_batch_sees_the_masks_of_the_whole(name):
    """Two ranks with their own first row, against one process."""
    model = build_model({"name": name, "dropout": 0.5}, **CIFAR, seed=0).double()
    images = torch.randn(12, 3, 32, 32, dtype=torch.float64)
    set_dropout_position(model, seed=0, step=3, first_row=0)
    whole = model(images)
    set_dropout_position(model, seed=0, step=3, first_row=0)
    first = model(images[:5])
    set_dropout_position(model, seed=0, step=torch.tensor(3), first_row=5)
    torch.testing.assert_close(torch.cat([first, model(images[5:])]), whole)
    set_dropout_position(model, seed=0, step=4, first_row=0)
    assert not torch.allclose(model(images), whole)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(images), model(images))
