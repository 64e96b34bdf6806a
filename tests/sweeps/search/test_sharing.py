"""Epochs that trials share are trained once, whatever is killed, stopped early or added."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.branches import branches_of, epochs_asked, epochs_to_train
from ch6dist.optim.digests import digests
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status
from ch6dist.sections import parse_section
from sweeps.search import sharing
from sweeps.search.replay import departures
from sweeps.spec.expand import expand
from sweeps.spec.extend import changed_sweep
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import SweepSpec
from tests.support.paths import ROOT
from tests.support.simulated import Simulated

CONFIGS = ROOT / "sweeps" / "configs"
SCHEDULES: list[Any] = [
    "none",
    {"name": "StepLR", "step_size": 3},
    {"name": "MultiStepLR", "milestones": [3, 6]},
    {"name": "StepLR", "step_size": 6},
]
RULES: dict[str, dict[str, Any]] = {
    "none": {},
    "top_k": {"early_stop": {"name": "top_k", "after": 2, "keep": 6}},
    "halving": {"early_stop": {"name": "halving", "first": 2, "factor": 2}},
    "racing": {"seeds": {"start": 1, "up_to": 3}},
}


@pytest.fixture(autouse=True, scope="module")
def without_a_program() -> Iterator[None]:
    """Digests are computed here, where torch is imported already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "read_digests", digests)
        yield


def spec_of(rule: str = "none", **changes: Any) -> SweepSpec:
    trial = {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", **changes.pop("trial", {})}
    content: dict[str, Any] = {
        "name": "tiny",
        "trial": trial,
        "parameters": {"optimizer.lr": [0.1, 0.01], "schedule": SCHEDULES, "epochs": [6, 8]},
    }
    return parse_section(SweepSpec, {**content, **RULES[rule], **changes})


def value(config: Any, epoch: int) -> float:
    """An accuracy of what is shared: it does not know the schedule, so an epoch trained twice has one value."""
    noise = Random(f"{config['optimizer']['lr']} {config['seed']} {epoch}").gauss(0, 0.01)
    return 0.5 * (1 - 0.7**epoch) + config["optimizer"]["lr"] + noise


def trained(ledger: Ledger) -> int:
    return sum(line["kind"] == "row" and "shared" not in line for line in ledger.lines)


def outcome(ledger: Ledger) -> dict[str, tuple[str, int]]:
    reached = {row["trial"]: row["epoch"] for row in ledger.rows}
    return {trial: (ledger.status(trial), reached.get(trial, 0)) for trial in ledger.trials}


@pytest.mark.parametrize("rule", RULES)
def test_a_sweep_that_shares_ends_as_one_that_does_not_with_fewer_epochs(rule: str, tmp_path: Path) -> None:
    shared = Simulated(tmp_path / "shared", spec_of(rule), value)
    apart = Simulated(tmp_path / "apart", spec_of(rule, share_prefixes=False), value)
    assert shared.go()
    assert apart.go()
    assert differences(shared.ledger(), apart.ledger()) == []
    assert departures(shared.ledger()) == []
    assert trained(shared.ledger()) < 0.75 * trained(apart.ledger())
    assert shared.from_scratch == 0


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=8, deadline=None)
@given(kills=st.lists(st.integers(1, 50), min_size=1, max_size=3), slots=st.integers(1, 3), every=st.integers(1, 4))
def test_under_kills_too(rule: str, kills: list[int], slots: int, every: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        expected = Simulated(Path(folder, "whole"), spec_of(rule), value)
        assert expected.go()
        run = Simulated(Path(folder, "killed"), spec_of(rule), value, slots=slots, every=every, seed=sum(kills))
        for kill in kills:
            if run.go(kill_after=kill):
                break
        assert run.go()
        assert differences(run.ledger(), expected.ledger()) == []
        assert departures(run.ledger()) == []


def test_a_branch_that_its_rung_stops_has_no_rows_of_the_trunk_beyond_it(tmp_path: Path) -> None:
    """The trunk is alone in its group and goes on; of the two in the other group the worse one leaves it."""
    step = {"name": "StepLR", "step_size": 4}
    cases = {
        "trunk": {"optimizer.lr": 0.01},
        "branch": {"optimizer.lr": 0.01, "schedule": step},
        "better": {"optimizer.lr": 0.1, "schedule": step},
    }
    rule = {"early_stop": {"name": "halving", "first": 2, "factor": 2}}
    ends = []
    for share in (True, False):
        spec = spec_of(parameters={"of": {"cases": cases}}, trial={"epochs": 8}, share_prefixes=share, **rule)
        run = Simulated(tmp_path / str(share), spec, value)
        assert run.go()
        ends.append(run.ledger())
    assert differences(*ends) == []
    assert sorted(outcome(ends[0]).values()) == [("finished", 8), ("finished", 8), ("stopped", 2)]


def test_branch_points_are_kept_until_their_last_branch_has_ended(tmp_path: Path) -> None:
    run = Simulated(tmp_path, spec_of(), value)
    assert not run.go(kill_after=25)
    artifacts = [line for line in run.ledger().lines if line["kind"] == "artifact"]
    assert any(line["path"] for line in artifacts), "some are there in the middle"
    assert run.go()
    last = {(line["trial"], line["name"]): line["path"] for line in run.ledger().lines if line["kind"] == "artifact"}
    assert set(last.values()) == {None}
    assert not list(tmp_path.rglob("epoch-*"))


def test_a_trial_whose_trunk_is_stopped_by_a_person_trains_alone(tmp_path: Path) -> None:
    spec = spec_of(parameters={"optimizer.lr": [0.1], "schedule": SCHEDULES}, trial={"epochs": 8})
    run = Simulated(tmp_path, spec, value, slots=1, lanes=1)
    assert not run.go(kill_after=3)
    [first, *_] = run.ledger().trials
    run.stop = {first}
    assert run.go()
    ends = outcome(run.ledger())
    assert ends.pop(first)[0] == Status.STOPPED
    assert set(ends.values()) == {(Status.FINISHED, 8)}


def test_seeds_that_are_added_share_too(tmp_path: Path) -> None:
    run = Simulated(tmp_path, spec_of(), value)
    assert run.go()
    before = trained(run.ledger())
    run.content = changed_sweep(run.content, ["seeds=2"])
    assert run.go()
    assert trained(run.ledger()) == 2 * before
    assert set(Counter(outcome(run.ledger()).values())) == {("finished", 6), ("finished", 8)}


@pytest.mark.parametrize(("file", "share"), [("schedules", 0.85), ("lengths", 0.65)])
def test_shipped_sweeps_train_so_much_of_what_they_ask_for(file: str, share: float) -> None:
    trials = expand(load_spec(CONFIGS / f"{file}.yaml"))
    branches = branches_of(trials, digests(trials))
    assert epochs_to_train(trials, branches) <= share * epochs_asked(trials)
