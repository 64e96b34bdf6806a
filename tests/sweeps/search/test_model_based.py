"""A search by a model: the same points for the same results, none twice, better than chance; its journal loads."""

from __future__ import annotations

import json
import math
import random as python_random
import statistics
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.errors import InputError, UsageError
from sweeps.search import model_based
from sweeps.search.model_based import Told, propose, write_journal
from sweeps.spec.axes import Point
from sweeps.spec.expand import conditions_of, configure
from sweeps.spec.points import different, random
from sweeps.spec.sweep_file import SweepSpec
from tests.support.bad_sweeps import searched
from tests.support.paths import ROOT
from tests.support.sweep_files import spec_of

optuna = pytest.importorskip("optuna")
Space = pytest.importorskip("sweeps.search.optuna_space").Space

PLANE = {
    "optimizer.lr": {"distribution": "log_uniform", "min": 1e-4, "max": 1},
    "optimizer.momentum": {"distribution": "uniform", "min": 0, "max": 0.99},
}
TREE = {
    "optimizer.name": ["SGD", "RMSprop", "Adam"],
    "optimizer.momentum": {"values": [0, 0.5, 0.9], "where": {"optimizer.name": ["SGD", "RMSprop"]}},
    "optimizer.nesterov": {
        "values": [False, True],
        "where": {"optimizer.name": "SGD", "optimizer.momentum": [0.5, 0.9]},
    },
    "epochs": {"distribution": "int_uniform", "min": 1, "max": 2},
}
TREE_POINTS = 18  # SGD 5, RMSprop 3, Adam 1; each with two lengths
CASES = {"change": {"cases": {"a": {}, "b": {"label_smoothing": 0.1}}}, **PLANE}


def search(parameters: dict[str, Any], **changes: Any) -> SweepSpec:
    return spec_of(searched("optuna", parameters=parameters, **changes))


def height(point: Point) -> float:
    """Return what is to be found: largest, 0, at lr 10^-1.5 and momentum 0.8."""
    return -((math.log10(point["optimizer.lr"]) + 1.5) ** 2) - 4 * (point["optimizer.momentum"] - 0.8) ** 2


def steps(point: Point) -> float:
    return len(json.dumps(point)) + point.get("optimizer.momentum", 0)


def trained(spec: SweepSpec, value: Any, *, count: int, batch: int) -> list[Told]:
    told: list[Told] = []
    while len(told) < count:
        told += [Told(point, value(point)) for point in propose(spec, told, min(batch, count - len(told)))]
    return told


def texts(points: list[Point]) -> set[str]:
    return {json.dumps(point, sort_keys=True) for point in points}


@pytest.mark.parametrize(
    "sampler", ["tpe", pytest.param("gp", marks=pytest.mark.slow), "cmaes"]
)  # gp imports torch, twice
def test_the_same_results_give_the_same_points_here_and_in_another_process(sampler: str) -> None:
    spec = search(PLANE, trials=20, sampler=sampler)
    drawn = different(random(spec.parameters, rng=Random(1)), count=12)
    told = [Told(point, height(point)) for point in drawn]
    count = {"tpe": 4, "gp": 1, "cmaes": 4}[sampler]
    here = propose(spec, told, count)
    assert propose(spec, told, count) == here
    script = f"""
from sweeps.search.model_based import Told, propose
from tests.support.sweep_files import spec_of
told = [Told(point, value) for point, value in {[(one.point, one.value) for one in told]!r}]
print(propose(spec_of({searched("optuna", parameters=PLANE, trials=20, sampler=sampler)!r}), told, {count}))
"""
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (other.stdout.strip(), other.stderr) == (repr(here), "")  # and not a word of Optuna's


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**40), count=st.integers(1, 6), known=st.integers(0, 14))
def test_points_are_new_lie_on_the_axes_that_apply_and_can_be_trained(seed: int, count: int, known: int) -> None:
    spec = search(TREE, trials=TREE_POINTS, seed=seed)
    conditions = conditions_of(spec)
    told = trained(spec, steps, count=min(known, TREE_POINTS - count), batch=7)
    points = propose(spec, told, count)
    assert len(texts([*points, *(one.point for one in told)])) == len(points) + len(told)
    for point in points:
        assert conditions.applying(point) == point
        optimizer = configure(spec, point).optimizer
        assert ("optimizer.momentum" in point) == (optimizer["name"] != "Adam")
        assert optimizer.get("nesterov", False) == point.get("optimizer.nesterov", False)


def test_a_search_finds_every_point_once_then_says_which_axes_hold_no_more() -> None:
    spec = search(TREE, trials=TREE_POINTS)
    told = trained(spec, steps, count=TREE_POINTS, batch=5)
    assert len(texts([one.point for one in told])) == TREE_POINTS
    with pytest.raises(
        InputError, match=r"trials: 18 .* at most 18: the axes optimizer.name, .* hold no more different points"
    ):
        propose(spec, told, 1)


def test_a_search_draws_among_cases_and_lists_of_any_values() -> None:
    optimizers = [{"name": "SGD", "momentum": 0.9}, "Adam", {"name": "SGD"}]
    spec = search({"change": CASES["change"], "optimizer": {"values": optimizers}}, trials=6)
    told = trained(spec, steps, count=6, batch=2)
    assert len({configure(spec, one.point).configuration_id for one in told}) == 6


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_model_is_better_than_chance_on_a_hill(sampler: str) -> None:
    """Medians of 20 searches, 40 points each."""
    found, drawn = [], []
    for seed in range(20):
        spec = search(PLANE, trials=40, seed=seed, sampler=sampler)
        found.append(max(one.value or 0 for one in trained(spec, height, count=40, batch=8)))
        drawn.append(max(map(height, different(random(spec.parameters, rng=Random(seed)), count=40))))
    assert statistics.median(found) > statistics.median(drawn) / 2  # less than half as far below the top


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_search_keeps_away_from_where_trials_diverged(sampler: str) -> None:
    spec = search(PLANE, trials=60, sampler=sampler)
    drawn = list(different(random(spec.parameters, rng=Random(0)), count=40))
    lrs = {}
    for state in ("diverged", "broken"):
        told = [
            Told(point, None, state) if point["optimizer.lr"] > 0.01 else Told(point, height(point)) for point in drawn
        ]
        lrs[state] = statistics.median(point["optimizer.lr"] for point in propose(spec, told, 3))
    assert lrs["diverged"] <= 0.02 < lrs["broken"]  # the top of the hill lies beyond 0.01


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_stopped_points_lead_the_way_where_none_has_finished(sampler: str) -> None:
    spec = search(PLANE, trials=60, sampler=sampler)
    drawn = list(different(random(spec.parameters, rng=Random(2)), count=40))
    told = [Told(point, None, "stopped", {1: -9, 3: height(point)}) for point in drawn]
    best = max(height(point) for point in drawn)
    assert max(height(point) for point in propose(spec, told, 3)) > best - 0.5


def test_points_that_left_the_axes_and_broken_ones_are_known_and_no_more(tmp_path: Path) -> None:
    spec = search({**CASES, "epochs": {"distribution": "int_uniform", "min": 1, "max": 4}}, trials=60)
    told = [Told(point, height(point)) for point in different(random(spec.parameters, rng=Random(0)), count=12)]
    strange: list[Point] = [
        {**told[0].point, "optimizer.lr": 5.0},
        {**told[0].point, "optimizer.lr": "fast"},
        {**told[0].point, "optimizer.lr": "1e-2"},
        {**told[0].point, "epochs": 1.5},
        {**told[0].point, "change": "gone"},
        {**told[0].point, "label_smoothing": 0.1},
        {"optimizer.lr": 0.1, "optimizer.momentum": 0.5},
        {},
    ]
    gone = [Told(point, 9.9) for point in strange]
    points = propose(spec, [*told, *gone, Told({**told[0].point, "optimizer.lr": 0.5}, None, "broken")], 3)
    assert len(texts(points)) == 3
    write_journal(tmp_path / "optuna.log", spec, [*told, *gone])
    assert (tmp_path / "optuna.log").read_text().count("datetime_complete") == len(told)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_search_draws_no_number_of_anybody_elses(sampler: str) -> None:
    torch = pytest.importorskip("torch")

    def states() -> list[Any]:
        return [python_random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()]  # type: ignore[index]

    before = states()
    spec = search(PLANE, trials=20, sampler=sampler)
    propose(
        spec, [Told(point, height(point)) for point in different(random(spec.parameters, rng=Random(1)), count=12)], 2
    )
    assert states() == before


def test_what_the_sampler_never_wants_is_drawn_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One point of Adam, no end of them of SGD: a sampler that loves Adam leaves it none the less."""
    axes = {
        "optimizer.name": ["SGD", "Adam"],
        "optimizer.momentum": {"distribution": "uniform", "min": 0, "max": 0.9, "where": {"optimizer.name": "SGD"}},
    }
    spec = search(axes, trials=60)
    told = trained(spec, lambda point: float(point["optimizer.name"] == "Adam"), count=48, batch=12)
    assert sum(one.point["optimizer.name"] == "Adam" for one in told) == 1
    monkeypatch.setattr(Space, "suggest", lambda *_: {"optimizer.name": "Adam"})
    assert propose(spec, told, 1)[0]["optimizer.name"] == "SGD"


@pytest.mark.parametrize("sampler", model_based.NEEDS)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(model_based.NEEDS, sampler, ("no_such_package",))
    with pytest.raises(
        UsageError, match=r"needs no_such_package, which is not installed; pip install 'ch6dist\[train\]'"
    ):
        propose(search(PLANE, trials=3, sampler=sampler), [], 1)


def test_the_journal_loads_in_optuna_with_every_trial(tmp_path: Path) -> None:
    spec = search({**CASES, "optimizer.nesterov": [False]}, trials=60)
    drawn = list(different(random(spec.parameters, rng=Random(0)), count=5))
    states = ["finished", "stopped", "diverged", "broken", "finished"]
    told = [
        Told(point, 0.25 if state == "finished" else None, state, {1: 0.1, 2: 0.2}, f"c{place}", (place, place + 60.0))  # type: ignore[arg-type]
        for place, (point, state) in enumerate(zip(drawn, states, strict=True))
    ]
    path = tmp_path / "optuna.log"
    write_journal(path, spec, told[:2])
    before = path.read_text()
    write_journal(path, spec, told)
    assert path.read_text().startswith(before)  # what has read the first lines goes on behind them
    assert [file.name for file in tmp_path.iterdir()] == [path.name]

    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.load_study(study_name=spec.name, storage=optuna.storages.JournalStorage(backend))
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    trials = study.trials
    assert [trial.params for trial in trials] == drawn
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "COMPLETE"]
    assert [trial.value for trial in trials] == [0.25, None, None, None, 0.25]
    assert all(trial.intermediate_values == {1: 0.1, 2: 0.2} for trial in trials)
    assert [trial.user_attrs["name"] for trial in trials] == ["c0", "c1", "c2", "c3", "c4"]
    assert [trial.duration.total_seconds() for trial in trials] == [60.0] * 5  # type: ignore[union-attr]
