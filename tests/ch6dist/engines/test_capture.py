"""What a probe captures is what a plain loop computes, and the training does not notice it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ch6dist.capture import KINDS, SUMMARY, CaptureConfig
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.data.images import epoch_plan, load_split
from ch6dist.distributed.group import SOLO
from ch6dist.engines.capture import Probe
from ch6dist.engines.eager import EagerEngine
from ch6dist.engines.engine import DTYPES
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.engines.measures import measure_outputs, saturated_share
from ch6dist.errors import InputError
from ch6dist.models.build import build_model
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.runs.captures import join_series
from ch6dist.runs.columns import SIGNS
from ch6dist.sections import parse_section
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.trials import Seen, small_trial

torch.set_num_threads(1)
MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}
ALL = 10**30  # elements: every one
WHOLE = {kind: {"keep": "sample", "sample": ALL} for kind in ("gradients", "parameters", "optimizer_state")}
PLAIN = {"model": {"name": "simple_nn", "dropout": 0.0}, "data": {"augment": "none"}}
TOLERANCE = {"fp32": 1e-6, "fp64": 1e-12}
OF_SUMS = {"fp32": 1e-5, "fp64": 1e-12}  # torch sums 100,000 elements
EPOCHS, STEPS = 3, 12


def trained(trial, epochs=EPOCHS):
    """The lane of one trial after some epochs of the eager engine, and what it captured."""
    engine = EagerEngine(dataset=DATASETS[trial.data.name], steps_per_epoch=4, device=torch.device("cpu"), group=SOLO)
    lane, parts = engine.open(trial), []
    for epoch in range(epochs):
        parts += engine.train_epoch([lane], batches_of(trial, epoch)).captured
    return lane, join_series(parts, place="here")


def batches_of(trial, epoch):
    data, dtype = load_split(trial.data, device="cpu"), DTYPES[trial.precision]
    how = {"config": trial.data, "steps": 4, "device": torch.device("cpu"), "dtype": dtype}
    return epoch_batches(data, seeds=[trial.seed], epochs=[epoch], **how)


def by_hand(trial):
    """The same training without hooks: of every step gradients, layers' outputs, and what the step left behind."""
    dtype, split = DTYPES[trial.precision], load_split(trial.data, device="cpu")
    model = build_model(trial.model, **MNIST, seed=trial.seed).to(dtype)
    optimizer, found = build_optimizer(model.parameters(), trial.optimizer), []
    for epoch in range(EPOCHS):
        plan = epoch_plan(seed=trial.seed, epoch=epoch, count=100, augment="none", device="cpu")
        for start in range(0, 100, 32):
            images, labels = plan.batch(split, start, min(100, start + 32), dtype)
            outputs, x = {}, images
            for name, layer in model.named_children():
                x = outputs[name] = layer(x)
            optimizer.zero_grad()
            F.cross_entropy(x, labels).backward()
            gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
            optimizer.step()
            state = {f"{n}.{k}": v.clone() for n, p in model.named_parameters() for k, v in optimizer.state[p].items()}
            parameters = {name: p.detach().clone() for name, p in model.named_parameters()}
            step = {"gradients": gradients, "parameters": parameters, "optimizer_state": state}
            found.append(step | {"activations": {n: y.detach() for n, y in outputs.items()}})
    return found


def assert_series(series, expected, tolerance):
    assert series.shape == expected.shape
    assert np.allclose(series, expected, rtol=tolerance, atol=tolerance)


def stacked(steps, kind, name, measure=torch.flatten):
    return np.stack([measure(step[kind][name]).numpy() for step in steps])


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("optimizer", [{"name": "Adam"}, {"name": "SGD", "lr": 0.05, "momentum": 0.9}])
def test_every_element_is_that_of_a_plain_loop(optimizer, precision):
    trial = small_trial(**PLAIN, optimizer=optimizer, precision=precision, capture=WHOLE)
    _, captured = trained(trial)
    steps = by_hand(trial)
    for kind in WHOLE:
        assert captured[kind].steps.tolist() == list(range(1, STEPS + 1))
        for name in captured[kind].names:
            assert_series(captured[kind].of(name, "sample"), stacked(steps, kind, name), TOLERANCE[precision])
    assert set(captured["gradients"].names) == set(steps[0]["gradients"])
    kept = {name for name in steps[0]["optimizer_state"] if not name.endswith(".step")}
    assert set(captured["optimizer_state"].names) == kept


@pytest.mark.parametrize("precision", TOLERANCE)
def test_summaries_are_those_of_a_plain_loop(precision):
    capture = {kind: {"keep": "summary"} for kind in KINDS}
    trial = small_trial(**PLAIN, optimizer={"name": "RMSprop", "lr": 1e-4}, precision=precision, capture=capture)
    _, captured = trained(trial)
    steps = by_hand(trial)
    measures = {
        "norm": lambda x: x.double().square().sum().sqrt(),
        "mean": lambda x: x.double().mean(),
        "std": lambda x: x.double().std(correction=0),
        "max_abs": lambda x: x.abs().max(),
        "zeros": lambda x: (x == 0).double().mean(),
    }
    assert tuple(measures) == SUMMARY
    for kind in KINDS:
        for name in captured[kind].names:
            for what, by_definition in measures.items():
                if (kind, what) != ("activations", "norm"):
                    expected = stacked(steps, kind, name, by_definition)
                    assert_series(captured[kind].of(name, what), expected, OF_SUMS[precision])
    for name in captured["activations"].names:
        norms = stacked(steps, "activations", name, lambda x: x.double().flatten(1).norm(dim=1).square().mean().sqrt())
        assert np.allclose(captured["activations"].of(name), norms, rtol=OF_SUMS[precision])
        dead = stacked(steps, "activations", name, lambda x: (x == 0).all(0).double().mean())
        assert_series(captured["activations"].of(name, "saturated"), dead, OF_SUMS[precision])


AVERAGES = {  # optimizer → its state by hand: of gradients [steps, elements], from zero
    "Adam": {"exp_avg": (0.9, 0.1, 1), "exp_avg_sq": (0.999, 0.001, 2)},
    "AdamW": {"exp_avg": (0.9, 0.1, 1), "exp_avg_sq": (0.999, 0.001, 2)},
    "RMSprop": {"square_avg": (0.99, 0.01, 2)},
    "momentum": {"momentum_buffer": (0.9, 1.0, 1)},
    "nesterov": {"momentum_buffer": (0.9, 1.0, 1)},
}


@pytest.mark.parametrize(("precision", "sample"), [("fp64", ALL), ("fp32", ALL), ("fp64", 5)])
@pytest.mark.parametrize("name", AVERAGES)
def test_the_state_is_the_average_of_the_captured_gradients(name, precision, sample):
    sgd = {"name": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": name == "nesterov"}
    keep = {"keep": "sample", "sample": sample}
    optimizer = sgd if name in ("momentum", "nesterov") else {"name": name, "lr": 1e-3}
    trial = small_trial(optimizer=optimizer, precision=precision, capture={"gradients": keep, "optimizer_state": keep})
    _, captured = trained(trial)
    gradients, state = captured["gradients"], captured["optimizer_state"]
    for parameter in gradients.names:
        for key, (beta, weight, power) in AVERAGES[name].items():
            average = np.zeros(len(gradients.of(parameter, "sample")[0]))
            kept = state.of(f"{parameter}.{key}", "sample")
            for gradient, found in zip(gradients.of(parameter, "sample"), kept, strict=True):
                average = beta * average + weight * gradient.astype(np.float64) ** power
                assert np.allclose(found, average, rtol=10 * TOLERANCE[precision], atol=TOLERANCE[precision])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_every_optimizer_is_captured_and_sgd_without_momentum_says_that_it_has_none(name):
    lane, captured = trained(small_trial(optimizer={"name": name, "lr": 1e-3}, capture={"optimizer_state": {}}))
    if name == "SGD":
        assert captured == {}
        assert lane.notes == ("SGD without momentum keeps no state: none is captured",)
    else:
        assert len(captured["optimizer_state"].names) >= 4
        assert captured["optimizer_state"].of(captured["optimizer_state"].names[0]).shape == (STEPS,)


def test_every_kth_step_is_kept_whatever_the_epochs_are():
    trial = small_trial(capture={"gradients": {"every": 5}, "parameters": {"every": 100, "names": "fc2"}})
    _, captured = trained(trial)
    assert captured["gradients"].steps.tolist() == [1, 6, 11]
    assert captured["parameters"].steps.tolist() == [1]
    assert captured["parameters"].names == ("fc2.weight", "fc2.bias")


def test_a_sample_has_the_same_elements_in_every_kind_trial_and_number():
    series = {"keep": "sample", "sample": 7}
    one = trained(small_trial(capture={"gradients": series, "parameters": series}))[1]
    other = trained(small_trial(capture={"gradients": {**series, "sample": 9}}, seed=5))[1]
    for a, b, c in zip(one["gradients"].elements, one["parameters"].elements, other["gradients"].elements, strict=True):
        assert a.tolist() == b.tolist()
        assert set(a) <= set(c)
    assert [len(chosen) for chosen in other["gradients"].elements] == [9, 9, 9, 9]
    assert len({tuple(chosen) for chosen in other["gradients"].elements}) == 4


@pytest.mark.parametrize("model", ["lenet5", "conv3bn", {"name": "cnn2", "dropout": 0.3}])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_training_does_not_notice_that_it_is_captured(tmp_path, model, precision, optimizer):
    data = {"train_size": 40, "val_size": 20, "batch_size": 16, "augment": "crop_flip"}
    how = {"model": model, "data": data, "precision": precision, "optimizer": optimizer, "epochs": 2}
    capture = {kind: {"keep": keep} for kind, keep in zip(KINDS, ("summary", "norm", "summary", "sample"), strict=True)}
    found = []
    for name, trial in (("plain", small_trial(**how)), ("captured", small_trial(**how, capture=capture))):
        seen, store = Seen(), Checkpoints(tmp_path / name)
        train([trial], report=seen, checkpoints=store, device="cpu")
        rows = [{key: value for key, value in row.items() if key not in SIGNS} for row in seen.rows()]
        files = [store.path(trial.trial_id, kept).read_bytes() for kept in ("last", "best")]
        found.append((trial.trial_id, trial.configuration_id, rows, files))
    assert found[0] == found[1]
    assert rows[-1]["step"] == 6


def test_lanes_of_a_pack_capture_what_each_captures_alone():
    lrs = {"Adam": 1e-3, "RMSprop": 1e-4}
    capture = {"gradients": {}, "activations": {"keep": "summary"}}
    trials = [small_trial(optimizer={"name": name, "lr": lr}, capture=capture) for name, lr in lrs.items()]
    plain = small_trial()
    engine = EagerEngine(dataset=DATASETS["synthetic_mnist"], steps_per_epoch=4, device=torch.device("cpu"), group=SOLO)
    lanes = [engine.open(trial) for trial in (trials[0], plain, trials[1])]
    first, nothing, second = engine.train_epoch(lanes, epoch_batches_of_three(trials[0])).captured
    assert nothing is None
    for trial, together in zip(trials, (first, second), strict=True):
        _, alone = trained(trial, epochs=1)
        for kind in capture:
            for what, values in alone[kind].values.items():
                assert np.array_equal(values, together[kind].values[what])


def epoch_batches_of_three(trial):
    data, dtype = load_split(trial.data, device="cpu"), DTYPES[trial.precision]
    how = {"config": trial.data, "steps": 4, "device": torch.device("cpu"), "dtype": dtype}
    return epoch_batches(data, seeds=[trial.seed] * 3, epochs=[0] * 3, **how)


def hooks_of(model):
    return sum(len(module._forward_hooks) + len(module._backward_hooks) for module in model.modules()) + sum(
        len(p._backward_hooks or ()) for p in model.parameters()
    )


def test_no_hook_stays_behind_not_even_when_the_training_raises(monkeypatch):
    trial = small_trial(capture={kind: {} for kind in ("gradients", "activations")})
    engine = EagerEngine(dataset=DATASETS[trial.data.name], steps_per_epoch=4, device=torch.device("cpu"), group=SOLO)
    lane, during = engine.open(trial), []
    before = hooks_of(lane.model)
    original = F.cross_entropy

    def fails_at_last(*arguments, **how):
        during.append(hooks_of(lane.model))
        if len(during) == 7:
            raise RuntimeError("the training fails")
        return original(*arguments, **how)

    monkeypatch.setattr(F, "cross_entropy", fails_at_last)
    engine.train_epoch([lane], batches_of(trial, 0))
    assert hooks_of(lane.model) == before
    with pytest.raises(RuntimeError, match="fails"):
        engine.train_epoch([lane], batches_of(trial, 1))
    assert hooks_of(lane.model) == before
    assert set(during) == {before + 5}


def test_a_model_that_only_itself_knows_is_asked_for_its_names():
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    capture = parse_section(CaptureConfig, {"activations": {"names": "relu1"}})
    with pytest.raises(InputError, match=r"capture.activations.names: 'relu1' is not allowed; .*0, 1"):
        Probe(capture, model, torch.optim.Adam(model.parameters()))


def test_bounded_layers_saturate_near_their_bounds_others_where_no_image_moves_them():
    rows = torch.tensor([[0.0, 0.995, -0.992, 0.0], [0.5, 0.985, -0.5, 0.0]])
    assert saturated_share(rows, layer="ReLU").item() == 0.25
    assert saturated_share(rows, layer="Tanh").item() == 3 / 8
    assert saturated_share(rows.abs(), layer="Sigmoid").item() == 5 / 8
    empty = measure_outputs(rows[:0], "summary", torch.empty(0), layer="ReLU")
    assert list(empty) == [*SUMMARY, "saturated"]
    assert all(value.isnan().all() for value in empty.values())
