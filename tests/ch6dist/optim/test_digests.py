"""Digests are equal where the tables are, to the last bit, and end where a metric may decide."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from typing import Any

import pytest
import torch

from ch6dist.branches import read_digests
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import UsageError
from ch6dist.optim.digests import digests
from ch6dist.optim.optimizers import build_optimizer, momentum_of
from ch6dist.optim.schedules import build_schedule, preview
from tests.ch6dist.optim.test_schedules import SAMPLES
from tests.support.trials import DATA

torch.set_num_threads(1)
STEPS = 4  # of an epoch of DATA
ADAM = {"name": "Adam", "lr": 0.01}
PLATEAUS: list[Any] = [
    {"name": "ReduceLROnPlateau", "patience": patience, **more}
    for patience in (0, 1, 3)
    for more in ({}, {"monitor": "val_accuracy"}, {"warmup": {"epochs": 2}}, {"threshold": 0.5, "cooldown": 1})
]


def trial_of(schedule: Any, *, epochs: int = 6, optimizer: Any = ADAM, **rest: Any) -> TrialConfig:
    return parse_trial({"schedule": schedule, "epochs": epochs, "optimizer": optimizer, "data": DATA, **rest})


def samples() -> list[TrialConfig]:
    """Every sample of a schedule in two lengths, and a plateau only where no metric decides."""
    trials = [trial_of(sample, epochs=epochs) for sample in SAMPLES for epochs in (4, 6)]
    return [trial for trial in trials if trial.schedule["name"] != "ReduceLROnPlateau"]


def test_digests_are_equal_exactly_where_the_tables_are() -> None:
    trials = samples()
    assert {trial.schedule["name"] for trial in trials} == SCHEDULES.keys() - {"ReduceLROnPlateau"}
    tables = [preview(trial, steps_per_epoch=STEPS) for trial in trials]
    found, equal = digests(trials), 0
    assert [len(found[k]) for k in range(len(trials))] == [trial.epochs for trial in trials]
    for a, b in itertools.combinations(range(len(trials)), 2):
        for epoch in range(1, min(len(found[a]), len(found[b])) + 1):
            same = tables[a][: epoch * STEPS] == tables[b][: epoch * STEPS]
            assert (found[a][epoch - 1] == found[b][epoch - 1]) == same
            equal += same
    assert equal > 50


@pytest.mark.parametrize("schedule", PLATEAUS, ids=lambda schedule: "-".join(map(str, schedule.values())))
def test_a_plateau_is_known_as_long_as_no_metric_can_change_it_and_no_longer(schedule: dict[str, Any]) -> None:
    trial, draw = trial_of(schedule, epochs=9), random.Random(0)
    (found,) = digests([trial])
    known = found.index(None)
    assert known == schedule["patience"] + 2 + schedule.get("warmup", {}).get("epochs", 0)
    assert found[known:] == [None] * (9 - known)
    drawn = [[draw.choice([1.0, 0.5, 2.0, draw.random()]) for _ in range(9)] for _ in range(200)]
    best = -1.0 if "monitor" in schedule else 1.0
    ever = set()
    for values in [*drawn, [best] * 9]:
        lrs = table_with(trial, values)
        assert lrs[: known * STEPS] == preview(trial, steps_per_epoch=STEPS)[: known * STEPS]
        ever.add(lrs[known * STEPS])
    assert len(ever) == 2, "in the next epoch it depends on them"


def table_with(trial: TrialConfig, values: list[float]) -> list[tuple[float, float | None]]:
    """Learning rate and momentum of every step, where the monitored metric has these values."""
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(()))], trial.optimizer)
    schedule = build_schedule(trial, optimizer, steps_per_epoch=STEPS)
    optimizer.step()
    used = []
    for epoch, value in enumerate(values):
        for batch in range(STEPS):
            used.append((optimizer.param_groups[0]["lr"], momentum_of(optimizer)))
            schedule.after_step(epoch=epoch, batch=batch)
        schedule.after_epoch({trial.schedule["monitor"]: value})
    return used


def test_a_momentum_that_cycles_tells_trials_apart() -> None:
    cycle = {"name": "CyclicLR", "base_lr": 0.01, "max_lr": 0.0100001, "step_size_up": 2}
    bases = [{**cycle, "base_momentum": base, "cycle_momentum": True} for base in (0.8, 0.7)]
    a, b = digests([trial_of(schedule, optimizer={"name": "SGD", "lr": 0.02, "momentum": 0.9}) for schedule in bases])
    assert set(a).isdisjoint(b)


def test_other_optimizers_learning_rates_and_steps_have_other_digests_and_seeds_have_not() -> None:
    base = digests([trial_of("none")])[0]
    others = [
        trial_of("none", optimizer={**ADAM, "lr": 0.010000000000000002}),
        trial_of("none", optimizer={**ADAM, "betas": [0.8, 0.999]}),
        trial_of("none", data={**DATA, "batch_size": 50}),
    ]
    assert all(set(found).isdisjoint(base) for found in digests(others))
    assert digests([trial_of("none", seed=3), trial_of("none", optimizer={**ADAM, "weight_decay": 0.1})]) == [base] * 2


def test_a_range_test_has_no_epochs_that_could_be_shared() -> None:
    assert digests([trial_of("none", type="range_test")]) == [[]]


def test_the_program_without_torch_reads_the_same() -> None:
    trials = samples()[:9]
    assert read_digests(trials) == digests(trials)
    code = "import sys, ch6dist.branches; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_names_what_it_cannot_use() -> None:
    program = [sys.executable, "-m", "ch6dist", "digests"]
    bad = {"": "a JSON list of trials", "{}": "a JSON list of trials", json.dumps([{"epochs": 0}]): "trial 0: epochs"}
    for given, message in bad.items():
        done = subprocess.run(program, input=given, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert message in done.stderr
    fits_no_training = trial_of({"name": "OneCycleLR", "pct_start": 0.25}, epochs=1)
    with pytest.raises(UsageError, match=r"cannot be computed: ch6dist: schedule\.pct_start"):
        read_digests([fits_no_training])
