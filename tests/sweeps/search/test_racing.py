"""Rounds of seeds: what a search keeps of them, to be quick, changes no decision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ch6dist.runs.ledger import Ledger
from sweeps.search import racing
from sweeps.search.next_trials import Search
from sweeps.search.racing import Races
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.simulated import Simulated
from tests.support.sweep_files import spec_of, sweep

LRS = [0.3, 0.1, 0.03, 0.01, 0.003, 0.001]
RULES: dict[str, Any] = {"no rule": None, "top_k": {"name": "top_k", "after": 1, "keep": 4}}


def racing_sweep(rule: Any) -> SweepSpec:
    return spec_of(
        sweep(
            trial={"epochs": 3},
            parameters={"optimizer.lr": LRS},
            seeds={"start": 1, "up_to": 4},
            early_stop=rule,
        )
    )


def value(config: Mapping[str, Any], epoch: int) -> float | None:
    lr = config["optimizer"]["lr"]
    if (lr, config["seed"]) == (0.1, 2):
        return None  # it diverges
    return 0.5 - 0.01 * LRS.index(lr) + Random(f"{lr} {config['seed']}").gauss(0, 0.01) + epoch / 1000


@pytest.mark.parametrize("at_a_time", [1, 3, 1000])
@pytest.mark.parametrize("rule", RULES)
def test_kept_line_by_line_the_rounds_are_those_of_a_fresh_look(
    rule: str, at_a_time: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = racing_sweep(RULES[rule])
    assert Simulated(tmp_path / "run", spec, value=value).go()
    lines = Simulated(tmp_path / "run", spec, value=value).ledger().lines
    monkeypatch.setattr(racing, "AT_A_TIME", at_a_time)
    head, rest = lines[0], lines[1:]
    search = Search.of(dump(spec), Ledger(sweeps=[head], lines=[head]))  # type: ignore[list-item]
    seen = set()
    for number, line in enumerate(rest, start=2):
        search.take([line])
        kept = search.rounds_of_seeds()
        fresh = Search.of(dump(spec), Ledger(sweeps=[head], lines=list(lines[:number]))).rounds_of_seeds()  # type: ignore[list-item]
        assert kept == fresh
        seen.add(len(kept))
    assert max(seen) > 1, "it came to no second round"


def test_a_trial_that_ends_anew_is_looked_at_anew(tmp_path: Path) -> None:
    """A rerun of a trial that diverged: its configuration's candidate is another one."""
    spec = racing_sweep(None)
    run = Simulated(tmp_path / "run", spec, value=value)
    assert run.go()
    search = Search.of(dump(spec), run.ledger())
    observed, races = search.observed, Races()
    trials = [seen for seen in observed.trials.values() if seen.config["seed"] == 0]
    before = races.candidates_of(observed, dump(spec), trials)
    name = trials[0].line["trial"]
    place = {"kind": "row", "trial": name, "attempt": 2, "step": 1, "seconds": 1.0, "eval_seconds": 0.1}
    running = {"kind": "status", "trial": name, "attempt": 2, "epoch": 0, "status": "running", "time": 1.0}
    observed.take([running, *({**place, "epoch": epoch, "val_accuracy": 0.9} for epoch in (1, 2, 3))])  # type: ignore[list-item]
    observed.take([{**running, "epoch": 3, "status": "finished"}])  # type: ignore[list-item]
    after = races.candidates_of(observed, dump(spec), trials)
    changed = [b.configuration for b, a in zip(before, after, strict=True) if b != a]
    assert changed == [trials[0].line["configuration"]]
    assert {0.9} == {score for one in after if one.configuration in changed for score in one.scores}
