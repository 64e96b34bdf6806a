"""The fused engine: a lane is its solo run up to rounding, whatever stands beside it, and so is what it leaves."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import torch

import ch6dist.engines.eager as eager_module
import ch6dist.engines.fused as fused_module
import ch6dist.engines.kernels as kernels_module
from analysis.study.stats import t_interval
from benchmarks.exactness import fused_minus_solo, trials_of
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.fused_forms import FUSED_FORMS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.data.images import load_split
from ch6dist.distributed.group import Group
from ch6dist.engines.choice import make_engine
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.engines.families.registry import family_of
from ch6dist.engines.fused import FusedEngine
from ch6dist.engines.kernels import CONVOLUTIONS, AutotuneCache
from ch6dist.engines.step import even
from ch6dist.errors import InputError
from ch6dist.host.hardware import cpu_name
from ch6dist.packs import engine_for
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.ch6dist.training.test_loop import SCHEDULE_OF
from tests.support.libraries import known_here
from tests.support.trials import Seen, real, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
CHOOSE = AutotuneCache.choose
FUSED = [name for name, entry in OPTIMIZERS.items() if entry.family]
OF_LIBRARIES = list({form.family: name for name, form in FUSED_FORMS.items()}.values())  # one of each family
LRS = {"SGD": 0.01, "Adadelta": 0.5, "ASGD": 0.01, "Rprop": 1e-4, "RMSprop": 1e-4, "Adagrad": 3e-3}
EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive]
SIDES = {"lenet5": 16, "conv3bn": 8, "cnn2": 10, "resnet18": 8}  # the smallest images that a model takes
DROPPED = {"lenet5": {"name": "lenet5", "dropout": 0.3}, "cnn2": "cnn2"}


@pytest.fixture(autouse=True)
def _without_the_autotune_cache_of_this_machine(monkeypatch):
    """What timing decides is decided here: other bits on another day would make a test's claim a matter of luck."""
    force(monkeypatch, "grouped")


def force(monkeypatch, variant, stack=256):
    def choose(self, key, allowed, measure):
        self.choices[key] = variant
        return variant

    monkeypatch.setattr(AutotuneCache, "choose", choose)
    monkeypatch.setattr(FusedEngine, "stack_size", lambda self, lanes, epoch, columns: min(stack, len(lanes)))


@pytest.fixture
def tiny(monkeypatch):
    """A data set like the synthetic digits, with images as small as a model takes: `tiny('lenet5')` is its name."""

    def add(model):
        name, side = f"tiny_{SIDES[model]}", SIDES[model]
        entry = replace(DATASETS["synthetic_mnist"], name=name, height=side, width=side, train_images=400)
        monkeypatch.setitem(DATASETS, name, entry)
        return name

    return add


def run(trials, folder=None, *, engine="fused", variants=None, **how):
    seen, store = Seen(**how), Checkpoints(folder) if folder else None
    options = {"device": "cpu", "engine": engine, "variants": variants, "checkpoint_seconds": math.inf}
    statuses = train(trials, report=seen, checkpoints=store, **options)
    return seen, statuses, store


def distance(found, expected):
    """Largest difference of a tensor, relative in its norm; counters have to be equal."""
    assert found.keys() == expected.keys()
    apart = 0.0
    for name, tensor in expected.items():
        if tensor.is_floating_point():
            apart = max(apart, float((found[name] - tensor).norm() / tensor.norm().clamp(min=1e-300)))
        else:
            assert torch.equal(found[name], tensor), name
    return apart


def response(trial, folder, monkeypatch):
    """How far the solo run ends from itself when its initial weights move by 2e-16 of themselves."""
    original = eager_module.build_model

    def perturbed(*args, **kwargs):
        model = original(*args, **kwargs)
        source = torch.Generator().manual_seed(1)
        for weight in model.double().parameters():
            weight.data *= 1 + 2.2e-16 * (torch.randint(2, weight.shape, generator=source).double() * 2 - 1)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(eager_module, "build_model", perturbed)
        return run([trial], folder, engine="eager")[2]


def assert_lanes_equal_their_solo_runs(trials, folder, monkeypatch, *, bound=1e-12):
    seen, statuses, store = run(trials, folder / "pack")
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials:
        alone, _, its_store = run([trial], folder / "solo", engine="eager")
        expected = saved_weights(its_store, trial)
        apart = distance(saved_weights(store, trial), expected)
        if apart > bound:
            moved = response(trial, folder / "moved", monkeypatch)
            assert apart <= 100 * distance(saved_weights(moved, trial), expected), trial.trial_id
        for row, solo_row in zip(seen.rows(trial), alone.rows(), strict=True):
            assert (row["step"], row["lr"], row["momentum"]) == tuple(solo_row[k] for k in ("step", "lr", "momentum"))
            for column in ("train_loss", "val_loss"):
                assert row[column] == pytest.approx(solo_row[column], rel=1e-9)


def pack_of(optimizer, model, tiny, *, schedules=tuple(SCHEDULES), epochs=8, **changes):
    """A lane per schedule, in turn of two seeds, some with label smoothing: 13 steps an epoch, the last of 4 images."""
    known_here(optimizer)
    data = {"name": tiny(model), "batch_size": 8, "augment": "crop_flip", **changes.pop("data", {})}
    content = {"name": optimizer, "lr": LRS.get(optimizer, 1e-3)}
    content |= {"momentum": 0.9} if optimizer in ("SGD", "RMSprop") else {}
    return [
        small_trial(
            optimizer=content,
            model=DROPPED.get(model, model),
            schedule=SCHEDULE_OF[name],
            precision="fp64",
            data=data,
            epochs=epochs,
            divergence_factor=1e9,
            **{"seed": i % 2, "label_smoothing": 0.1 * (i % 3 == 0), **changes},
        )
        for i, name in enumerate(schedules)
    ]


# A lane is its solo run


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("model", ["lenet5", "conv3bn", "cnn2"])
@pytest.mark.parametrize("optimizer", FUSED)
def test_a_lane_equals_its_solo_run_for_every_optimizer_and_schedule(optimizer, model, tiny, tmp_path, monkeypatch):
    """104 steps in fp64, a lane per schedule, four lanes a pack."""
    small = {"train_size": 25, "batch_size": 2, "val_size": 20} if model == "conv3bn" else {}  # as many steps
    trials = pack_of(optimizer, model, tiny, data=small)
    for first in range(0, len(trials), 4):
        assert_lanes_equal_their_solo_runs(trials[first : first + 4], tmp_path / str(first), monkeypatch)


@pytest.mark.parametrize("optimizer", OF_LIBRARIES)
def test_a_lane_equals_its_solo_run_for_every_family_of_a_library(optimizer, tiny, tmp_path, monkeypatch):
    """Lanes that decay their weights and clip their gradients differently; OneCycleLR cycles betas."""
    few = ("OneCycleLR", "none", "ReduceLROnPlateau")
    trials = pack_of(optimizer, "cnn2", tiny, schedules=few, epochs=3)
    for k, trial in enumerate(trials):
        changes = {"optimizer": {**trial.optimizer, "weight_decay": 0.05 * k}, "clip_norm": (0.5, None, 2.0)[k]}
        trials[k] = trial.model_copy(update=changes)
    assert_lanes_equal_their_solo_runs(trials, tmp_path, monkeypatch)


@pytest.mark.parametrize("optimizer", FUSED)
def test_a_lane_equals_its_solo_run_for_every_optimizer(optimizer, tiny, tmp_path, monkeypatch):
    few = ("none", "OneCycleLR", "ReduceLROnPlateau")
    assert_lanes_equal_their_solo_runs(pack_of(optimizer, "cnn2", tiny, schedules=few, epochs=3), tmp_path, monkeypatch)


@pytest.mark.parametrize("variant", CONVOLUTIONS)
@pytest.mark.parametrize("model", ["lenet5", "conv3bn", pytest.param("resnet18", marks=EXHAUSTIVE)])
def test_a_lane_equals_its_solo_run_with_every_kernel_variant(model, variant, tiny, tmp_path, monkeypatch):
    force(monkeypatch, variant)
    data = {"train_size": 12, "val_size": 10}
    trials = pack_of("Adam", model, tiny, schedules=("none",) * 2, epochs=1, data=data)
    trials.append(trials[0].model_copy(update={"optimizer": {**trials[0].optimizer, "lr": 2e-3}}))
    assert_lanes_equal_their_solo_runs(trials, tmp_path, monkeypatch)


@pytest.mark.parametrize("stack", [1, 2, 3])
def test_lanes_in_stacks_of_any_size_equal_their_solo_runs(stack, tiny, tmp_path, monkeypatch):
    force(monkeypatch, "grouped", stack=stack)
    trials = pack_of("Adam", "lenet5", tiny, schedules=("none", "OneCycleLR", "StepLR", "none", "LinearLR"), epochs=3)
    trials[3] = trials[3].model_copy(update={"label_smoothing": 0.2})
    assert_lanes_equal_their_solo_runs(trials, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("seconds", "size"),
    [({1: 1, 2: 1.5, 4: 4, 5: 6}, 2), ({1: 1, 2: 3, 4: 7, 5: 9}, 1), ({1: 1, 2: 1, 4: 1, 5: 1}, 5)],
)
def test_the_stack_is_as_large_as_pays_and_never_slower_than_lanes_alone(seconds, size, tiny, monkeypatch):
    monkeypatch.undo()
    trials = pack_of("SGD", "lenet5", tiny, schedules=("none",) * 5)
    engine = FusedEngine(dataset=DATASETS[trials[0].data.name], steps_per_epoch=13, device=torch.device("cpu"))
    lanes = [engine.open(trial) for trial in trials]
    engine.autotune.context = str(seconds)
    monkeypatch.setattr(FusedEngine, "timed", lambda self, lanes, epoch, columns: seconds[len(lanes)])
    epoch = epoch_batches(
        load_split(trials[0].data, device="cpu"),
        seeds=[trial.seed for trial in trials],
        epochs=[0] * 5,
        config=trials[0].data,
        steps=13,
        device=torch.device("cpu"),
        dtype=torch.float64,
    )
    assert engine.stack_size(lanes, epoch, [[]] * 5) == size
    assert engine.autotune.choices == {"8 lanes of lenet5": f"stacks of {size}"}
    assert engine.stack_size(lanes[:4], epoch.part(slice(4)), [[]] * 4) == min(size, 4)


def test_timing_leaves_the_lanes_as_they_were(tiny, tmp_path, monkeypatch):
    """The real timing, then the training: it ends where a training that was not timed ends."""
    trials = pack_of("NAdam", "lenet5", tiny, schedules=("none", "OneCycleLR", "StepLR"), epochs=2)
    original = FusedEngine.timed

    def timed_first(self, lanes, epoch, columns):
        assert original(self, lanes, epoch, columns) > 0
        return len(lanes)

    untimed = run(trials, tmp_path / "untimed")[2]
    monkeypatch.setattr(FusedEngine, "stack_size", lambda self, lanes, *rest: timed_first(self, lanes, *rest))
    timed = run(trials, tmp_path / "timed")[2]
    assert all(same_weights(saved_weights(timed, t), saved_weights(untimed, t)) for t in trials)


@pytest.mark.parametrize("seeds", [(0, 0, 0, 0), (0, 1, 0, 1), (0, 0, 0, 1), (3, 1, 2, 0)])
def test_seeds_may_be_mixed_in_any_way(seeds, tiny, tmp_path, monkeypatch):
    trials = [
        trial.model_copy(update={"seed": seed, "optimizer": {**trial.optimizer, "lr": 0.01 * (i + 1)}})
        for i, (seed, trial) in enumerate(
            zip(seeds, pack_of("SGD", "lenet5", tiny, schedules=("none",) * 4, epochs=2), strict=True)
        )
    ]
    assert_lanes_equal_their_solo_runs(trials, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("plans", "answer"), [((0, 0, 1, 1), True), ((0, 1, 1), False), ((0,), True), ((0, 1, 0, 1), False)]
)
def test_groups_of_lanes_are_even_when_each_has_its_share_in_order(plans, answer):
    assert even(plans) is answer


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_stay_near_the_solo_run(precision, tiny, tmp_path):
    trials = [
        t.model_copy(update={"precision": precision})
        for t in pack_of("SGD", "conv3bn", tiny, schedules=("none",) * 3, epochs=1)
    ]
    seen, _, _ = run(trials, tmp_path)
    for trial in trials:
        row, alone = seen.rows(trial)[0], run([trial], engine="eager")[0].rows()[0]
        assert row["train_loss"] == pytest.approx(alone["train_loss"], rel=1e-4 if precision == "fp32" else 0.02)


# Batch groups


def test_a_lane_that_is_not_finite_leaves_the_others_bit_for_bit(tiny, tmp_path):
    """Against the same pack in which that lane stayed finite, up to the epoch's end; then it is compacted away."""
    sound = pack_of("SGD", "conv3bn", tiny, schedules=("none", "StepLR", "OneCycleLR"), epochs=2)
    saved = []
    for lr in (1e-3, 1e308):
        other = sound[0].model_copy(update={"optimizer": {**sound[0].optimizer, "lr": lr}})
        seen, statuses, store = run(
            [sound[1], other, sound[2]], tmp_path / str(lr), stop={t.trial_id: 1 for t in sound}
        )
        saved.append([saved_weights(store, trial) for trial in sound[1:]])
    assert statuses[other.trial_id] == Status.DIVERGED
    assert seen.of_kind("status", other)[-1]["reason"] == "loss not finite at step 2"
    assert all(same_weights(a, b) for a, b in zip(*saved, strict=True))


def test_a_lane_freezes_where_its_loss_is_not_finite_and_the_rest_continues(tiny, tmp_path, monkeypatch):
    trials = pack_of("SGD", "lenet5", tiny, schedules=("none", "OneCycleLR", "StepLR"), epochs=3)
    lost = trials[1].model_copy(
        update={"optimizer": {**trials[1].optimizer, "lr": 1e308}, "schedule": {"name": "none"}}
    )
    seen, statuses, store = run([trials[0], lost, trials[2]], tmp_path / "pack")
    assert statuses[lost.trial_id] == Status.DIVERGED
    assert len(seen.rows(lost)) == 1
    assert [row["lanes"] for row in seen.of_kind("row", trials[0])] == [3, 2, 2], "compacted at the epoch's end"
    for trial in (trials[0], trials[2]):
        expected = saved_weights(run([trial], tmp_path / "solo", engine="eager")[2], trial)
        assert distance(saved_weights(store, trial), expected) < 1e-12


def test_frozen_weights_stay_where_they_were(tiny, monkeypatch):
    trials = pack_of("Adam", "lenet5", tiny, schedules=("none", "none"), label_smoothing=0.0, seed=0)
    trials[1] = trials[1].model_copy(update={"optimizer": {**trials[1].optimizer, "lr": 1e-2}})
    steps, lanes = prepared(trials)
    steps.step(8)
    before = steps.stack.weights.clone()
    steps.stack.weights[1, 0] = math.nan
    not_finite = steps.stack.weights[1].clone()
    for _ in range(3):
        steps.step(8)
    assert torch.equal(steps.stack.weights[1][1:], not_finite[1:])
    assert not torch.equal(steps.stack.weights[0], before[0])
    assert steps.alive.tolist() == [True, False]
    assert torch.isfinite(steps.sums[:1]).all()
    assert steps.sums[1:4, 1, 0].isnan().all()
    assert torch.isfinite(steps.sums[:4, 0]).all()
    assert len(lanes) == 2


def test_admitted_trials_equal_their_solo_runs(tiny, tmp_path):
    first, second, third, fourth = pack_of("Adam", "lenet5", tiny, schedules=tuple(SCHEDULES)[:4], epochs=3)
    seen, statuses, store = run(
        [first, second], tmp_path / "pack", admit={1: [third], 2: [fourth]}, stop={second.trial_id: 2}
    )
    assert statuses[second.trial_id] == Status.STOPPED
    for trial in (first, third, fourth):
        alone, _, its_store = run([trial], tmp_path / "solo", engine="eager")
        assert distance(saved_weights(store, trial), saved_weights(its_store, trial)) < 1e-12
        assert [row["lr"] for row in seen.rows(trial)] == [row["lr"] for row in alone.rows()]


# Checkpoints


@pytest.mark.parametrize("optimizer", [*FUSED, "timm/adabelief", "pytorch_optimizer/adan", *OF_LIBRARIES[-1:]])
def test_a_resume_in_the_same_batch_group_is_bit_exact(optimizer, tiny, tmp_path):
    trials = pack_of(optimizer, "cnn2", tiny, schedules=("none", "OneCycleLR", "ReduceLROnPlateau"), epochs=3)
    whole, _, store = run(trials, tmp_path / "whole")
    rows = []
    for epoch in (1, 2, 3):
        part, statuses, pieces = run(trials, tmp_path / "pieces", stop={trial.trial_id: epoch for trial in trials})
        rows += part.rows()
    assert set(statuses.values()) == {Status.FINISHED}
    assert sorted(rows, key=str) == sorted(whole.rows(), key=str)
    for trial in trials:
        for name in ("last", "best"):
            assert same_weights(saved_weights(store, trial, name), saved_weights(pieces, trial, name))


@pytest.mark.parametrize("optimizer", [*FUSED, *OF_LIBRARIES])
def test_a_checkpoint_goes_from_engine_to_engine(optimizer, tiny, tmp_path):
    """Each epoch in another engine, alone or in a pack: it ends where the solo run ends, state and all."""
    model = "conv3bn" if optimizer in OPTIMIZERS else "cnn2"  # the quicker one for the many of libraries
    trials = pack_of(optimizer, model, tiny, schedules=("StepLR", "OneCycleLR"), epochs=4, data={"train_size": 40})
    for epoch, engine in enumerate(("fused", "eager", "fused", "eager"), start=1):
        store = run(trials, tmp_path / "mixed", engine=engine, stop={trial.trial_id: epoch for trial in trials})[2]
    for trial in trials:
        ours = store.load(trial.trial_id, "last")["lane"]
        solo = run([trial], tmp_path / "solo", engine="eager")[2].load(trial.trial_id, "last")["lane"]
        assert distance(ours["model"], solo["model"]) < 1e-12
        for parameter, state in solo["optimizer"]["state"].items():
            found = ours["optimizer"]["state"][parameter]
            assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in state.items()}
            found, state = ({k: torch.as_tensor(v) for k, v in one.items()} for one in (found, state))
            assert {k: (v.shape, v.dtype) for k, v in found.items()} == {
                k: (v.shape, v.dtype) for k, v in state.items()
            }
            assert distance(found, state) < 1e-9
        family = family_of(trials[0].optimizer)
        assert ("evaluation" in ours) == ("evaluation" in solo) == bool(family.evaluated)
        assert distance(ours.get("evaluation", {}), solo.get("evaluation", {})) < 1e-12
        [found], [group] = (one["optimizer"]["param_groups"] for one in (ours, solo))
        counted = family.scalar_state  # what an optimizer sums up in Python's own floats
        assert {k: v for k, v in found.items() if k not in counted} == {
            k: v for k, v in group.items() if k not in counted
        }
        assert {k: found[k] for k in counted if k in group} == pytest.approx(
            {k: group[k] for k in counted if k in group}, rel=1e-12
        )
        assert ours["schedule"] == solo["schedule"]


def test_a_checkpoint_is_written_whenever_the_batch_group_changes(tiny, tmp_path):
    """Otherwise what is trained again after a crash would be trained in another batch group: other bits."""
    trials = pack_of("SGD", "cnn2", tiny, schedules=("none", "StepLR", "OneCycleLR"), epochs=3)
    store, epochs = Checkpoints(tmp_path), []
    seen = Seen(stop={trials[1].trial_id: 2})

    def report(lines):
        epochs.extend(line["epoch"] for line in lines if line["kind"] == "row" and line["trial"] == trials[0].trial_id)
        if epochs and epochs[-1] == 3 and any(line["kind"] == "row" for line in lines):
            assert store.load(trials[0].trial_id, "last")["epoch"] == 2
        return seen(lines)

    train(trials, report=report, checkpoints=store, device="cpu", engine="fused", checkpoint_seconds=math.inf)
    assert epochs == [1, 2, 3]


def test_a_checkpoint_keeps_the_kernel_variants_and_a_resume_uses_them(tiny, tmp_path, monkeypatch):
    trials = pack_of("SGD", "lenet5", tiny, schedules=("none", "StepLR"), epochs=2, seed=0)
    force(monkeypatch, "loop")
    store = run(trials, tmp_path, stop={trial.trial_id: 1 for trial in trials})[2]
    variants = store.load(trials[0].trial_id, "last")["made_with"]["forms"]
    assert set(variants.values()) == {"loop"}
    assert len(variants) == 2, "one for each convolution"

    measured_by_chance(monkeypatch, allowed=False)
    seen, statuses, _ = run(trials, tmp_path)
    assert set(statuses.values()) == {Status.FINISHED}
    assert {line["variant"] for line in seen.of_kind("variant")} == {"loop"}, "the run has them too, from now on"


def measured_by_chance(monkeypatch, *, allowed=True):
    """The real cache again; what a timing says is drawn by chance, or there must be none."""

    def drawn(run, *, device):
        assert allowed, "a shape was measured again"
        return random.random()

    monkeypatch.setattr(AutotuneCache, "choose", CHOOSE)
    monkeypatch.setattr(kernels_module, "seconds", drawn)


def test_kernel_variants_are_recorded_before_the_first_row_and_a_repetition_uses_them(tiny, tmp_path, monkeypatch):
    trials = pack_of("SGD", "conv3bn", tiny, schedules=("none", "StepLR", "OneCycleLR"), epochs=2)
    measured_by_chance(monkeypatch)
    seen, _, store = run(trials, tmp_path / "first")
    kinds = [line["kind"] for line in seen.lines]
    recorded = {line["key"]: line["variant"] for line in seen.of_kind("variant")}
    assert len(recorded) == len(seen.of_kind("variant")) == 3 + 1, "each convolution; the first with shared images too"
    assert max(i for i, kind in enumerate(kinds) if kind == "variant") < kinds.index("row")
    assert all(f"{cpu_name()}, 1 thread, fp64, batch 8: conv" in key for key in recorded)

    measured_by_chance(monkeypatch, allowed=False)
    again, _, other = run(trials, tmp_path / "again", variants=recorded)
    assert again.of_kind("variant") == []
    assert again.rows() == seen.rows()
    assert all(same_weights(saved_weights(store, t), saved_weights(other, t)) for t in trials)


def test_a_checkpoint_of_another_processor_is_resumed_with_a_note_and_new_variants(tiny, tmp_path, monkeypatch):
    trials = pack_of("SGD", "lenet5", tiny, schedules=("none", "none"), epochs=2, seed=0)
    trials[1] = trials[1].model_copy(update={"label_smoothing": 0.2})
    measured_by_chance(monkeypatch)
    monkeypatch.setattr(fused_module, "processor", lambda device: "Another GPU")
    first = run(trials, tmp_path, stop={trial.trial_id: 1 for trial in trials})[0]
    assert all("notes" not in line for line in first.of_kind("status"))
    monkeypatch.setattr(fused_module, "processor", lambda device: "This GPU")
    resumed, statuses, _ = run(trials, tmp_path)
    assert set(statuses.values()) == {Status.FINISHED}
    note = "kernel variants are chosen anew: those of the checkpoint are for Another GPU, fp64, batch 8"
    assert [line["notes"] for line in resumed.of_kind("status")[:2]] == [[note], [note]]
    assert all(line["key"].startswith("This GPU, fp64, batch 8: ") for line in resumed.of_kind("variant"))


def test_checkpoints_made_before_processors_had_names_keep_their_kernel_variants(tiny, tmp_path, monkeypatch):
    trials = pack_of("SGD", "lenet5", tiny, schedules=("none", "StepLR"), epochs=2, seed=0)
    measured_by_chance(monkeypatch)
    with monkeypatch.context() as before:
        before.setattr(fused_module, "processor", str)
        store = run(trials, tmp_path, stop={trial.trial_id: 1 for trial in trials})[2]
    assert store.load(trials[0].trial_id, "last")["made_with"]["forms_for"] == "cpu, fp64, batch 8"
    measured_by_chance(monkeypatch, allowed=False)
    assert set(run(trials, tmp_path)[1].values()) == {Status.FINISHED}


# Optimizers that are evaluated with other weights than they train with

SCHEDULE_FREE = [name for name, form in FUSED_FORMS.items() if form.family.startswith("Schedule-Free")]
NORMED = """
import torch
from torch import nn

class Normed(nn.Module):
    \"\"\"No fx graph follows it: it branches on a shape. Its lanes go through vmap.\"\"\"
    def __init__(self, num_classes, in_channels):
        super().__init__()
        self.norm, self.average = nn.BatchNorm2d(in_channels), nn.BatchNorm1d(6, momentum=0.3)
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(6, num_classes)
        self.body = nn.Linear(in_channels * 256, 6)
    def forward(self, x):
        x = torch.relu(self.body(self.norm(x).flatten(1)))
        x = self.average(x) if len(x) > 1 else x
        return self.head(self.dropout(x))
"""


def assert_it_is_evaluated_as_its_solo_run(trials, folder, bound=1e-12):
    """Rows, the weights of the training, and those of the evaluation with their statistics."""
    seen, statuses, store = run(trials, folder / "pack")
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials:
        alone, _, its_store = run([trial], folder / "solo", engine="eager")
        ours, solo = (one.load(trial.trial_id, "last")["lane"] for one in (store, its_store))
        best = [saved_weights(one, trial, "best") for one in (store, its_store)]
        for found, expected in ((ours["model"], solo["model"]), (ours["evaluation"], solo["evaluation"]), best):
            assert found.keys() == expected.keys()
            for name, tensor in expected.items():  # the mean of standardised images is nothing but rounding
                torch.testing.assert_close(found[name], tensor, rtol=bound, atol=bound)
        assert distance(ours["evaluation"], ours["model"] | counters(ours["evaluation"])) > 1e-3, "the same weights"
        for row, solo_row in zip(seen.rows(trial), alone.rows(), strict=True):
            assert row["val_loss"] == pytest.approx(solo_row["val_loss"], rel=1e-9)


def counters(weights):
    return {name: tensor for name, tensor in weights.items() if not tensor.is_floating_point()}


@pytest.mark.parametrize("optimizer", SCHEDULE_FREE)
def test_lanes_with_weights_for_evaluation_are_evaluated_as_their_solo_runs(optimizer, tiny, tmp_path):
    """Batch normalisation, whose statistics are estimated anew; a schedule that moves what the average is drawn by."""
    few = ("none", "OneCycleLR")
    trials = pack_of(optimizer, "conv3bn", tiny, schedules=few, epochs=2, data={"train_size": 40})
    assert_it_is_evaluated_as_its_solo_run(trials, tmp_path)


@pytest.mark.parametrize("augment", ["none", ["crop", "mixup"]])
@pytest.mark.parametrize("model", ["Normed", "lenet5"])
def test_so_are_networks_as_a_whole_with_dropout_and_images_that_are_mixed(model, augment, tiny, tmp_path, monkeypatch):
    (tmp_path / "normed_net.py").write_text(NORMED)
    monkeypatch.chdir(tmp_path)
    name = SCHEDULE_FREE[0]
    known_here(name)
    trials = [
        small_trial(
            optimizer={"name": name, "lr": 0.01 * (1 + seed)},
            model="normed_net:Normed" if model == "Normed" else DROPPED[model],
            precision="fp64",
            data={"name": tiny("lenet5"), "batch_size": 8, "train_size": 40, "augment": augment},
            epochs=2,
            seed=seed % 2,
        )
        for seed in range(3)
    ]
    assert_it_is_evaluated_as_its_solo_run(trials, tmp_path, bound=1e-9)  # small variances enlarge roundings


def test_a_lane_that_joins_others_later_is_evaluated_as_its_solo_run(tiny, tmp_path):
    first, late = pack_of(SCHEDULE_FREE[1], "conv3bn", tiny, schedules=("none", "StepLR"), epochs=3, seed=0)
    seen, _, _ = run([first], tmp_path / "pack", admit={1: [late]})
    for trial in (first, late):
        alone = run([trial], tmp_path / "solo", engine="eager")[0]
        assert [row["val_loss"] for row in seen.rows(trial)] == pytest.approx(
            [row["val_loss"] for row in alone.rows()], rel=1e-9
        )


def test_a_range_test_of_one_needs_no_weights_for_evaluation(tiny, tmp_path):
    plain = pack_of(SCHEDULE_FREE[0], "conv3bn", tiny, schedules=("none",))[0]
    test = plain.range_test.model_copy(update={"start_lr": 1e-4, "end_lr": 1.0, "steps": 20})
    trials = [plain.model_copy(update={"type": "range_test", "range_test": test, "seed": seed}) for seed in (0, 1)]
    seen, statuses, _ = run(trials, tmp_path)
    assert set(statuses.values()) == {Status.FINISHED}
    alone = run(trials[:1], engine="eager")[0]
    assert [row["train_loss"] for row in seen.rows(trials[0])] == pytest.approx(
        [row["train_loss"] for row in alone.rows()], rel=1e-9
    )


# Range tests, refusals


def test_sixteen_range_tests_in_one_pack_are_their_solo_curves(tiny, tmp_path):
    test = {"start_lr": 1e-4, "end_lr": 10.0, "steps": 30}
    plain = pack_of("SGD", "lenet5", tiny, schedules=("none",))[0]
    trials = [
        plain.model_copy(
            update={"type": "range_test", "range_test": plain.range_test.model_copy(update=test), "seed": s}
        )
        for s in range(16)
    ]
    seen, statuses, _ = run(trials, tmp_path)
    assert set(statuses.values()) == {Status.FINISHED}
    for trial in trials[::5]:
        alone = run([trial], engine="eager")[0]
        for row, solo_row in zip(seen.rows(trial), alone.rows(), strict=True):
            assert row["lr"] == solo_row["lr"]
            assert row["train_loss"] == pytest.approx(solo_row["train_loss"], rel=1e-9)


@pytest.mark.parametrize("optimizer", sorted(set(OPTIMIZERS) - {"SGD"}))
def test_optimizers_that_share_no_pack_are_refused_by_name(optimizer):
    first, other = small_trial(), small_trial(optimizer={"name": optimizer})
    for trials, how in (([first, other], {}), ([first], {"admit": {1: [other]}})):
        with pytest.raises(InputError) as refused:
            run(trials, **how)
        assert (refused.value.key, refused.value.value) == ("optimizer.name", optimizer)


def test_adam_and_adamw_share_a_pack(tiny, tmp_path, monkeypatch):
    trials = [*pack_of("Adam", "cnn2", tiny, schedules=("none",), epochs=2)]
    trials += pack_of("AdamW", "cnn2", tiny, schedules=("StepLR",), epochs=2)
    assert_lanes_equal_their_solo_runs(trials, tmp_path, monkeypatch)


def test_several_processes_are_refused():
    data = small_trial().data
    with pytest.raises(InputError, match="eager"):
        make_engine("fused", data=data, device=torch.device("cpu"), group=Group(0, 2))


@pytest.mark.parametrize(
    ("optimizer", "kind", "workers", "engine"),
    [
        ("Adam", "gpu", 1, "fused"),
        ("Adafactor", "gpu", 1, "eager"),
        ("Adam", "gpu", 2, "eager"),
        ("Adam", "cpu", 1, "eager"),
    ],
)
def test_one_trial_alone_is_trained_by_the_engine_that_suits_its_device(optimizer, kind, workers, engine):
    assert engine_for({"name": optimizer}, kind=kind, workers=workers)[0] == engine


# What a CUDA graph needs of a step, beside what test_device.py says


def prepared(trials):
    """The steps of a pack, loaded with its first epoch, as the engine makes them."""
    where, first = torch.device("cpu"), trials[0]
    engine = FusedEngine(dataset=DATASETS[first.data.name], steps_per_epoch=13, device=where)
    lanes = [engine.open(trial) for trial in trials]
    epoch = epoch_batches(
        load_split(first.data, device=where),
        seeds=[trial.seed for trial in trials],
        epochs=[0] * len(trials),
        config=first.data,
        steps=13,
        device=where,
        dtype=torch.float64,
    )
    return engine.prepared(lanes, epoch, [lane.lr_momentum(epoch=0, steps=13) for lane in lanes]), lanes


def test_a_step_writes_only_what_is_put_back_after_a_warm_up(tiny):
    """Two steps, then all that `run.written` names put back: the next two are the first two again, bit for bit."""
    steps, _ = prepared(pack_of("Adam", "conv3bn", tiny, schedules=("none", "OneCycleLR"), seed=0))
    before = [tensor.clone() for tensor in steps.run.written]
    for _ in range(2):
        steps.step(8)
    after = [tensor.clone() for tensor in steps.run.written]
    steps.run.put_back(before)
    for _ in range(2):
        steps.step(8)
    assert all(torch.equal(a, b) for a, b in zip(after, steps.run.written, strict=True))


# On real images, where fp32 is chaotic and only the mean can agree


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.real_data
def test_fused_trainings_reach_the_accuracy_of_solo_trainings_on_real_images():
    """24 trials on 4,000 images: the mean difference of validation accuracy lies inside its own interval.

    An interval of 99.9 %, because another processor's roundings are another draw; benchmarks/exactness.py has the 95 %.
    """
    real("cifar100")
    differences = fused_minus_solo(trials_of(24, images=4000, epochs=2))
    interval = t_interval(differences, confidence=0.999)
    assert any(differences), "a training too short for roundings to show says nothing"
    assert interval.low <= 0 <= interval.high
    assert interval.high - interval.low < 0.02, "so wide an interval would hold anything"
