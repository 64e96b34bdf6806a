"""The contest that is shipped: every optimizer of the catalog that can take part, each with the same effort."""

from __future__ import annotations

from collections import Counter

import pytest

from ch6dist.catalog.naming import optimizer_label
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.range_axis import Bounds
from tests.support.sweep_files import CONFIGS

FILE = next(path for path in CONFIGS if path.stem == "contest")
PRESETS = {"": [], "two_hours": ["preset=two_hours"], "demo": ["preset=demo"]}
EPOCHS_PER_MINUTE = 14  # of 45,000 images, on two cores


def trained(changes: list[str], bounds: Bounds) -> tuple[list[TrialConfig], list[TrialConfig]]:
    spec = load_spec(FILE, changes)
    tests = expand(spec)
    return tests, expand(spec, bounds={test.configuration_id: bounds for test in tests})


def epochs(trials: list[TrialConfig]) -> float:
    return sum(trial.epochs * (trial.data.train_size or 45_000) / 45_000 for trial in trials)


@pytest.mark.parametrize("bounds", [Bounds(1e-4, 0.3), Bounds(0.001, 0.1), Bounds(2e-3, 10)])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_optimizer_has_as_many_trials_in_every_heat_wherever_its_bounds_lie(preset: str, bounds: Bounds) -> None:
    tests, trials = trained(PRESETS[preset], bounds)
    counts = Counter((optimizer_label(trial.optimizer), trial.seed) for trial in trials)
    assert len(set(counts.values())) == 1
    assert len(Counter(optimizer_label(test.optimizer) for test in tests)) == 13
    assert len({trial.epochs for trial in trials}) == 1


def test_all_of_the_catalog_take_part_but_those_that_need_all_images_and_each_untuned() -> None:
    _, trials = trained([], Bounds(1e-4, 0.3))
    names = {name for name, entry in OPTIMIZERS.items() if not entry.full_batch}
    defaults = [{"name": name, **OPTIMIZERS[name].resolve({})} for name in sorted(names)]
    assert {trial.optimizer["name"] for trial in trials} == names
    for default in defaults:
        assert sum(trial.optimizer == default for trial in trials) == 5  # one per heat


def test_the_cost_that_the_file_states_is_what_is_planned() -> None:
    stated = FILE.read_text()
    _, trials = trained([], Bounds(1e-4, 0.3))
    assert f"{epochs(trials):,.0f} epochs" in stated
    tests, trials = trained(PRESETS["two_hours"], Bounds(1e-4, 0.3))
    steps = sum(test.range_test.steps for test in tests) / (45_000 / 128)
    assert f"{epochs(trials):,.0f} epochs and the range tests ({steps:.0f} epochs' worth)" in stated
    assert 90 < (epochs(trials) + steps) / EPOCHS_PER_MINUTE <= 120
    _, demo = trained(PRESETS["demo"], Bounds(1e-4, 0.3))
    assert epochs(demo) / EPOCHS_PER_MINUTE < 5
