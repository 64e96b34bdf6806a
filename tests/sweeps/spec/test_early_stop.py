"""Early stopping in a sweep file: where each rule decides, what is refused, that it survives a dump."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweeps.spec.early_stop import RULES, parse_early_stop
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump
from tests.support.sweep_files import refusal, spec_of, sweep, write

GOOD: dict[str, dict[str, Any]] = {
    "top_k": {"name": "top_k", "after": 3, "keep": 8},
    "halving": {"name": "halving", "first": 2, "factor": 3},
    "asha": {"name": "asha", "first": 1, "factor": 4, "promote": False},
    "median": {"name": "median", "after": 3, "percentile": 25},
}


def test_every_rule_is_tried_here() -> None:
    assert set(GOOD) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_dumped_rule_loads_back_equal(name: str, tmp_path: Path) -> None:
    spec = spec_of(sweep(early_stop=GOOD[name]))
    assert spec.early_stop == parse_early_stop(GOOD[name])
    assert load_spec(write(tmp_path, dump(spec))) == spec
    assert dump(spec)["early_stop"] == GOOD[name]


def test_a_sweep_without_a_rule_says_nothing_of_it() -> None:
    assert "early_stop" not in dump(spec_of(sweep()))


@pytest.mark.parametrize(
    ("rule", "epochs", "rungs"),
    [
        ({"name": "top_k", "after": 3, "keep": 8}, 9, (3,)),
        ({"name": "top_k", "after": 9, "keep": 8}, 9, ()),
        ({"name": "halving", "first": 2}, 20, (2, 6, 18)),
        ({"name": "halving", "first": 2}, 18, (2, 6)),  # 18 is the end
        ({"name": "asha", "first": 1, "factor": 2}, 9, (1, 2, 4, 8)),
        ({"name": "asha", "first": 10}, 9, ()),
        ({"name": "median", "after": 6}, 9, (6, 7, 8)),
    ],
)
def test_a_rule_decides_at_its_rungs_below_the_last_epoch(rule: Any, epochs: int, rungs: tuple[int, ...]) -> None:
    assert parse_early_stop(rule).rungs(epochs) == rungs


def test_the_command_line_sets_a_key_of_the_rule_the_whole_rule_and_none(tmp_path: Path) -> None:
    path = write(tmp_path, sweep(early_stop=GOOD["top_k"]))
    assert load_spec(path, ["early_stop.keep=4"]).early_stop == parse_early_stop({**GOOD["top_k"], "keep": 4})
    other = "early_stop={name: median, after: 3, percentile: 25}"
    assert load_spec(path, [other]).early_stop == parse_early_stop(GOOD["median"])
    assert load_spec(path, ["early_stop=null"]).early_stop is None


def test_a_rule_that_can_stop_some_of_the_trials_is_taken() -> None:
    assert expand(spec_of(sweep(parameters={"epochs": [2, 9]}, early_stop={"name": "median", "after": 8})))
    with_range_tests = sweep(parameters={"type": ["train", "range_test"]}, early_stop=GOOD["median"])
    assert expand(spec_of(with_range_tests))


@pytest.mark.parametrize("name", RULES)
def test_one_that_can_stop_nothing_is_refused_with_the_key_and_the_epochs(name: str, tmp_path: Path) -> None:
    key = RULES[name].starts
    content = sweep(trial={"epochs": 4}, early_stop={**GOOD[name], key: 4})
    assert f"early_stop.{key}: 4 is not allowed; allowed: less than 4" in refusal(write(tmp_path, content))
    assert expand(spec_of(sweep(trial={"epochs": 4}, early_stop={**GOOD[name], key: 3})))


@pytest.mark.parametrize("name", RULES)
def test_every_key_of_every_other_rule_is_refused_by_naming_its_rule(name: str, tmp_path: Path) -> None:
    own = set(RULES[name].model_fields)
    for other, kind in RULES.items():
        for key in set(kind.model_fields) - own:
            message = refusal(write(tmp_path, sweep(early_stop={**GOOD[name], key: 1})))
            assert f"early_stop.{key}: 1 is not allowed; allowed: nothing: a key of " in message
            assert other in message
            assert f"{name} takes {next(field for field in RULES[name].model_fields if field != 'name')}" in message
