"""The loop: lanes and resumes bit for bit, numbers evaluated by hand, and how trials end that diverge or fail."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.data.images import epoch_plan, load_split, load_test, normalize
from ch6dist.errors import InputError
from ch6dist.models.build import build_model
from ch6dist.models.dropout import Dropout
from ch6dist.optim.optimizers import build_optimizer
from ch6dist.optim.schedules import preview
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.paths import ROOT
from tests.support.trials import Seen, files_in, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
MNIST = {"channels": 1, "height": 28, "width": 28, "classes": 10}
NO_DROPOUT = {"name": "simple_nn", "dropout": 0.0}
STEPS = 4  # per epoch of a small trial

SCHEDULE_OF = {
    "none": "none",
    "StepLR": {"name": "StepLR", "step_size": 2, "warmup": {"epochs": 1}},
    "MultiStepLR": {"name": "MultiStepLR", "milestones": [3, 7], "interval": "batch"},
    "ExponentialLR": {"name": "ExponentialLR", "gamma": 0.9},
    "ConstantLR": {"name": "ConstantLR", "total_iters": 2},
    "LinearLR": {"name": "LinearLR", "total_iters": 7, "interval": "batch"},
    "PolynomialLR": "PolynomialLR",
    "CosineAnnealingLR": {"name": "CosineAnnealingLR", "interval": "batch", "warmup": {"epochs": 1}},
    "CosineAnnealingWarmRestarts": {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 2},
    "OneCycleLR": "OneCycleLR",
    "CyclicLR": {"name": "CyclicLR", "step_size_up": 3, "mode": "triangular2"},
    "ReduceLROnPlateau": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.5, "warmup": {"epochs": 1}},
    "LambdaLR": {"name": "LambdaLR", "recipe": "inverse_sqrt", "interval": "batch"},
    "MultiplicativeLR": {"name": "MultiplicativeLR", "recipe": "step_power", "step_size": 1},
    "WSD": {"name": "WSD", "decay": 0.4, "warmup": {"epochs": 1}},
    "REX": "REX",
    "warmup_cosine": {"name": "warmup_cosine", "final": 0.1, "warmup": {"epochs": 1}},
    "SequentialLR": [{"name": "LinearLR", "epochs": 2}, "CosineAnnealingLR"],
    "ChainedScheduler": {
        "name": "ChainedScheduler",
        "schedulers": ["ConstantLR", {"name": "ExponentialLR", "gamma": 0.9}],
    },
}
WITH_OPTIONS = [
    {"name": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-3},
    {"name": "Adam", "lr": 1e-3, "amsgrad": True, "weight_decay": 1e-3},
    {"name": "RMSprop", "lr": 1e-4, "momentum": 0.9, "centered": True},
    {"name": "ASGD", "lr": 0.05, "t0": 3, "lambd": 0.1},
    {"name": "Adagrad", "lr": 0.01, "lr_decay": 0.1},
]
OPTIMIZER_OF = [*({"name": name, "lr": 1e-3} for name in OPTIMIZERS), *WITH_OPTIONS]


def label(optimizer):
    return "-".join(f"{value}" for value in optimizer.values())


def solo(trial, folder=None, **how):
    """One training: what it reported, its status, and where its checkpoints are."""
    seen, store = Seen(**how), Checkpoints(folder) if folder else None
    status = train([trial], report=seen, checkpoints=store, device="cpu")[trial.trial_id]
    return seen, status, store


def assert_resume_is_exact(trial, folder):
    """Stopped and resumed after every epoch, it ends where the uninterrupted training ends."""
    whole, status, store = solo(trial, folder / "whole")
    pieces, piecewise = [], Status.RUNNING
    for epoch in range(1, trial.epochs + 1):
        part, piecewise, broken_up = solo(trial, folder / "pieces", stop={trial.trial_id: epoch})
        pieces += part.rows()
    assert (status, piecewise) == (Status.FINISHED, Status.FINISHED)
    assert pieces == whole.rows()
    assert len(pieces) == trial.epochs
    for name in ("last", "best"):
        assert same_weights(saved_weights(store, trial, name), saved_weights(broken_up, trial, name)), name
    assert store.load(trial.trial_id, "best")["epoch"] == broken_up.load(trial.trial_id, "best")["epoch"]
    start, again = (x.load(trial.trial_id, "last")["start_loss"] for x in (store, broken_up))
    assert start == again, "what divergence is measured against"


# Resume


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("optimizer", OPTIMIZER_OF, ids=label)
def test_a_resume_is_exact_for_every_optimizer(tmp_path, optimizer, precision):
    assert_resume_is_exact(small_trial(optimizer=optimizer, precision=precision, epochs=4), tmp_path)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resume_is_exact_for_every_schedule(tmp_path, name):
    optimizer = {"name": "SGD", "lr": 0.05, "momentum": 0.9}
    assert_resume_is_exact(small_trial(schedule=SCHEDULE_OF[name], optimizer=optimizer, epochs=5), tmp_path)


@pytest.mark.parametrize("model", ["conv3bn", {"name": "lenet5", "dropout": 0.3}])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resume_is_exact_with_batch_norm_dropout_and_augmentation(tmp_path, model, precision):
    data = {"train_size": 40, "val_size": 20, "augment": "crop_flip"}
    optimizer = {"name": "SGD", "lr": 0.001}
    assert_resume_is_exact(small_trial(model=model, data=data, precision=precision, optimizer=optimizer), tmp_path)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_resume_is_exact_with_a_split_that_moves_with_the_seed(tmp_path, seed):
    assert_resume_is_exact(small_trial(vary=["split"], seed=seed), tmp_path)


def test_a_seed_has_its_own_split_and_two_of_them_are_not_in_one_pack():
    varied = [small_trial(vary=["split"], seed=seed) for seed in (0, 1)]
    fixed = [small_trial(seed=seed) for seed in (0, 1)]
    for engine in ("eager", "fused"):
        with pytest.raises(InputError, match="packs share a split"):
            train(varied, device="cpu", engine=engine)
    first_losses = [[solo(trial)[0].rows()[0]["val_loss"] for trial in pair] for pair in (varied, fixed)]
    assert first_losses[0] != first_losses[1]
    with pytest.raises(InputError, match="packs share a split"):
        train(varied[:1], report=Seen(admit={1: varied[1:]}), device="cpu")


def test_a_checkpoint_of_the_last_epoch_ends_at_once(tmp_path):
    trial = small_trial()
    solo(trial, tmp_path)
    again, status, _ = solo(trial, tmp_path)
    assert status == Status.FINISHED
    assert [line["kind"] for line in again.lines] == ["status", "artifact", "artifact", "status"]


def test_a_checkpoint_is_made_after_the_report_of_its_epoch(tmp_path):
    trial, store, found = small_trial(), Checkpoints(tmp_path), []
    seen = Seen()

    def report(lines):
        state = store.load(trial.trial_id, "last")
        found.extend((line["epoch"], state["epoch"] if state else 0) for line in lines if line["kind"] == "row")
        return seen(lines)

    train([trial], report=report, checkpoints=store, device="cpu", checkpoint_seconds=0)
    assert found == [(1, 0), (2, 1), (3, 2)]


# Packs


def pack():
    """Lanes that differ in everything a pack does not share."""
    content = [
        {"optimizer": {"name": "SGD", "lr": 0.1}},
        {"optimizer": {"name": "SGD", "lr": 0.1}, "seed": 1},
        {"optimizer": {"name": "SGD", "lr": 0.01, "momentum": 0.9, "nesterov": True}, "schedule": "OneCycleLR"},
        {"optimizer": {"name": "Adam", "lr": 1e-3}, "schedule": SCHEDULE_OF["ReduceLROnPlateau"], "seed": 1},
        {
            "optimizer": {"name": "RMSprop", "lr": 1e-4},
            "schedule": SCHEDULE_OF["CosineAnnealingWarmRestarts"],
            "seed": 7,
        },
        {"optimizer": {"name": "Adafactor", "lr": 1e-3}, "label_smoothing": 0.1, "schedule": SCHEDULE_OF["StepLR"]},
        {"optimizer": {"name": "SGD", "lr": 0.1, "weight_decay": 0.01}, "divergence_factor": 2.0},
    ]
    return [small_trial(**changes, data={"augment": "crop"}) for changes in content]


def test_a_lane_equals_its_solo_run(tmp_path):
    trials, together, store = pack(), Seen(), Checkpoints(tmp_path / "pack")
    statuses = train(trials, report=together, checkpoints=store, device="cpu")
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials:
        alone, _, its_store = solo(trial, tmp_path / trial.trial_id)
        assert together.rows(trial) == alone.rows()
        for name in ("last", "best"):
            assert same_weights(saved_weights(store, trial, name), saved_weights(its_store, trial, name))


def test_an_admitted_trial_equals_its_solo_run(tmp_path):
    first, second, third = pack()[:3]
    seen, store = Seen(admit={1: [second], 2: [third]}), Checkpoints(tmp_path)
    statuses = train([first], report=seen, checkpoints=store, device="cpu")
    assert statuses == {trial.trial_id: Status.FINISHED for trial in (first, second, third)}
    for trial in (first, second, third):
        alone, _, its_store = solo(trial, tmp_path / "alone")
        assert seen.rows(trial) == alone.rows()
        assert same_weights(saved_weights(store, trial), saved_weights(its_store, trial))
    assert [row["lanes"] for row in seen.of_kind("row")] == [1, 2, 2, 3, 3, 3, 2, 2, 1]


def test_an_admitted_trial_that_is_complete_is_not_trained_on(tmp_path):
    first, second = pack()[:2]
    before, _, store = solo(second, tmp_path)
    weights = saved_weights(store, second)
    seen = Seen(admit={1: [second]})
    statuses = train([first], report=seen, checkpoints=store, device="cpu")
    assert statuses[second.trial_id] == Status.FINISHED
    assert seen.rows(second) == []
    assert same_weights(saved_weights(store, second), weights)
    assert before.rows()


def test_a_stopped_lane_leaves_a_checkpoint_and_the_others_alone(tmp_path):
    trials, store = pack()[:3], Checkpoints(tmp_path)
    seen = Seen(stop={trials[1].trial_id: 2})
    statuses = train(trials, report=seen, checkpoints=store, device="cpu")
    assert list(statuses.values()).count(Status.FINISHED) == 2
    assert statuses[trials[1].trial_id] == Status.STOPPED
    assert store.load(trials[1].trial_id, "last")["epoch"] == 2
    assert seen.of_kind("status", trials[1])[-1]["reason"] == "asked to stop"
    for trial in (trials[0], trials[2]):
        assert seen.rows(trial) == solo(trial)[0].rows()


def test_a_trial_stopped_in_a_pack_resumes_alone_to_the_same_end(tmp_path):
    trials, store = pack(), Checkpoints(tmp_path)
    first = Seen(stop={trial.trial_id: epoch % 2 + 1 for epoch, trial in enumerate(trials)})
    assert set(train(trials, report=first, checkpoints=store, device="cpu").values()) == {Status.STOPPED}
    for trial in trials:
        rest, _, _ = solo(trial, tmp_path)
        alone, _, its_store = solo(trial, tmp_path / "alone")
        assert first.rows(trial) + rest.rows() == alone.rows()
        assert same_weights(saved_weights(store, trial), saved_weights(its_store, trial))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"data": {"batch_size": 16}}, "data"),
        ({"model": "cnn2"}, "model"),
        ({"epochs": 4}, "epochs"),
        ({"precision": "fp64"}, "precision"),
        ({"deterministic": False}, "deterministic"),
        ({"evaluate_test": True}, "evaluate_test"),
        ({"type": "range_test"}, "type"),
        ({}, "trials"),
    ],
)
def test_trials_that_cannot_share_a_pack_are_refused_by_the_field(change, field):
    with pytest.raises(InputError) as refused:
        train([small_trial(), small_trial(**change)], device="cpu")
    assert refused.value.key == field
    with pytest.raises(InputError):
        train([small_trial()], report=Seen(admit={1: [small_trial(**change)]}), device="cpu")


def test_no_trials_are_refused():
    with pytest.raises(InputError, match="at least one"):
        train([], device="cpu")


# Numbers


def by_hand(trial, split, *, epochs):
    """The training written out in a dozen lines of plain torch: losses and correct predictions of every step."""
    model = build_model(trial.model, **MNIST, seed=trial.seed).double()
    optimizer, size, found = build_optimizer(model.parameters(), trial.optimizer), trial.data.batch_size, []
    for epoch in range(epochs):
        order = epoch_plan(seed=trial.seed, epoch=epoch, count=100, augment="none", device="cpu").order
        for start in range(0, 100, size):
            rows = order[start : start + size]
            images = (split.train_images[rows].double() / 255 - split.mean[:, None, None]) / split.std[:, None, None]
            logits = model(images)
            loss = F.cross_entropy(logits, split.train_labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            right = (logits.argmax(1) == split.train_labels[rows]).sum().item()
            found.append((loss.item(), right, len(rows)))
    return found, model


def test_losses_and_weights_are_those_of_plain_torch_and_the_short_batch_counts(tmp_path):
    trial = small_trial(model=NO_DROPOUT, precision="fp64", data={"augment": "none"})
    seen, _, store = solo(trial, tmp_path)
    steps, model = by_hand(trial, load_split(trial.data, device="cpu"), epochs=3)
    assert [step[2] for step in steps[:STEPS]] == [32, 32, 32, 4]
    assert [row["step"] for row in seen.rows()] == [4, 8, 12]
    for row in seen.rows():
        epoch = steps[row["step"] - STEPS : row["step"]]
        assert row["train_loss"] == pytest.approx(sum(loss * n for loss, _, n in epoch) / 100, rel=1e-12)
        assert row["train_accuracy"] == pytest.approx(sum(right for _, right, _ in epoch) / 100, rel=1e-12)
    for name, weight in saved_weights(store, trial).items():
        if name in model.state_dict():
            assert torch.allclose(weight, model.state_dict()[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp64"])
@pytest.mark.parametrize("model", ["conv3bn", {"name": "simple_nn", "dropout": 0.5}])
def test_validation_and_test_are_what_the_saved_weights_give_by_hand(tmp_path, model, precision):
    changes = {"augment": "crop_flip", "train_size": 40, "batch_size": 20, "val_size": 30}
    rest = {"optimizer": {"name": "SGD", "lr": 0.001}, "evaluate_test": model != "conv3bn"}
    trial = small_trial(model=model, data=changes, precision=precision, epochs=2, **rest)
    seen, _, store = solo(trial, tmp_path)
    split, dtype = load_split(trial.data, device="cpu"), torch.float64 if precision == "fp64" else torch.float32
    module = build_model(trial.model, **MNIST, seed=9).to(dtype).eval()
    module.load_state_dict(saved_weights(store, trial))
    parts = {"val": (split.val_images, split.val_labels)}
    parts |= {"test": load_test(trial.data, device="cpu")} if trial.evaluate_test else {}
    for part, (images, labels) in parts.items():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = module(normalize(images, split.mean, split.std, dtype)).double()
        row, tolerance = seen.rows()[-1], {"fp64": 1e-12, "fp32": 1e-6, "bf16": 1e-3}[precision]
        assert row[f"{part}_loss"] == pytest.approx(F.cross_entropy(logits, labels).item(), rel=tolerance)
        assert row[f"{part}_accuracy"] == pytest.approx(
            (logits.argmax(1) == labels).double().mean().item(), abs=tolerance
        )


def test_evaluation_switches_layers_and_records_no_gradient_and_training_does_both():
    """One without the other is not enough: eval() leaves autograd on, and no_grad() leaves dropout on."""
    seen: list[tuple[type[torch.nn.Module], bool, bool]] = []

    def note(module, given):
        seen.append((type(module), module.training, torch.is_grad_enabled()))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        solo(small_trial(model={"name": "cnn2", "dropout": 0.5}, epochs=2, evaluate_test=True))
    finally:
        hook.remove()
    for kind in (Dropout, torch.nn.Linear):
        states = [state for module, *state in seen if module is kind]
        assert states.count([True, True]) == 2 * 2 * STEPS, "two layers of the kind, two epochs"
        assert {tuple(state) for state in states} == {(True, True), (False, False)}
        assert states[0] == [True, True]
        assert states[-1] == [False, False], "the test set is the last that it sees"


def test_losses_in_bf16_are_summed_in_more_than_eight_bits():
    """With a tiny learning rate every epoch's loss is that of the initial weights, whatever its batches are."""
    data = {"train_size": 100, "augment": "none"}
    fixed = {"model": NO_DROPOUT, "optimizer": {"name": "SGD", "lr": 1e-9}, "epochs": 1, "precision": "bf16"}
    trials = [small_trial(**fixed, data={**data, "batch_size": size}) for size in (100, 32, 1)]
    losses = [solo(trial)[0].rows()[0]["train_loss"] for trial in trials]
    assert losses == pytest.approx([losses[0]] * 3, rel=2e-4)


@pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"ReduceLROnPlateau"}))  # a preview's metric never changes
def test_the_lr_of_a_row_is_the_one_used_in_its_step(name):
    trial = small_trial(schedule=SCHEDULE_OF[name], optimizer={"name": "SGD", "lr": 0.05, "momentum": 0.9}, epochs=5)
    rows = solo(trial)[0].rows()
    expected = preview(trial, steps_per_epoch=STEPS)
    assert [(row["lr"], row["momentum"]) for row in rows] == [expected[row["step"] - 1] for row in rows]


def test_the_lr_is_the_length_of_a_step_of_sgd(tmp_path):
    """Training runs of two steps that share the first: their last steps are as long as the `lr` of their rows."""
    fixed = {"model": NO_DROPOUT, "data": {"train_size": 32}, "epochs": 2, "precision": "fp64"}
    lrs, ends = [], []
    for gamma in (1.0, 0.5, 1e-12):
        trial = small_trial(**fixed, schedule={"name": "StepLR", "step_size": 1, "gamma": gamma})
        seen, _, store = solo(trial, tmp_path / str(gamma))
        lrs.append(seen.rows()[-1]["lr"])
        ends.append(saved_weights(store, trial)["fc2.weight"])
    assert lrs == pytest.approx([0.05, 0.025, 0.05e-12])
    full, half = ends[0] - ends[2], ends[1] - ends[2]
    assert full.norm() > 1e-3
    assert torch.allclose(half, full / 2, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("data", "classes"), [("synthetic_cifar100", 100), ("synthetic_mnist", 10)])
@pytest.mark.parametrize("model", ["lenet5", "cnn2"])
def test_the_initial_loss_is_the_logarithm_of_the_classes(data, classes, model):
    trial = small_trial(model=model, optimizer={"name": "SGD", "lr": 1e-9}, data={"name": data}, epochs=1)
    row = solo(trial)[0].rows()[0]
    assert row["train_loss"] == pytest.approx(math.log(classes), rel=0.03)
    assert row["val_loss"] == pytest.approx(math.log(classes), rel=0.03)


def test_one_seed_has_one_set_of_initial_weights_in_every_configuration(tmp_path):
    trials = [
        small_trial(optimizer={"name": n, "lr": 1e-30}, epochs=1, seed=s) for n in ("SGD", "Adam") for s in (0, 1)
    ]
    store = Checkpoints(tmp_path)
    train(trials, checkpoints=store, device="cpu")
    weights = [saved_weights(store, trial) for trial in trials]
    assert same_weights(weights[0], weights[2])
    assert same_weights(weights[1], weights[3])
    assert not same_weights(weights[0], weights[1])
    initial = build_model({"name": "simple_nn"}, **MNIST, seed=0).state_dict()
    assert all(torch.equal(weights[0][name], initial[name]) for name in initial)


def test_the_test_set_is_evaluated_once_in_the_last_row():
    rows = solo(small_trial(evaluate_test=True))[0].rows()
    assert [[row.get(key) is not None for key in ("test_loss", "test_accuracy")] for row in rows] == [
        [False, False],
        [False, False],
        [True, True],
    ]
    assert not any("test_loss" in row for row in solo(small_trial())[0].rows())


def test_without_a_validation_split_it_trains_and_has_no_best(tmp_path):
    trial = small_trial(data={"val_size": 0}, evaluate_test=True)
    seen, status, _ = solo(trial, tmp_path)
    assert status == Status.FINISHED
    assert all(row.get("val_loss") is None and row.get("val_accuracy") is None for row in seen.rows())
    assert seen.rows()[-1]["test_accuracy"] > 0
    assert files_in(tmp_path / trial.trial_id) == ["last.pt"]


def test_the_best_weights_are_those_of_the_first_epoch_with_the_best_accuracy(tmp_path):
    trial = small_trial(optimizer={"name": "SGD", "lr": 0.3}, epochs=6)
    seen, _, store = solo(trial, tmp_path)
    accuracies = [row["val_accuracy"] for row in seen.rows()]
    best = store.load(trial.trial_id, "best")
    assert best["val_accuracy"] == max(accuracies)
    assert best["epoch"] == accuracies.index(max(accuracies)) + 1
    artifacts = {line["name"]: (line["path"], line["epoch"]) for line in seen.of_kind("artifact")}
    folder = f"checkpoints/{trial.trial_id}"
    assert artifacts == {"last": (f"{folder}/last.pt", 6), "best": (f"{folder}/best.pt", best["epoch"])}


@pytest.mark.parametrize("model", ["simple_nn", "conv3bn", {"name": "lenet5", "dropout": 0.5}])
def test_training_draws_nothing_from_global_generators(model):
    before = torch.random.get_rng_state()
    solo(small_trial(model=model, data={"train_size": 40, "augment": "crop_flip"}, epochs=1))
    assert torch.equal(torch.random.get_rng_state(), before)


# What goes wrong


def test_a_lane_that_diverges_says_where_and_leaves_the_others_alone(tmp_path):
    trials = [*pack()[:2], small_trial(optimizer={"name": "SGD", "lr": 1e30}, data={"augment": "crop"})]
    seen, store = Seen(), Checkpoints(tmp_path)
    statuses = train(trials, report=seen, checkpoints=store, device="cpu")
    assert statuses[trials[2].trial_id] == Status.DIVERGED
    last = seen.of_kind("status", trials[2])[-1]
    assert last["reason"] == "loss not finite at step 2"
    assert last["step"] == 2
    assert len(seen.rows(trials[2])) == 1
    assert "val_loss" not in seen.rows(trials[2])[0]
    assert store.load(trials[2].trial_id, "best") is None
    for trial in trials[:2]:
        alone, _, its_store = solo(trial, tmp_path / "alone")
        assert seen.rows(trial) == alone.rows()
        assert same_weights(saved_weights(store, trial), saved_weights(its_store, trial))


def test_a_loss_far_above_its_start_is_divergence():
    trial = small_trial(optimizer={"name": "SGD", "lr": 20.0}, divergence_factor=1.5)
    seen, status, _ = solo(trial)
    assert status == Status.DIVERGED
    assert "above 1.5 × the first step's" in seen.of_kind("status")[-1]["reason"]


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_made_non_finite_by_the_last_step_are_neither_finished_nor_best(tmp_path, epochs):
    data = {"train_size": 32, "batch_size": 32}
    trial = small_trial(optimizer={"name": "SGD", "lr": 1e38}, data=data, epochs=epochs, evaluate_test=True)
    seen, status, store = solo(trial, tmp_path)
    assert status == Status.DIVERGED
    assert seen.of_kind("status")[-1]["reason"] == "validation loss not finite after step 1"
    assert math.isfinite(seen.rows()[0]["train_loss"])
    assert seen.rows()[0]["val_loss"] is None
    assert "test_loss" not in seen.rows()[0], "the test set is not for what diverged"
    assert store.load(trial.trial_id, "best") is None


# Range tests


def range_trial(**changes):
    test = {"start_lr": 1e-4, "end_lr": 10.0, "steps": 30, **changes.pop("range_test", {})}
    return small_trial(type="range_test", range_test=test, **changes)


def test_a_range_test_has_a_row_per_step_at_the_configured_lrs(tmp_path):
    trial = range_trial(range_test={"end_lr": 1.0})
    seen, status, _ = solo(trial, tmp_path)
    assert status == Status.FINISHED
    assert [row["step"] for row in seen.rows()] == list(range(1, 31))
    assert [row["epoch"] for row in seen.rows()] == [1 + step // STEPS for step in range(30)]
    assert [row["lr"] for row in seen.rows()] == pytest.approx([1e-4 * 1e4 ** (n / 29) for n in range(30)], rel=1e-12)
    value = next(line["value"] for line in seen.of_kind("artifact") if line["name"] == "range_test")
    assert value["lr"] == [row["lr"] for row in seen.rows()]
    assert value["diverged_at"] is None


def test_a_range_test_ends_where_it_diverges():
    seen, status, _ = solo(range_trial(range_test={"end_lr": 1e8, "steps": 60}))
    value = seen.of_kind("artifact")[0]["value"]
    assert status == Status.FINISHED
    assert 10 < value["diverged_at"] < 60
    assert [row["step"] for row in seen.rows()] == list(range(1, value["diverged_at"] + 1))


def test_range_tests_in_a_pack_and_resumed_equal_their_solo_runs(tmp_path):
    trials = [range_trial(optimizer={"name": name}, seed=seed) for name, seed in (("SGD", 0), ("Adam", 0), ("SGD", 1))]
    together = Seen()
    train(trials, report=together, device="cpu")
    for trial in trials:
        alone, _, _ = solo(trial)
        pieces, artifacts = [], []
        for epoch in range(1, 9):
            part, status, _ = solo(trial, tmp_path, stop={trial.trial_id: epoch})
            pieces += part.rows()
            artifacts += [line["value"] for line in part.of_kind("artifact") if line["name"] == "range_test"]
            if status == Status.FINISHED:
                break
        assert together.rows(trial) == alone.rows() == pieces
        assert artifacts == [line["value"] for line in alone.of_kind("artifact")]


def test_a_training_after_a_range_test_is_as_without_one():
    trial = small_trial(model={"name": "lenet5", "dropout": 0.2})
    without = solo(trial)[0].rows()
    solo(range_trial(model={"name": "lenet5", "dropout": 0.2}))
    assert solo(trial)[0].rows() == without


TRAIN_ALL = """
import sys
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.training.loop import train
from tests.support.trials import Seen, small_trial

for engine in ("eager", "fused"):
    for name, entry in OPTIMIZERS.items():
        if engine == "eager" or entry.family:
            train([small_trial(optimizer=name, epochs=1)], report=Seen(), device="cpu", engine=engine)
print([module for module in ("torch._dynamo", "torch._inductor") if module in sys.modules])
"""


def test_no_optimizer_imports_the_compiler_which_would_take_a_second_of_each_workers_start() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN_ALL], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_a_restart_trains_with_the_first_learning_rate_in_both_engines(engine):
    """T_mult 10: the fourth cycle begins after 1 + 10 + 100 epochs, where torch by itself has a learning rate of 0."""
    schedule = {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 10}
    data = {"name": "synthetic_mnist", "train_size": 10, "val_size": 10, "batch_size": 10}
    trial = small_trial(schedule=schedule, optimizer={"name": "SGD", "lr": 0.01}, epochs=112, data=data)
    seen = Seen()
    train([trial], report=seen, engine=engine, device="cpu", threads=1)
    lrs = [row["lr"] for row in seen.rows()]
    assert [lrs[epoch] for epoch in (0, 1, 11, 111)] == [0.01] * 4
    assert lrs == [lr for lr, _ in preview(trial, steps_per_epoch=1)]
