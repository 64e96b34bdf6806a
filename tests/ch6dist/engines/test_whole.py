"""A network that goes through vmap as a whole: its lanes are their solo runs, in all that a training keeps."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from ch6dist.catalog import sizes
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.sizes import model_size
from ch6dist.engines import step
from ch6dist.engines.kernels import AutotuneCache
from ch6dist.engines.lanes import Activations, MaskKeys, Rows
from ch6dist.engines.replay import Replay
from ch6dist.engines.whole import whole_network
from ch6dist.models.build import build_model
from ch6dist.models.dropout import set_dropout_position
from ch6dist.packs import engine_for
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.libraries import known_here
from tests.support.own_networks import answer_here, forget, write_networks
from tests.support.trials import Seen, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
MNIST, SHAPE = DATASETS["synthetic_mnist"], {"channels": 1, "height": 28, "width": 28, "classes": 10}
DATA = {"train_size": 20, "val_size": 10, "batch_size": 8}  # three steps, the last of four images
OPTIMIZERS = [
    {"name": "SGD", "lr": 0.02, "momentum": 0.9, "nesterov": True},
    {"name": "Adam", "lr": 2e-3, "weight_decay": 0.01},
    {"name": "RMSprop", "lr": 1e-3},
]


@pytest.fixture(autouse=True)
def own(in_tmp_path, monkeypatch):
    """A working directory with mynets.py, and packs that time nothing."""
    write_networks(in_tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp_path / "cache"))
    answer_here(monkeypatch)
    monkeypatch.setattr(AutotuneCache, "choose", lambda self, key, allowed, measure: _chosen(key, allowed))
    forget()
    yield in_tmp_path
    forget()


def _chosen(key, allowed):
    return list(allowed)[-1] if "lanes of" in key else "grouped"  # all lanes as one stack


def lanes(name="Whole", *, seeds=(0, 1, 0, 2), optimizer=OPTIMIZERS[1], **changes):
    """Trials that differ in seed, learning rate and label smoothing; those of one seed share their images."""
    return [
        small_trial(
            model=f"mynets:{name}", precision="fp64", seed=seed, data=DATA, label_smoothing=0.1 * (seed == 1),
            optimizer={**optimizer, "lr": optimizer["lr"] / (1 + index)}, **{"epochs": 3, **changes},
        )
        for index, seed in enumerate(seeds)
    ]  # fmt: skip


def run(trials, folder, *, engine="eager", **how):
    seen, store = Seen(**how), Checkpoints(folder)
    statuses = train(trials, report=seen, checkpoints=store, device="cpu", engine=engine, checkpoint_seconds=math.inf)
    return seen, statuses, store


def distance(a, b):
    """The largest relative difference of two sets of tensors; those that are no fractions have to be equal."""
    assert {name: tensor.shape for name, tensor in a.items()} == {name: tensor.shape for name, tensor in b.items()}
    assert all(torch.equal(a[name], b[name]) for name in b if not b[name].is_floating_point())
    return max(float((a[n] - b[n]).norm() / b[n].norm().clamp(min=1e-12)) for n in b if b[n].is_floating_point())


def solo_weights(trial, folder):
    return saved_weights(run([trial], folder)[2], trial)


@pytest.mark.parametrize(
    ("optimizer", "seeds"),
    [(one, (0, 1, 0, 2)) for one in OPTIMIZERS] + [(OPTIMIZERS[1], seeds) for seeds in ((0, 0, 1, 1), (3, 3), (4,))],
    ids=lambda value: str(value) if isinstance(value, tuple) else value["name"],
)
def test_a_lane_is_its_solo_run_with_its_statistics_its_buffers_and_its_dropout(own, optimizer, seeds):
    trials = lanes(seeds=seeds, optimizer=optimizer)
    size = model_size(trials[0].model, MNIST)
    assert (size.lane_form, size.not_fused) == ("vmap", "")
    assert engine_for(trials[0].optimizer, kind="gpu", not_fused=lambda: size.not_fused)[0] == "fused"
    seen, statuses, store = run(trials, own / "fused", engine="fused")
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials:
        alone, _, its_store = run([trial], own / "solo")
        assert distance(saved_weights(store, trial), saved_weights(its_store, trial)) < 1e-12
        for row, solo in zip(seen.rows(trial), alone.rows(), strict=True):
            for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
                assert row[name] == pytest.approx(solo[name], rel=1e-10)


@pytest.mark.parametrize(
    ("name", "form"), [("Twice", "vmap"), ("Encoder", "vmap"), ("Plain", "layers"), ("Frozen", "vmap")]
)
def test_each_way_to_be_one_model_is_that_of_the_networks_that_need_it(own, name, form):
    trials = lanes(name, epochs=2)
    assert model_size(trials[0].model, MNIST).lane_form == form
    _, _, store = run(trials, own / "fused", engine="fused")
    for trial in trials:
        assert distance(saved_weights(store, trial), solo_weights(trial, own / "solo")) < 1e-12


@pytest.mark.parametrize("name", ["Frozen", "Whole"])
def test_statistics_for_evaluation_are_estimated_where_a_training_averages_them_and_nowhere_else(own, name):
    optimizer = {"name": "schedulefree:AdamWScheduleFree", "lr": 1e-2}
    known_here(optimizer["name"])
    trials = lanes(name, seeds=(0, 1), epochs=2, optimizer=optimizer)
    stores = [run(trials, own / engine, engine=engine)[2] for engine in ("fused", "eager")]
    for trial in trials:
        fused, eager = (store.load(trial.trial_id, "last")["lane"] for store in stores)
        kept = torch.equal(eager["evaluation"]["stem.1.running_mean"], eager["model"]["stem.1.running_mean"])
        assert kept == (name == "Frozen")
        assert not torch.equal(eager["evaluation"]["norm.running_mean"], eager["model"]["norm.running_mean"])
        for key in ("model", "evaluation"):
            assert distance(fused[key], eager[key]) < 1e-9


@pytest.mark.parametrize("first", ["fused", "eager"])
def test_a_checkpoint_goes_on_in_the_other_engine(own, first):
    second = {"fused": "eager", "eager": "fused"}[first]
    for trial in lanes(seeds=(0, 1)):
        run([trial], own / "parts", engine=first, stop={trial.trial_id: 1})
        _, statuses, store = run([trial], own / "parts", engine=second)
        assert set(statuses.values()) == {Status.FINISHED}
        assert distance(saved_weights(store, trial), solo_weights(trial, own / "solo")) < 1e-12


def test_a_resume_of_the_same_lanes_is_exact(own):
    trials = lanes()
    _, _, whole = run(trials, own / "whole", engine="fused")
    run(trials, own / "parts", engine="fused", stop={trial.trial_id: 1 for trial in trials})
    _, _, parts = run(trials, own / "parts", engine="fused")
    for trial in trials:
        assert same_weights(saved_weights(parts, trial), saved_weights(whole, trial))


def test_a_lane_that_ends_and_one_that_joins_leave_the_others_their_solo_runs(own):
    *trials, late = lanes()
    _, _, store = run(trials, own / "fused", engine="fused", stop={trials[0].trial_id: 1}, admit={1: [late]})
    for trial in (*trials[1:], late):
        assert distance(saved_weights(store, trial), solo_weights(trial, own / "solo")) < 1e-12


def test_a_lane_that_is_not_finite_leaves_the_others_their_solo_runs(own):
    trials = [*lanes(seeds=(0, 1)), *lanes(seeds=(2,), optimizer={"name": "Adam", "lr": 1e200})]
    _, statuses, store = run(trials, own / "fused", engine="fused")
    assert statuses[trials[2].trial_id] is Status.DIVERGED
    for trial in trials[:2]:
        assert distance(saved_weights(store, trial), solo_weights(trial, own / "solo")) < 1e-12


def test_an_evaluation_writes_nothing(own):
    models = [build_model(lanes()[0].model, **SHAPE, seed=seed) for seed in (0, 1)]
    rows = rows_of(models, training=False)
    before = copy.deepcopy(rows.buffers)
    whole_network(models[0])(Activations(torch.rand(5, 1, 28, 28), 1), rows)
    assert all(torch.equal(rows.buffers[name], before[name]) for name in before)


def test_each_lane_and_each_use_of_a_dropout_has_its_own_mask_and_the_model_is_left_as_it_is():
    model = torch.nn.Sequential(build_model({"name": "simple_nn", "dropout": 0.5}, **SHAPE, seed=0))
    drop = next(module for module in model.modules() if "Dropout" in type(module).__name__)
    twice = torch.nn.Sequential(drop, torch.nn.Identity(), drop)
    rows = rows_of([twice, twice, twice], training=True, steps=[4, 9, 4], seeds=[0, 0, 7])
    images = torch.ones(6, 1, 5, 5)
    out = whole_network(twice)(Activations(images, 1), rows).values
    for index, (seed, at) in enumerate([(0, 4), (0, 9), (7, 4)]):
        set_dropout_position(twice, seed=seed, step=at, first_row=0)
        assert torch.equal(out[index], twice(images))
    assert twice[0] is twice[2] is drop


def rows_of(models, *, training, steps=None, seeds=None):
    """The rows of models that are lanes."""
    states, named = [model.state_dict() for model in models], dict(models[0].named_parameters())
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    return Rows(
        lanes=len(models),
        weights={name: tensor for name, tensor in stacked.items() if name in named},
        buffers={name: tensor for name, tensor in stacked.items() if name not in named},
        group_of=None,
        step=torch.tensor(steps or [0] * len(models)),
        keys=MaskKeys(seeds or range(len(models))),
        training=training,
        autotune=AutotuneCache(),
    )


def test_no_step_of_such_a_network_becomes_a_graph(own, monkeypatch):
    asked = []

    class Noting(Replay):
        def __init__(self, *args, as_graph, **how):
            asked.append(as_graph)
            super().__init__(*args, as_graph=as_graph, **how)

    monkeypatch.setattr(step, "Replay", Noting)
    for name in ("Whole", "Plain"):
        run(lanes(name, seeds=(0, 1), epochs=1), own / name, engine="fused")
    assert asked == [False, True]
    done = []
    Replay(done.append, written=[], device=torch.device("cuda"), as_graph=False)(8)
    assert done == [8]


def test_an_answer_of_an_older_format_is_asked_for_again(own, monkeypatch):
    model, times = lanes()[0].model, []
    ask = sizes.ask
    monkeypatch.setattr(sizes, "ask", lambda *args, **how: times.append(args) or ask(*args, **how))
    for shown, asked in (("1", 1), ("1", 1), ("2", 2)):
        monkeypatch.setattr(sizes, "FORMAT", shown)
        sizes._COUNTED.clear()
        assert model_size(model, MNIST).lane_form == "vmap"
        assert len(times) == asked
