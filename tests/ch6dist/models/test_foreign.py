"""Networks of libraries and of one's own: found, counted, built, trained, resumed, fused, looked into."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from ch6dist.capture import matching
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.lookup import is_foreign, parse_named
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.sizes import model_size
from ch6dist.distributed.batch_norm import over_all_ranks
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.engines.outputs import first_outputs
from ch6dist.errors import InputError
from ch6dist.look.command import look_at
from ch6dist.models.build import build_model
from ch6dist.models.dropout import Dropout
from ch6dist.packs import engine_for
from ch6dist.runs.schema import Status
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from ch6dist.training.solo import run_trial
from tests.support.own_networks import answer_here, forget, write_networks
from tests.support.paths import ROOT
from tests.support.trials import Seen, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
MNIST, SHAPE = DATASETS["synthetic_mnist"], {"channels": 1, "height": 28, "width": 28, "classes": 10}


@pytest.fixture
def alone(in_tmp_path, monkeypatch):
    """A working directory with mynets.py, and a cache that knows nothing."""
    write_networks(in_tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp_path / "cache"))
    forget()
    yield in_tmp_path
    forget()


@pytest.fixture
def own(alone, monkeypatch):
    """The same, whose questions this process answers itself: another takes seconds to import torch."""
    answer_here(monkeypatch)
    return alone


def library(name):
    return pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")


def run(trials, folder=None, *, engine="eager", **how):
    seen = Seen(**how)
    store = Checkpoints(folder) if folder else None
    statuses = train(trials, report=seen, checkpoints=store, device="cpu", engine=engine, checkpoint_seconds=math.inf)
    return seen, statuses, store


def distance(a, b):
    return max(float((a[n].double() - b[n].double()).norm() / b[n].double().norm().clamp(min=1e-12)) for n in b)


# What a name means, and how large that is


def test_a_network_of_ones_own_has_its_parameters_and_its_code_in_the_trial(own):
    model = small_trial(model="mynets:Net").model
    assert model == {"name": "mynets:Net", "code": model["code"], "width": 8, "dropout": 0.2}
    assert small_trial(model={"name": "mynets:Net", "width": "16"}).model["width"] == 16
    first = small_trial(model="mynets:Net").trial_id
    (own / "mynets.py").write_text((own / "mynets.py").read_text() + "\n# changed\n")
    forget()
    assert small_trial(model="mynets:Net").trial_id != first


def test_what_the_data_say_is_no_key_of_a_file(own):
    for key in ("num_classes", "in_channels"):
        with pytest.raises(InputError, match="mynets:Net takes width, dropout") as caught:
            small_trial(model={"name": "mynets:Net", key: 3})
        assert caught.value.key == f"model.{key}"


def test_the_size_of_a_network_is_counted_for_the_shape_of_the_data(own):
    model = small_trial(model="mynets:Net").model
    built = build_model(model, **SHAPE, seed=0)
    size = model_size(model, MNIST)
    assert size.parameter_count == sum(p.numel() for p in built.parameters())
    assert (size.lane_form, size.not_fused) == ("layers", "")
    assert model_size(model, DATASETS["cifar100"]).parameter_count > size.parameter_count
    assert model_size({**model, "width": 16}, MNIST).mflop_per_image > size.mflop_per_image > 0
    named = {n: p.numel() for n, p in built.named_parameters()}
    assert {n: c for layer in size.layers.values() for n, c in layer.parameters.items()} == named
    outputs = {}
    leaves = {n: m for n, m in built.named_modules() if n and not list(m.children())}
    with first_outputs(built, leaves, lambda name, output: outputs.__setitem__(name, output[0].numel())):
        built(torch.randn(5, 1, 28, 28))
    assert {n: layer.outputs for n, layer in size.layers.items() if layer.outputs} == outputs


def test_a_network_is_counted_once_and_a_catalog_model_never(alone, monkeypatch):
    model = small_trial(model="mynets:Net").model
    first = model_size(model, MNIST)
    forget()

    def never(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "run", never)
    assert small_trial(model="mynets:Net").model == model
    assert model_size(model, MNIST) == first
    for name, entry in MODELS.items():
        assert model_size({"name": name, **entry.resolve({})}, MNIST) is entry.size


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Noisy", "its forward draws random numbers"),
        ("Branching", r"its forward looks at numbers, which differ between lanes \(mynets.py:\d+ in forward\)"),
        ("Measuring", r"its forward looks at numbers, which differ between lanes \(mynets.py:\d+ in forward\)"),
        ("Writing", r"its forward writes into a tensor that all lanes share \(mynets.py:\d+ in forward\)"),
        ("Again", r"its forward keeps tensors, or asks for gradients, behind vmap's back \(mynets.py:\d+ in \w+\)"),
        ("Recurrent", r"its forward uses an operation that vmap does not know \(mynets.py:\d+ in forward\)"),
        ("Idle", "some of its parameters have no part in what it puts out"),
        ("Counting", "its forward changes passes, which its state does not hold"),
        ("Testing", "lanes that are computed together differ from each alone"),
        ("Shares", "some of its layers share parameters"),
    ],
)
def test_a_network_that_does_not_fuse_has_a_reason_and_trains_alone(own, name, reason):
    trial = small_trial(model=f"mynets:{name}")
    size = model_size(trial.model, MNIST)
    assert re.fullmatch(reason, size.not_fused)
    assert size.lane_form == ""
    engine, why = engine_for(trial.optimizer, kind="gpu", not_fused=lambda: size.not_fused)
    assert (engine, why) == ("eager", f"its model does not fuse: {size.not_fused}")
    assert set(run([trial])[1].values()) == {Status.FINISHED}


def test_the_engine_asks_for_a_network_only_where_all_else_would_fuse():
    def never():
        raise AssertionError("it was counted")

    for how in ({"kind": "cpu"}, {"kind": "gpu", "workers": 2}, {"kind": "gpu", "wanted": "eager"}):
        assert engine_for({"name": "Adam"}, **how, not_fused=never)[0] == "eager"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Wide", r"\[B, 10\], a number per image and class; it puts out \[B, 11\]"),
        ("Pair", r"puts out a tensor \[B, 10\].*puts out a tuple"),
        ("Strict", r"ValueError: three channels, please \(mynets.py:\d+ in __init__\)"),
        ("make", "a torch.nn.Module; this is a int"),
    ],
)
def test_a_network_that_cannot_be_trained_is_one_line_with_the_persons_own_frames(own, name, said):
    model = small_trial(model=f"mynets:{name}").model
    for build in (lambda: model_size(model, MNIST), lambda: build_model(model, **SHAPE, seed=0)):
        with pytest.raises(InputError, match=said) as caught:
            build()
        assert caught.value.key == "model.name"
        assert "\n" not in str(caught.value)


def test_what_is_built_already_is_no_network_to_train(own):
    with pytest.raises(InputError, match="built already") as caught:
        small_trial(model="mynets:BUILT")
    assert caught.value.key == "model.name"


def test_a_bad_network_ends_a_command_with_status_2_and_nothing_written(alone):
    own = alone
    trial = {"model": "mynets:Wide", "data": {"name": "synthetic_mnist", "train_size": 60, "val_size": 20}, "epochs": 1}
    (own / "trial.yaml").write_text(json.dumps(trial))
    (own / "sweep.yaml").write_text(
        json.dumps({"name": "bad", "trial": trial, "parameters": {"optimizer.lr": [0.1, 0.2]}})
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(own), "OMP_NUM_THREADS": "1"}
    environment["XDG_CACHE_HOME"] = str(own / "cache")
    before = set(own.iterdir())
    for command in (
        ["ch6dist", "train", "trial.yaml", "--run", "runs/one"],
        ["sweeps", "plan", "sweep.yaml"],
        ["sweeps", "run", "sweep.yaml"],
    ):
        line = [sys.executable, "-P", "-m", *command]
        done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=own, check=False)
        assert done.returncode == 2, done.stderr
        assert "it puts out [B, 11]" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr
        assert set(own.iterdir()) - before <= {own / "cache", own / "__pycache__"}


# Built and trained


def test_one_seed_gives_one_set_of_weights_and_leaves_the_global_generators_alone(own):
    model = small_trial(model="mynets:Net").model
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    before = torch.get_rng_state(), np.random.rand(), random.random()
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    a, b, c = (build_model(model, **SHAPE, seed=seed).state_dict() for seed in (0, 0, 1))
    assert same_weights(a, b)
    assert not same_weights(a, c)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.rand(), random.random()) == before[1:]


def test_the_dropouts_of_a_network_are_the_projects(own):
    built = build_model(small_trial(model="mynets:Net").model, **SHAPE, seed=0)
    drops = [module for module in built.modules() if "Dropout" in type(module).__name__]
    assert [(type(drop), drop.p, drop.layer) for drop in drops] == [(Dropout, 0.2, 0), (Dropout, 0.2, 1)]


@pytest.mark.parametrize("name", ["Net", "Noisy"])
def test_a_resume_of_a_network_is_exact_also_where_it_draws(own, name):
    trial = small_trial(model=f"mynets:{name}", epochs=4, optimizer={"name": "Adam"})
    whole, _, whole_store = run([trial], own / "whole")
    run([trial], own / "parts", stop={trial.trial_id: 2})
    torch.rand(7), np.random.rand(7), random.random()  # whatever else the process has drawn
    rest, _, store = run([trial], own / "parts")
    assert rest.rows() == whole.rows()[2:]
    assert same_weights(saved_weights(store, trial), saved_weights(whole_store, trial))


def test_networks_that_draw_are_in_a_pack_what_they_are_alone(own):
    trials = [small_trial(model="mynets:Noisy", optimizer={"name": "SGD", "lr": lr}) for lr in (0.01, 0.1)]
    _, _, together = run(trials, own / "pack")
    for trial in trials:
        _, _, alone = run([trial], own / "alone")
        assert same_weights(saved_weights(together, trial), saved_weights(alone, trial))


def _without_timing(monkeypatch):
    monkeypatch.setattr(AutotuneCache, "choose", lambda self, key, allowed, measure: measure_none(self, key))


def measure_none(cache, key):
    return cache.choices.setdefault(key, "stacks of 4" if "lanes of" in key else "grouped")


@pytest.mark.parametrize(
    "model",
    [
        "mynets:Net",
        pytest.param({"name": "timm/resnet10t"}, marks=[library("timm"), pytest.mark.slow]),
        pytest.param(
            {"name": "timm/vit_tiny_patch16_224", "patch_size": 14, "embed_dim": 24, "depth": 2, "num_heads": 2},
            marks=library("timm"),
        ),
        pytest.param("torchvision/squeezenet1_1", marks=[library("torchvision"), pytest.mark.slow]),
    ],
    ids=str,
)
def test_a_fused_lane_of_a_foreign_network_is_its_solo_run(own, model, monkeypatch):
    _without_timing(monkeypatch)
    data = {"train_size": 24, "val_size": 10, "batch_size": 8}
    trials = [
        small_trial(
            model=model, precision="fp64", epochs=2, seed=seed, data=data, optimizer={"name": "SGD", "lr": 1e-2},
            label_smoothing=0.1 * (seed == 1),
        )
        for seed in (0, 1, 2)
    ]  # fmt: skip
    trials.append(trials[0].model_copy(update={"optimizer": {**trials[0].optimizer, "lr": 2e-2}}))
    assert (
        engine_for(trials[0].optimizer, kind="gpu", not_fused=lambda: model_size(trials[0].model, MNIST).not_fused)[0]
        == "fused"
    )
    seen, statuses, store = run(trials, own / "fused", engine="fused")
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials:
        alone, _, its_store = run([trial], own / "solo")
        assert distance(saved_weights(store, trial), saved_weights(its_store, trial)) < 1e-12
        for row, solo in zip(seen.rows(trial), alone.rows(), strict=True):
            assert row["val_loss"] == pytest.approx(solo["val_loss"], rel=1e-9)


def test_a_network_that_does_not_fuse_is_refused_by_the_fused_engine(own):
    with pytest.raises(InputError, match="a network that fuses, or the eager engine: its forward looks at numbers"):
        run([small_trial(model="mynets:Branching")], engine="fused")


def test_a_batch_normalisation_that_several_workers_cannot_share_is_refused():
    for norm in (nn.BatchNorm1d(3), nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3, momentum=None)):
        with pytest.raises(InputError, match="for several workers"):
            over_all_ranks(nn.Sequential(norm))


# Looked into


def test_a_capture_names_the_layers_of_a_network_and_keeps_one_output_of_each(own):
    capture = {"gradients": {}, "activations": {"keep": "summary"}}
    trial = small_trial(model="mynets:Reused", capture=capture, epochs=2)
    assert list(trial.capturable.sizes("activations")) == ["first", "act", "second"]
    train(
        [trial], report=Seen(), device="cpu", engine="eager", captures=Captures(own / "captures", {trial.trial_id: 1})
    )
    files = sorted((own / "captures").rglob("*.npz"))
    with np.load(files[-1]) as content:
        assert content["activations.norm"].shape == (len(content["activations.steps"]), 3)
    with pytest.raises(InputError, match="conv1"):
        small_trial(model="mynets:Reused", capture={"activations": {"names": ["conv1"]}})


def test_the_parameters_beside_the_layers_of_a_network_can_be_captured(own):
    trial = small_trial(model="mynets:Net", capture={"parameters": {"names": ["scale", "blocks.0.norm"]}})
    named = list(trial.capturable.sizes("parameters"))
    assert matching(["scale"], named, key="") == ["scale"]
    run([trial])


def test_a_trained_network_of_ones_own_can_be_looked_at(own):
    trial = small_trial(model="mynets:Reused", epochs=1)
    assert run_trial(trial, run=own / "one", console=Console(quiet=True)) == 0
    path, _ = look_at(own / "one", None, folder=own / "seen")
    with (path.parent / "layers.csv").open() as content:
        rows = list(csv.DictReader(content))
    assert [(row["layer"], row["kind"]) for row in rows] == [("first", "Linear"), ("act", "ReLU"), ("second", "Linear")]


# Libraries


@library("timm")
def test_a_name_that_timm_has_not_is_refused_with_the_nearest(own):
    with pytest.raises(InputError, match="did you mean 'timm/resnet10t'"):
        parse_named("model", "timm/resnet10tt")


@library("torchvision")
def test_networks_of_torchvision_are_built_for_the_channels_of_the_images():
    for channels in (1, 3):
        model = build_model({"name": "torchvision/squeezenet1_1"}, **{**SHAPE, "channels": channels}, seed=0)
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        assert first.in_channels == channels
    with pytest.raises(InputError, match="GoogLeNetOutputs"):
        build_model(
            {"name": "torchvision/googlenet", "init_weights": False}, **{**SHAPE, "height": 64, "width": 64}, seed=0
        )


def test_names_of_the_catalog_are_not_foreign():
    assert not any(is_foreign("model", name) for name in MODELS)
    assert is_foreign("model", "timm/resnet10t")
