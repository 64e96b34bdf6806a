"""A trial that branches off another is bit for bit what it would be alone, whatever its schedule and what is killed."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from ch6dist.branches import Branch, branches_of, epochs_to_train, kept_epochs
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.distributed.group import SOLO
from ch6dist.errors import UsageError
from ch6dist.optim.digests import digests
from ch6dist.packs import Orders
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.libraries import known_here
from tests.support.ranks import in_ranks
from tests.support.trials import Seen, files_in, in_process, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
DROPPED = {"name": "simple_nn", "dropout": 0.5}
MOMENTUM = {"name": "SGD", "lr": 0.05, "momentum": 0.9}
PER_STEP = {"interval": "batch"}
HALVED = {"name": "ConstantLR", "factor": 0.5}
# By schedule: trials of which each but the first shares some epochs, but not all, with one before it.
FAMILIES = {
    "none": [{"schedule": HALVED | {"factor": 1.0, "total_iters": 9}}, {"schedule": "none", "epochs": 6}],
    "StepLR": [{}, {"schedule": {"name": "StepLR", "step_size": 2, "gamma": 0.3}}],
    "MultiStepLR": [{}, {"schedule": {"name": "MultiStepLR", "milestones": [9, 14], **PER_STEP}}],
    "ExponentialLR": [
        {"schedule": [{"name": "ExponentialLR", "gamma": 0.9, "epochs": 2}, HALVED]},
        {"schedule": {"name": "ExponentialLR", "gamma": 0.9}},
    ],
    "ConstantLR": [
        {"schedule": {**HALVED, "total_iters": 2}},
        {"schedule": {**HALVED, "total_iters": 13, **PER_STEP}},
    ],
    "LinearLR": [
        {"schedule": [{"name": "LinearLR", "total_iters": 11, **PER_STEP, "epochs": 2}, {**HALVED, **PER_STEP}]},
        {"schedule": {"name": "LinearLR", "total_iters": 11, **PER_STEP}},
    ],
    "PolynomialLR": [
        {"schedule": [{"name": "PolynomialLR", "total_iters": 9, "epochs": 3}, HALVED]},
        {"schedule": {"name": "PolynomialLR", "total_iters": 9}},
    ],
    "CosineAnnealingLR": [
        {"schedule": [{"name": "CosineAnnealingLR", "T_max": 7, "epochs": 3}, HALVED]},
        {"schedule": {"name": "CosineAnnealingLR", "T_max": 7}},
        {"schedule": {"name": "CosineAnnealingLR", "T_max": 7}, "epochs": 7},
        {"schedule": {"name": "CosineAnnealingLR", "T_max": 3, "eta_min": 0.01, "warmup": {"epochs": 2}}},
        {"schedule": {"name": "CosineAnnealingLR", "warmup": {"epochs": 2}}},
    ],
    "CosineAnnealingWarmRestarts": [
        {"schedule": {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 3}, "epochs": 3},
        {"schedule": {"name": "CosineAnnealingWarmRestarts", "T_0": 1}, "epochs": 4},
        {"schedule": {"name": "CosineAnnealingWarmRestarts", "T_0": 1, "T_mult": 3}, "epochs": 6},
    ],
    "OneCycleLR": [
        {"schedule": {"name": "OneCycleLR", "total_steps": 20}, "epochs": 3},
        {"schedule": {"name": "OneCycleLR", "total_steps": 20}, "epochs": 6},
    ],
    "CyclicLR": [
        {"schedule": {"name": "CyclicLR", "step_size_up": 4}},
        {"schedule": {"name": "CyclicLR", "step_size_up": 4, "mode": "triangular2"}},
        {"schedule": {"name": "CyclicLR", "step_size_up": 4, "step_size_down": 3}},
    ],
    "ReduceLROnPlateau": [
        {},
        {"schedule": {"name": "ReduceLROnPlateau", "patience": 1, "threshold": 0.5}, "epochs": 7},
        {"schedule": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.9, "monitor": "train_accuracy"}},
        {"schedule": {"name": "ReduceLROnPlateau", "patience": 0, "monitor": "val_accuracy"}, "epochs": 7},
        {"schedule": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.03}, "epochs": 7},
        {"schedule": {"name": "ConstantLR", "total_iters": 3, "warmup": {"epochs": 1}}},
        {"schedule": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.5, "warmup": {"epochs": 1}}},
    ],
    "LambdaLR": [{}, {"schedule": {"name": "LambdaLR", "recipe": "step_power", "step_size": 2, "gamma": 0.5}}],
    "MultiplicativeLR": [
        {"schedule": {"name": "MultiplicativeLR", "recipe": "inverse_sqrt"}, "epochs": 3},
        {"schedule": {"name": "MultiplicativeLR", "recipe": "inverse_sqrt"}, "epochs": 6},
    ],
    "WSD": [{"schedule": {"name": "WSD", "decay": {"epochs": 2}}, "epochs": n} for n in (4, 6, 8)],
    "REX": [{"schedule": {"name": "REX", "warmup": {"epochs": 2}}, "epochs": n} for n in (4, 6)],
    "warmup_cosine": [{"schedule": {"name": "warmup_cosine", "warmup": {"epochs": 2}}, "epochs": n} for n in (4, 6)],
    "SequentialLR": [
        {"schedule": [{"name": "LinearLR", "epochs": 2}, "CosineAnnealingLR"]},
        {"schedule": [{"name": "LinearLR", "epochs": 2}, {"name": "ExponentialLR", "gamma": 0.9}]},
    ],
    "ChainedScheduler": [
        {"schedule": {"name": "ChainedScheduler", "schedulers": [HALVED, {"name": "ExponentialLR", "gamma": 0.9}]}},
        {
            "schedule": {
                "name": "ChainedScheduler",
                "schedulers": [HALVED, {"name": "ExponentialLR", "gamma": 0.9}, {"name": "StepLR", "step_size": 3}],
            }
        },
    ],
}


def family_of(name, **shared):
    """A family's trials, with dropout and augmentation; five epochs where it says nothing else."""
    common = {"model": DROPPED, "optimizer": MOMENTUM, "epochs": 5, **shared, "data": {"augment": "crop_flip"}}
    return [small_trial(**{**common, **changes}) for changes in FAMILIES[name]]


def tree_of(trials):
    branches = branches_of(trials, digests(trials))
    return branches, kept_epochs(branches)


def one(trial, store, **how):
    seen = how.pop("report", None) or Seen()
    status = train([trial], report=seen, checkpoints=store, device="cpu", **how)[trial.trial_id]
    return seen, status


def assert_branches_are_solo_runs(trials, folder, **how):
    """Train `trials` as a tree, one after another: each is its solo run, and reports what no other has trained."""
    branches, keep = tree_of(trials)
    assert branches, "nothing is shared"
    together, alone, trained = Checkpoints(folder / "tree"), Checkpoints(folder / "alone"), 0
    for trial in trials:
        seen, status = one(trial, together, branches=branches, keep=keep, **how)
        whole, its_status = one(trial, alone, **how)
        shared = branches[trial.trial_id].epoch if trial.trial_id in branches else 0
        assert status == its_status == Status.FINISHED
        assert seen.rows() == whole.rows()[shared:]
        trained += len(seen.rows())
        for name in ("last", "best"):
            assert same_weights(saved_weights(together, trial, name), saved_weights(alone, trial, name)), name
        mine, its = (store.load(trial.trial_id, "best") for store in (together, alone))
        assert (mine["epoch"], mine["trial"]) == (its["epoch"], trial.trial_id)
        mine, its = (store.load(trial.trial_id, "last") for store in (together, alone))
        for key in ("epoch", "start_loss", "metrics"):
            assert mine[key] == its[key], key
        assert mine["lane"]["schedule"].keys() == its["lane"]["schedule"].keys()
    assert trained == epochs_to_train(trials, branches)


# Bit for bit


def test_every_schedule_has_a_family_and_branches_off_in_it():
    assert FAMILIES.keys() == SCHEDULES.keys()
    for name in FAMILIES:
        trials = family_of(name)
        branches, _ = tree_of(trials)
        assert any(trial.schedule["name"] == name for trial in trials if trial.trial_id in branches), name
        assert any(branches[t.trial_id].epoch < t.epochs for t in trials if t.trial_id in branches), name


@pytest.mark.parametrize("name", FAMILIES)
def test_a_trial_that_branches_off_is_its_solo_run(tmp_path, name):
    assert_branches_are_solo_runs(family_of(name), tmp_path)


def test_the_plateaus_of_the_family_act_by_metrics_of_the_shared_epochs(tmp_path):
    """Else a plateau that has not seen them would be no other training."""
    trials = [trial for trial in family_of("ReduceLROnPlateau") if "monitor" in trial.schedule]
    rows = [one(trial, None)[0].rows() for trial in trials]
    shared = [trial.schedule["patience"] + 2 + trial.schedule.get("warmup", {}).get("epochs", 0) for trial in trials]
    lrs = [(found[epochs - 1]["lr"], found[epochs]["lr"]) for found, epochs in zip(rows, shared, strict=True)]
    assert any(after < before for before, after in lrs), "some act as soon as they may"
    assert any(after == before for before, after in lrs), "some have seen a metric get better"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_branch_takes_over_the_state_of_every_optimizer(tmp_path, name):
    shared = {"model": DROPPED, "optimizer": {"name": name, "lr": 1e-3}, "epochs": 3}
    schedules = ["none", {"name": "StepLR", "step_size": 2}]
    assert_branches_are_solo_runs([small_trial(**shared, schedule=schedule) for schedule in schedules], tmp_path)


@pytest.mark.parametrize(
    "name",
    ["timm/adan", "pytorch_optimizer/ademamix", "pytorch_optimizer/schedulefreeadamw", "schedulefree:SGDScheduleFree"],
)
def test_a_branch_takes_over_what_a_librarys_optimizer_keeps_in_its_group(tmp_path, name):
    """These count their steps there, or sum weights, beside the learning rate, which is the branch's own."""
    known_here(name)
    shared = {"model": DROPPED, "optimizer": {"name": name, "lr": 1e-3}, "epochs": 4}
    schedules = ["none", {"name": "StepLR", "step_size": 2}]
    assert_branches_are_solo_runs([small_trial(**shared, schedule=schedule) for schedule in schedules], tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", [pytest.param("conv3bn", marks=pytest.mark.slow), {"name": "lenet5", "dropout": 0.3}])
def test_a_branch_takes_over_running_statistics_and_masks(tmp_path, model, precision):
    data = {"train_size": 40, "val_size": 20, "augment": "crop_flip"}
    shared = {"model": model, "optimizer": {**MOMENTUM, "lr": 0.001}, "precision": precision, "data": data}
    schedules = ["none", {"name": "StepLR", "step_size": 2}]
    assert_branches_are_solo_runs([small_trial(**shared, schedule=schedule) for schedule in schedules], tmp_path)


def test_a_cycle_of_beta1_goes_on_in_a_branch(tmp_path):
    cycle = {"name": "OneCycleLR", "total_steps": 20}
    shared = {"model": DROPPED, "optimizer": {"name": "AdamW", "lr": 1e-3}, "schedule": cycle}
    assert_branches_are_solo_runs([small_trial(**shared, epochs=epochs) for epochs in (2, 5)], tmp_path)


def test_a_pack_that_admits_branches_leaves_all_lanes_alone(tmp_path):
    trials = [trial for trial in family_of("ReduceLROnPlateau")[:4] if trial.epochs == 5]
    tree, kept = tree_of(trials)
    store, alone = Checkpoints(tmp_path / "pack"), Checkpoints(tmp_path / "alone")
    seen, branches, keep = Seen(admit={3: trials[1:]}), {}, {}

    def report(lines):
        """A driver that learns of the other trials while the first trains."""
        branches.update(tree)
        keep.update(kept)
        return seen(lines)

    train(trials[:1], report=report, checkpoints=store, device="cpu", branches=branches, keep=keep)
    assert len({row["lanes"] for row in seen.of_kind("row")}) > 1, "they train together"
    for trial in trials:
        whole, _ = one(trial, alone)
        shared = tree[trial.trial_id].epoch if trial.trial_id in tree else 0
        assert seen.rows(trial) == whole.rows()[shared:]
        assert same_weights(saved_weights(store, trial), saved_weights(alone, trial))


def test_a_trial_that_shares_all_its_epochs_trains_none_and_leaves_what_it_would_alone(tmp_path):
    trials = [small_trial(model=DROPPED), small_trial(model=DROPPED, schedule={"name": "StepLR", "step_size": 3})]
    branches, _ = tree_of(trials)
    assert branches == {trials[1].trial_id: Branch(trial=trials[0].trial_id, epoch=3)}
    assert_branches_are_solo_runs(trials, tmp_path)
    assert epochs_to_train(trials, branches) == 3


@pytest.mark.parametrize(
    ("name", "optimizer"),
    [
        *(("StepLR", MOMENTUM), ("WSD", MOMENTUM), ("ReduceLROnPlateau", MOMENTUM), ("CyclicLR", MOMENTUM)),
        ("StepLR", {"name": "pytorch_optimizer/adan", "lr": 1e-3}),
    ],
)
def test_on_the_fused_engine_a_branch_is_its_solo_run_up_to_rounding(tmp_path, name, optimizer):
    known_here(optimizer["name"])
    trials = family_of(name, precision="fp64", optimizer=optimizer)
    branches, keep = tree_of(trials)
    fused, alone = Checkpoints(tmp_path / "fused"), Checkpoints(tmp_path / "alone")
    for trial in trials:
        seen, _ = one(trial, fused, branches=branches, keep=keep, engine="fused")
        whole, _ = one(trial, alone)
        shared = branches[trial.trial_id].epoch if trial.trial_id in branches else 0
        rows = whole.rows()[shared:]
        assert [(row["lr"], row["momentum"]) for row in seen.rows()] == [(row["lr"], row["momentum"]) for row in rows]
        assert [row["val_loss"] for row in seen.rows()] == pytest.approx([row["val_loss"] for row in rows], rel=1e-9)
        found, expected = saved_weights(fused, trial), saved_weights(alone, trial)
        assert max((found[key] - expected[key]).abs().max().item() for key in expected) < 1e-12


def trained_as_tree(group, folder, trials):
    """[trial]: rows. Rank 0 alone knows the tree and has the folder."""
    branches, keep = tree_of(trials) if group.rank == 0 else ({}, {})
    store = Checkpoints(folder / f"checkpoints-{group.rank}")
    return [one(trial, store, branches=branches, keep=keep, group=group)[0].rows() for trial in trials]


def test_two_workers_branch_off_together(tmp_path):
    trials = family_of("WSD", precision="fp64")[:2]
    ranks = in_ranks(2, tmp_path / "two", trained_as_tree, trials)
    alone = trained_as_tree(SOLO, tmp_path, trials)
    assert [[len(rows) for rows in found] for found in ranks] == [[4, 4], [0, 0]], "rank 0 alone reports"
    for rows, expected in zip(ranks[0], alone, strict=True):
        for column in ("train_loss", "val_loss", "lr"):
            assert [row[column] for row in rows] == pytest.approx([row[column] for row in expected], abs=1e-9)
    assert [path.name for path in (tmp_path / "two").glob("checkpoints-*")] == ["checkpoints-0"]


# What is written when


def test_the_checkpoint_of_an_epoch_is_made_after_its_row_and_told_when_it_is_there(tmp_path):
    first, second, third = family_of("WSD")
    branches, keep = tree_of([first, second, third])
    assert keep == {first.trial_id: [2], second.trial_id: [4]}
    file, there = tmp_path / first.trial_id / "epoch-000002.pt", []

    def report(lines):
        there.extend((line["kind"], line["epoch"], file.exists()) for line in lines)
        return Orders()

    one(first, Checkpoints(tmp_path), keep=keep, report=report)
    assert there[:6] == [
        ("status", 0, False),
        ("row", 1, False),
        ("row", 2, False),
        ("artifact", 2, True),
        ("row", 3, True),
        ("row", 4, True),
    ]
    assert files_in(tmp_path / first.trial_id) == ["best.pt", "epoch-000002.pt", "last.pt"]
    assert branches[second.trial_id] == Branch(trial=first.trial_id, epoch=2)


def killed_at(folder, trials, number, kind, epoch):
    """Train the tree up to trial `number`; the process dies when that reports a line of `kind` at `epoch`."""
    branches, keep = tree_of(trials)

    def report(lines):
        if any(
            (line["kind"], line["trial"], line["epoch"]) == (kind, trials[number].trial_id, epoch) for line in lines
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return Orders()

    for trial in trials:
        one(trial, Checkpoints(folder), branches=branches, keep=keep, report=report, checkpoint_seconds=0)


@pytest.mark.parametrize(
    ("number", "kind", "epoch"), [(0, "row", 2), (0, "artifact", 2), (1, "row", 3), (1, "row", 5), (1, "status", 6)]
)
def test_a_tree_that_was_killed_ends_as_the_undisturbed_one(tmp_path, number, kind, epoch):
    trials = family_of("WSD")[:2]
    assert in_process(killed_at, tmp_path / "killed", trials, number, kind, epoch) == -signal.SIGKILL
    branches, keep = tree_of(trials)
    again, alone = Checkpoints(tmp_path / "killed"), Checkpoints(tmp_path / "alone")
    for trial in trials:
        seen, status = one(trial, again, branches=branches, keep=keep)
        whole, _ = one(trial, alone)
        assert status == Status.FINISHED
        assert seen.rows() == whole.rows()[trial.epochs - len(seen.rows()) :]
        for name in ("last", "best"):
            assert same_weights(saved_weights(again, trial, name), saved_weights(alone, trial, name))


def test_a_resumed_source_writes_the_checkpoint_that_a_kill_has_prevented(tmp_path):
    trials = family_of("WSD")[:2]
    assert in_process(killed_at, tmp_path, trials, 0, "row", 2) == -signal.SIGKILL
    assert "epoch-000002.pt" not in files_in(tmp_path / trials[0].trial_id)
    _, keep = tree_of(trials)
    one(trials[0], Checkpoints(tmp_path), keep=keep)
    assert "epoch-000002.pt" in files_in(tmp_path / trials[0].trial_id)


def test_a_branch_resumes_from_its_own_checkpoint_when_the_others_is_gone(tmp_path):
    first, second, _ = family_of("WSD")
    branches, keep = tree_of([first, second])
    store = Checkpoints(tmp_path / "tree")
    one(first, store, keep=keep)
    begun, _ = one(second, store, branches=branches, report=Seen(stop={second.trial_id: 4}))
    for file in ("epoch-000002.pt", "last.pt", "best.pt"):
        (tmp_path / "tree" / first.trial_id / file).unlink()
    rest, _ = one(second, store, branches=branches)
    assert begun.rows() + rest.rows() == one(second, Checkpoints(tmp_path / "alone"))[0].rows()[2:]


def test_without_the_others_checkpoint_a_trial_trains_from_the_start_and_says_so(tmp_path):
    first, second, _ = family_of("WSD")
    branches, _ = tree_of([first, second])
    seen, status = one(second, Checkpoints(tmp_path), branches=branches)
    assert status == Status.FINISHED
    assert seen.rows() == one(second, None)[0].rows()
    assert seen.of_kind("status")[0]["notes"][-1] == (
        f"no checkpoint of epoch 2 of {first.trial_id}: trained from the start"
    )


def test_the_opening_line_of_a_branch_begins_where_it_leaves_the_other(tmp_path):
    first, second, _ = family_of("WSD")
    branches, keep = tree_of([first, second])
    one(first, Checkpoints(tmp_path), keep=keep)
    opening = one(second, Checkpoints(tmp_path), branches=branches)[0].of_kind("status")[0]
    assert (opening["epoch"], opening["status"]) == (2, Status.RUNNING)
    assert not any(first.trial_id in note for note in opening.get("notes", ())), "nothing is amiss"


def test_a_finished_trial_can_be_left_at_its_end_though_nobody_asked_to_keep_that(tmp_path):
    """What makes a sweep longer that has ended: `last` is the checkpoint of the last epoch."""
    short, long = (small_trial(model=DROPPED, optimizer=MOMENTUM, epochs=epochs) for epochs in (3, 5))
    branches, _ = tree_of([short, long])
    assert branches[long.trial_id].epoch == 3
    store = Checkpoints(tmp_path / "tree")
    one(short, store)
    seen, _ = one(long, store, branches=branches)
    assert seen.rows() == one(long, Checkpoints(tmp_path / "alone"))[0].rows()[3:]


def test_an_attempt_is_the_one_that_is_named_and_a_damaged_file_is_no_checkpoint(tmp_path):
    first, second, _ = family_of("WSD")
    branches, keep = tree_of([first, second])
    attempts = {first.trial_id: 2}
    one(first, Checkpoints(tmp_path, attempts), attempts=attempts, keep=keep)
    at_two = {second.trial_id: Branch(trial=first.trial_id, epoch=2, attempt=2)}
    assert len(one(second, Checkpoints(tmp_path / "none"), branches=branches)[0].rows()) == 6
    (tmp_path / first.trial_id / "epoch-000002.pt").write_bytes(b"PK nothing")
    with pytest.raises(UsageError, match="no readable checkpoint"):
        one(second, Checkpoints(tmp_path), branches=branches)
    assert len(one(second, Checkpoints(tmp_path), branches=at_two)[0].rows()) == 4


def test_a_source_that_diverges_before_is_not_branched_off(tmp_path):
    shared = {"optimizer": {"name": "SGD", "lr": 1e30}, "model": DROPPED}
    trials = [small_trial(**shared, epochs=3), small_trial(**shared, epochs=4)]
    branches, keep = tree_of(trials)
    found = [one(trial, Checkpoints(tmp_path), branches=branches, keep=keep)[1] for trial in trials]
    assert found == [Status.DIVERGED] * 2


def test_branches_come_from_an_object_store_too(tmp_path, server):
    trials = family_of("WSD")[:2]
    branches, keep = tree_of(trials)
    store = Checkpoints(server.url("runs/tree/checkpoints"))
    one(trials[0], store, keep=keep)
    seen, _ = one(trials[1], store, branches=branches)
    assert seen.rows() == one(trials[1], Checkpoints(tmp_path))[0].rows()[2:]
