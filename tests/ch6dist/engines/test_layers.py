"""Lane layers: each layer over K lanes is the layer of each lane, and the kernel variant that ran fastest is picked."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ch6dist.catalog.models import MODELS
from ch6dist.engines import kernels as kernels_module
from ch6dist.engines.graph import lane_layer
from ch6dist.engines.kernels import CONVOLUTIONS, AutotuneCache, fastest, lanes_key
from ch6dist.engines.lanes import Activations, Rows, lanes_first
from ch6dist.models.build import ResidualBlock, build_model
from ch6dist.models.dropout import Dropout, dropout_key, set_dropout_position

torch.set_num_threads(1)
CPU = torch.device("cpu")
LANES, IMAGES = 6, 5
AB = ("a", "b")


def lanes_of(module, count=LANES):
    """`count` copies of a module in fp64 with weights and statistics of their own."""
    source, copies = torch.Generator().manual_seed(0), []
    for _ in range(count):
        one = copy.deepcopy(module).double()
        for tensor in [*one.parameters(), *(b for b in one.buffers() if b.is_floating_point())]:
            tensor.data.copy_(torch.rand(tensor.shape, generator=source, dtype=torch.float64) + 0.1)
        copies.append(one)
    return copies


def rows_of(modules, *, training=True, group_of=None, steps=None, seeds=None):
    weights = {
        n: torch.stack([dict(m.named_parameters())[n].detach() for m in modules])
        for n, _ in modules[0].named_parameters()
    }
    buffers = {
        n: torch.stack([dict(m.named_buffers())[n].clone() for m in modules]) for n, _ in modules[0].named_buffers()
    }
    keys = {
        layer: torch.tensor([dropout_key(s, layer=layer) for s in seeds or [0] * len(modules)]) for layer in range(8)
    }
    return Rows(
        lanes=len(modules),
        weights={name: tensor.requires_grad_() for name, tensor in weights.items()},
        buffers=buffers,
        group_of=group_of,
        step=torch.tensor(steps or [0] * len(modules)),
        keys=keys,
        training=training,
        autotune=AutotuneCache(),
    )


def images(groups, channels=3, side=12):
    source = torch.Generator().manual_seed(1)
    return torch.randn(groups, IMAGES, channels, side, side, generator=source, dtype=torch.float64)


def side_by_side(maps):
    """[G, B, C, H, W] as the engine feeds them: [B, G·C, H, W]."""
    return Activations(maps.transpose(0, 1).flatten(1, 2), len(maps))


def assert_equal_per_lane(module, maps, lane_sees, *, group_of=None, training=True):
    """Outputs, gradients and buffers of the lane layer against each lane's own module."""
    modules = lanes_of(module)
    rows = rows_of(modules, group_of=group_of, training=training)
    out = lane_layer(module)(side_by_side(maps), rows)
    apart = lanes_first(out)
    assert out.width == LANES
    found = torch.autograd.grad(apart.square().sum(), list(rows.weights.values()))
    for lane, one in enumerate(modules):
        expected = one.train(training)(maps[lane_sees[lane]])
        assert torch.allclose(apart[lane], expected, rtol=1e-11, atol=1e-11)
        gradients = torch.autograd.grad(expected.square().sum(), list(one.parameters()))
        for ours, solo in zip(found, gradients, strict=True):
            assert torch.allclose(ours[lane], solo, rtol=1e-9, atol=1e-9 * float(solo.abs().max()))
        for name, buffer in one.named_buffers():
            assert torch.allclose(rows.buffers[name][lane], buffer, rtol=1e-12), name


LAYERS = {
    "conv": nn.Conv2d(3, 4, 3),
    "conv stride": nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 7)),
    "linear without bias": nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(3 * 6 * 6, 7, bias=False)),
    "batch norm": nn.BatchNorm2d(3),
    "conv, batch norm, pool": nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)
    ),
    "residual": ResidualBlock(3, 3, stride=1),
    "residual, projected": nn.Sequential(nn.Conv2d(3, 4, 1), ResidualBlock(4, 6, stride=2), nn.AdaptiveAvgPool2d(1)),
    "grouped conv": nn.Conv2d(3, 6, 3, groups=3),
    "grouped conv after a conv": nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3, groups=2, stride=2)),
    "dilated conv": nn.Conv2d(3, 4, 3, dilation=2),
    "uneven conv": nn.Conv2d(3, 4, (3, 5), stride=(2, 1), padding=(0, 2)),
    "conv of the same size": nn.Conv2d(3, 4, 5, padding="same"),
    "conv with replicated edges": nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate"),
    "group norm": nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.SiLU()),
    "layer norm of maps": nn.LayerNorm([3, 12, 12]),
    "layer norm without a bias": nn.Sequential(nn.Flatten(2), nn.LayerNorm(144, bias=False)),
    "linear on tokens": nn.Sequential(nn.Flatten(2), nn.Linear(144, 5), nn.GELU(), nn.Linear(5, 4)),
    "batch norm of vectors": nn.Sequential(nn.Flatten(), nn.Linear(432, 4, bias=False), nn.BatchNorm1d(4)),
    "average pooling": nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.AvgPool2d(3, 2), nn.Tanh()),
    # without a lane layer of their own
    "norms and activations": nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.PReLU(), nn.Flatten(), nn.Linear(400, 5), nn.LayerNorm(5)
    ),
    "norm of instances": nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.InstanceNorm2d(4, affine=True)),
}  # fmt: skip


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_over_lanes_is_the_layer_of_each_lane(name, training):
    for groups in (1, 2, LANES):  # images shared by all, by halves, by none
        sees = [lane * groups // LANES for lane in range(LANES)]
        assert_equal_per_lane(LAYERS[name], images(groups), sees, training=training)


@pytest.mark.parametrize("name", ["conv, batch norm, pool", "linear", "residual", "grouped conv"])
def test_lanes_may_share_images_unevenly(name):
    sees = [0, 2, 2, 1, 0, 2]
    assert_equal_per_lane(LAYERS[name], images(3), sees, group_of=torch.tensor(sees))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_the_catalog_has_lane_layers(model, monkeypatch):
    """With dropout by each lane's own seed and step, where a model has any."""
    monkeypatch.setattr(
        AutotuneCache, "choose", lambda self, key, allowed, measure: self.choices.setdefault(key, "grouped")
    )
    sizes = {"channels": 3, "height": 16, "width": 16, "classes": 10}
    parameters = {"dropout": 0.4} if "dropout" in MODELS[model].resolve({}) else {}
    seeds, steps = [0, 3], [5, 70]
    modules = [build_model({"name": model, **parameters}, **sizes, seed=seed).double() for seed in seeds]
    maps, rows = images(1, side=16), rows_of(modules, seeds=seeds, steps=steps)
    logits = lane_layer(modules[0])(side_by_side(maps), rows).values
    for lane, module in enumerate(modules):
        set_dropout_position(module, seed=seeds[lane], step=steps[lane], first_row=0)
        assert torch.allclose(logits[lane], module(maps[0]), rtol=1e-9, atol=1e-11)


def test_dropout_on_maps_drops_what_each_lane_alone_would_drop():
    modules = [Dropout(0.5, layer=2) for _ in range(LANES)]
    seeds, steps = list(range(LANES)), list(range(10, 10 + LANES))
    maps = images(LANES)
    out = lane_layer(modules[0])(side_by_side(maps), rows_of(modules, seeds=seeds, steps=steps)).values
    for lane, module in enumerate(modules):
        set_dropout_position(module, seed=seeds[lane], step=steps[lane], first_row=0)
        assert torch.equal(out.unflatten(1, (LANES, -1))[:, lane], module(maps[lane]))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 4), per_group=st.integers(1, 3), channels=st.integers(1, 3), maps=st.integers(1, 4),
    kernel=st.integers(1, 3), stride=st.integers(1, 2), padding=st.integers(0, 2), side=st.integers(3, 8),
    bias=st.booleans(),
)  # fmt: skip
def test_all_kernel_variants_of_a_convolution_agree(
    width, per_group, channels, maps, kernel, stride, padding, side, bias
):
    source = torch.Generator().manual_seed(width * 100 + side)
    lanes = width * per_group
    x = torch.randn(2, width * channels, side, side, generator=source, dtype=torch.float64)
    weight = torch.randn(lanes, maps, channels, kernel, kernel, generator=source, dtype=torch.float64)
    shift = torch.randn(lanes, maps, generator=source, dtype=torch.float64) if bias else None
    found = {
        name: variant(x, weight, shift, width=width, stride=stride, padding=padding)
        for name, variant in CONVOLUTIONS.items()
    }
    for out in found.values():
        assert out.shape == found["grouped"].shape
        assert torch.allclose(out, found["grouped"], rtol=1e-11, atol=1e-11)


# The autotune cache


def never():
    raise AssertionError("it was measured again")


def test_the_fastest_kernel_variant_is_chosen_once_and_kept(monkeypatch):
    monkeypatch.setattr(kernels_module, "seconds", lambda run, *, device: run())
    cache, slow_and_fast = AutotuneCache(), {"a": lambda: 2.0, "b": lambda: 1.0}
    assert cache.choose("shape", AB, lambda: fastest(slow_and_fast, device=CPU)) == "b"
    assert cache.choose("shape", AB, never) == "b"
    assert cache.choose("another shape", AB, lambda: "a") == "a"
    assert cache.choices == {"shape": "b", "another shape": "a"}


@pytest.mark.parametrize("where", ["checkpoint", "run"])
def test_a_kernel_variant_from_another_version_is_measured_again(where):
    unknown = {"shape": "winograd"} if where == "checkpoint" else {": shape": "winograd"}
    cache = AutotuneCache({} if where == "checkpoint" else unknown)
    cache.restore(unknown if where == "checkpoint" else {})
    assert cache.choose("shape", AB, lambda: "b") == "b"
    assert cache.choose("shape", AB, never) == "b"


def test_a_kernel_variant_that_does_not_fit_into_memory_is_not_picked():
    def too_large():
        raise torch.OutOfMemoryError("no memory")

    assert fastest({"large": too_large, "small": lambda: None}, device=CPU) == "small"


def test_measuring_ends_soon_for_a_slow_kernel_variant(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(kernels_module, "_now", lambda device: float(next(clock)))
    calls = []
    kernels_module.seconds(lambda: calls.append(1), device=CPU)
    assert len(calls) == 2


@pytest.mark.parametrize(("lanes", "key"), [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32)])
def test_lane_counts_share_a_measurement_up_to_a_power_of_two(lanes, key):
    assert lanes_key(lanes) == key


class Run:
    """The choices of a run, as its driver keeps them: of several under one key the first counts."""

    def __init__(self):
        self.choices, self.lines = {}, []

    def record(self, key, choice):
        self.lines.append((key, choice))
        self.choices.setdefault(key, choice)

    def pack(self, context="this processor, fp32"):
        cache = AutotuneCache(self.choices, self.record)
        cache.context = context
        return cache


def test_a_choice_is_recorded_when_it_is_used_and_holds_for_every_pack_of_the_run():
    run = Run()
    assert run.pack().choose("shape", AB, lambda: "b") == "b"
    assert run.lines == [("this processor, fp32: shape", "b")]
    assert run.pack().choose("shape", AB, never) == "b"
    assert run.pack("another processor, fp32").choose("shape", AB, lambda: "a") == "a"


def test_of_two_packs_that_measure_at_once_both_use_what_was_recorded_first():
    run = Run()
    first, second = run.pack(), run.pack()

    def beaten():
        assert first.choose("shape", AB, lambda: "a") == "a"
        return "b"

    assert second.choose("shape", AB, beaten) == "a"
    assert second.choices == {"shape": "a"}


def test_a_checkpoint_counts_more_than_the_run_and_completes_its_record():
    """Before there was a record, two packs could choose differently: each resumes with its own."""
    run = Run()
    run.pack().choose("shape", AB, lambda: "b")
    resumed = run.pack()
    resumed.restore({"shape": "a", "another shape": "a"})
    resumed.restore({"shape": "b"})  # another lane's: the pack has decided
    assert resumed.choose("shape", AB, never) == "a"
    assert run.choices == {"this processor, fp32: shape": "b", "this processor, fp32: another shape": "a"}
