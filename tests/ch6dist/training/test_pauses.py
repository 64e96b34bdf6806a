"""A trial that waits at a rung and goes on in another pack, beside other lanes, is what it would be alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from ch6dist.packs import Leave, Orders
from ch6dist.runs.schema import EngineName, Line, Status
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.trials import Seen, same_weights, saved_weights, small_trial

torch.set_num_threads(1)
MOMENTUM = {"name": "SGD", "lr": 0.02, "momentum": 0.9, "nesterov": True}
ADAMW = {"name": "AdamW", "lr": 5e-4}
PLATEAU = {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.5}
SCHEDULES = ["none", {"name": "CosineAnnealingLR"}, PLATEAU, {"name": "OneCycleLR"}]
EPOCHS = 5


def lanes(optimizer: Mapping[str, Any], **changes: Any) -> list[TrialConfig]:
    """Four trials that may share a pack on either engine: each with its own learning rate and schedule."""
    shared = {"model": {"name": "simple_nn", "dropout": 0.3}, "epochs": EPOCHS, "precision": "fp64", **changes}
    return [
        small_trial(**shared, optimizer={**optimizer, "lr": optimizer["lr"] * (1 + number / 2)}, schedule=schedule)
        for number, schedule in enumerate(SCHEDULES)
    ]


class Rungs(Seen):
    """A report that has trials wait after their epochs: trial id → epoch. `admit` as in Seen."""

    def __init__(self, pause: Mapping[str, int], **others: Any) -> None:
        super().__init__(**others)
        self.pause = pause

    def __call__(self, lines: Sequence[Line]) -> Orders:
        orders = super().__call__(lines)
        waits = {r["trial"] for r in lines if r["kind"] == "row" and r["epoch"] == self.pause.get(r["trial"])}
        return Orders(dict.fromkeys(waits, Leave(Status.PAUSED, "rung: waits")), orders.admit)


def paused_and_alone(
    trials: Sequence[TrialConfig], folder: Path, engine: EngineName
) -> tuple[Seen, Seen, Checkpoints, Checkpoints]:
    """Train `trials` in two packs with rungs between, their lanes in other company each time; and each one alone."""
    a, b, c, d = trials
    store, alone = Checkpoints(folder / "packs"), Checkpoints(folder / "alone")
    first = Rungs({a.trial_id: 2, b.trial_id: 1, c.trial_id: 2})
    train([a, b, c], report=first, checkpoints=store, device="cpu", engine=engine)
    assert {line["status"] for line in first.of_kind("status")} == {"running", "paused"}
    second = Rungs({b.trial_id: 3}, admit={1: [a], 2: [c]})  # d from the start, the others join as lanes become free
    train([d, b], report=second, checkpoints=store, device="cpu", engine=engine)
    third = Seen()
    train([b], report=third, checkpoints=store, device="cpu", engine=engine)
    solo = Seen()
    for trial in trials:
        train([trial], report=solo, checkpoints=alone, device="cpu")
    together = Seen()
    together.lines = [*first.lines, *second.lines, *third.lines]
    return together, solo, store, alone


def last_status(seen: Seen, trial: TrialConfig) -> str:
    return seen.of_kind("status", trial)[-1]["status"]


@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAMW], ids=lambda o: o["name"])
def test_on_the_eager_engine_bit_for_bit(optimizer: dict[str, Any], tmp_path: Path) -> None:
    trials = lanes(optimizer, data={"augment": "crop_flip"})
    together, solo, store, alone = paused_and_alone(trials, tmp_path, "eager")
    for trial in trials:
        assert last_status(together, trial) == "finished"
        assert together.rows(trial) == solo.rows(trial)
        for name in ("last", "best"):
            assert same_weights(saved_weights(store, trial, name), saved_weights(alone, trial, name)), name


@pytest.mark.parametrize("optimizer", [MOMENTUM, ADAMW], ids=lambda o: o["name"])
def test_on_the_fused_engine_up_to_rounding(optimizer: dict[str, Any], tmp_path: Path) -> None:
    assert OPTIMIZERS[optimizer["name"]].family
    trials = lanes(optimizer)
    together, solo, store, alone = paused_and_alone(trials, tmp_path, "fused")
    for trial in trials:
        assert last_status(together, trial) == "finished"
        mine, its = together.rows(trial), solo.rows(trial)
        assert [row["epoch"] for row in mine] == [row["epoch"] for row in its] == list(range(1, EPOCHS + 1))
        for key in ("train_loss", "val_loss", "val_accuracy", "lr"):
            assert [row[key] for row in mine] == pytest.approx([row[key] for row in its], rel=1e-12), key
        ours, theirs = saved_weights(store, trial), saved_weights(alone, trial)
        for name, weight in theirs.items():
            assert float((ours[name] - weight).norm() / weight.norm()) < 1e-12, name


def test_a_paused_trial_leaves_its_checkpoint_and_its_lane_at_once(tmp_path: Path) -> None:
    trials = lanes(MOMENTUM)[:2]
    seen, store = Rungs({trials[0].trial_id: 2}), Checkpoints(tmp_path)
    statuses = train(trials, report=seen, checkpoints=store, device="cpu", checkpoint_seconds=1e9)
    assert statuses == {trials[0].trial_id: Status.PAUSED, trials[1].trial_id: Status.FINISHED}
    assert [row["epoch"] for row in seen.rows(trials[0])] == [1, 2]
    state = store.load(trials[0].trial_id, "last")
    assert state is not None
    assert state["epoch"] == 2
    assert [row["lanes"] for row in seen.of_kind("row", trials[1])] == [2, 2, 1, 1, 1]
