"""Method quasi: draws that are a function of seed and number, better spread than random ones, at no cost to others."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from sweeps.spec.expand import expand, stand_in
from tests.support.bad_sweeps import DRAWN, searched, whole
from tests.support.paths import ROOT
from tests.support.sweep_files import CONFIGS, spec_of

AXES: dict[str, Any] = {
    **DRAWN,
    "epochs": whole(1, 4),
    "optimizer.momentum": {"distribution": "uniform", "min": 0, "max": 0.99},
    "optimizer.nesterov": [False],
    "label_smoothing": [0, 0.1, 0.2],
    "change": {"cases": {"a": {}, "b": {"data.batch_size": 64}}},
}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**70), count=st.integers(1, 40))
def test_points_are_different_in_range_and_a_longer_sweep_begins_with_them(seed: int, count: int) -> None:
    content = searched("quasi", trials=count, seed=seed, parameters=AXES)
    trials, more = expand(spec_of(content)), expand(spec_of({**content, "trials": count + 30}))
    assert more[:count] == trials
    assert len({trial.trial_id for trial in more}) == count + 30
    assert all(1e-4 <= trial.optimizer["lr"] <= 0.1 and 1 <= trial.epochs <= 4 for trial in more)
    assert expand(spec_of({**content, "seed": seed + 1})) != trials


def test_another_process_draws_the_same() -> None:
    content = searched("quasi", trials=5, parameters=AXES)
    script = f"""
from sweeps.spec.expand import expand
from tests.support.sweep_files import spec_of
print([trial.trial_id for trial in expand(spec_of({content!r}))])
"""
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == repr([trial.trial_id for trial in expand(spec_of(content))])
    assert other.stderr == ""


@pytest.mark.parametrize("count", [16, 50])
def test_points_are_better_spread_than_random_ones_for_every_seed(count: int) -> None:
    """By the centred discrepancy of the unit square, of scipy."""

    def discrepancy(method: str, seed: int) -> float:
        axes = {**DRAWN, "optimizer.momentum": AXES["optimizer.momentum"]}
        trials = expand(spec_of(searched(method, trials=count, seed=seed, parameters=axes)))
        unit = [((math.log10(t.optimizer["lr"]) + 4) / 3, t.optimizer["momentum"] / 0.99) for t in trials]
        return float(qmc.discrepancy(np.clip(unit, 0, 1)))

    pairs = [(discrepancy("quasi", seed), discrepancy("random", seed)) for seed in range(20)]
    assert all(quasi < random for quasi, random in pairs)


def test_listed_values_cases_and_whole_numbers_come_equally_often() -> None:
    trials = expand(spec_of(searched("quasi", trials=96, parameters=AXES)))
    for counts, values in (
        (Counter(trial.label_smoothing for trial in trials), 3),
        (Counter(trial.data.batch_size for trial in trials), 2),
        (Counter(trial.epochs for trial in trials), 4),
    ):
        assert len(counts) == values
        assert all(abs(count - 96 / values) <= 6 for count in counts.values())


def test_a_search_is_planned_with_as_many_evenly_spread_points() -> None:
    spec = spec_of(searched("optuna", trials=12, parameters=AXES))
    assert expand(spec) == []
    assert expand(stand_in(spec)) == expand(spec_of(searched("quasi", trials=12, parameters=AXES)))


def test_no_other_method_waits_for_scipy_or_optuna() -> None:
    """Importing scipy.stats takes about a second, a plan of a grid a third of one."""
    grid, drawn = CONFIGS[0], searched("random", trials=3, parameters=AXES)
    script = f"""
import sys
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
import sweeps.plan.plan
from tests.support.sweep_files import spec_of
assert expand(load_spec({str(grid)!r})) and expand(spec_of({drawn!r}))
assert expand(spec_of({searched("optuna", trials=12, parameters=AXES)!r})) == []
print(sorted({{"scipy", "optuna", "torch", "numpy"}} & set(sys.modules)))
"""
    other = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == "[]"
