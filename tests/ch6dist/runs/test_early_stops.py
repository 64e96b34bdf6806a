"""What a sweep's own rule stopped is out and never ranked; an epoch that trials share is paid for once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.early_stops import over_budget, rungs, stopped_by_rule
from ch6dist.runs.ledger import read
from ch6dist.runs.ranking import rank
from ch6dist.shell import command
from ch6dist.verdict.candidates import candidates, verdict_of
from ch6dist.verdict.contenders import BY_RULE
from ch6dist.verdict.words import next_step, sentences
from sweeps.launch.left_out import left_out, remedy
from sweeps.spec.early_stop import RULES, parse_early_stop
from tests.support.ledgers import SWEEP, halved, sharing, trial, write_ledger

GIVEN: Mapping[str, Mapping[str, Any]] = {
    "top_k": {"after": 3, "keep": 2},
    "halving": {"first": 2, "factor": 3},
    "asha": {"first": 1, "factor": 2},
    "median": {"after": 3},
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 18, 19])
def test_the_rungs_of_a_record_are_those_by_which_the_sweep_decided(name: str, epochs: int) -> None:
    rule = {"name": name, **GIVEN[name]}
    assert rungs({"early_stop": rule}, epochs=epochs) == parse_early_stop(rule).rungs(epochs)
    assert rungs({}, epochs=epochs) == ()


def lrs(folder: Path) -> list[float]:
    ledger = read(folder)
    return [ledger.trials[item.trials[0]]["config"]["optimizer"]["lr"] for item in rank(ledger)]


def test_finished_ones_come_first_then_stopped_ones_by_how_far_they_came_and_diverged_ones_last(tmp_path: Path) -> None:
    late = trial(lr=0.05, curve=[0.01, 0.02, 0.03], epochs=4, status="stopped", rule=True)
    assert lrs(halved(tmp_path, late)) == [0.4, 0.05, 0.3, 0.2, 0.1, 0.5]
    ranked = rank(read(tmp_path))
    assert [item.complete for item in ranked] == [True, False, False, False, False, True]
    assert [item.score for item in ranked[1:]] == [None] * 5, "a last value is no score"
    assert ranked[1].note == "1 of 1 stopped by halving after 3 of 4 epochs"


def test_what_a_person_stopped_may_be_trained_again_and_what_the_rule_stopped_may_not(tmp_path: Path) -> None:
    person = trial(lr=0.05, curve=[0.9], epochs=4, status="stopped")
    folder = halved(tmp_path, person)
    ledger = read(folder)
    name = person.config.trial_id
    assert not stopped_by_rule(ledger, name)
    verdict = verdict_of(ledger)
    kinds = {item.configuration: item.missing for item in verdict.unfinished}
    assert Counter(kinds.values()) == {"stopped early": 1, BY_RULE: 3}
    assert kinds[person.config.configuration_id] == "stopped early"
    assert remedy(folder, ledger, verdict) == command("sweeps", "rerun", folder, name)
    by_rule = [line for line in left_out(folder, ledger, verdict) if "own rule" in line]
    assert by_rule == ["3 configurations stopped early by the sweep's own rule left out"]


def test_the_verdict_says_how_many_the_rule_stopped_and_that_they_are_not_compared(tmp_path: Path) -> None:
    ledger = read(halved(tmp_path))
    verdict = verdict_of(ledger)
    names = {line["configuration"]: line["configuration"] for line in ledger.trials.values()}
    said = sentences(verdict, names, run="r")
    expected = "3 configurations were stopped early by halving; not compared, since an early rung saw them behind."
    assert expected in said
    assert not any("may yet win" in sentence for sentence in said)
    assert [member.configuration for member in verdict.compared] == [next(iter(names))]


def test_a_configuration_with_one_seed_that_the_rule_stopped_is_out(tmp_path: Path) -> None:
    seeds = [
        trial(lr=0.6, seed=0, curve=[0.9] * 4),
        trial(lr=0.6, seed=1, curve=[0.1], epochs=4, status="stopped", rule=True),
    ]
    ledger = read(halved(tmp_path, *seeds))
    found = {c.configuration: c.missing for c in candidates(ledger, rank(ledger))}
    assert found[seeds[0].config.configuration_id] == BY_RULE


@pytest.mark.parametrize(
    ("budget", "others", "waits"),
    [
        ({"device_hours": 1}, [{"status": "paused", "reason": "the budget is spent: 1 device hours"}], True),
        ({"device_hours": 1}, [{"status": "paused", "reason": "rung of 1 epoch: waits for 1 of 2"}], False),
        ({"trials": 1}, [{"status": None}], True),
        ({"trials": 2}, [{"status": None}], False),
        (None, [{"status": None}], False),
    ],
)
def test_the_next_step_of_a_spent_budget_is_no_plain_resume(
    budget: Any, others: list[dict[str, Any]], waits: bool, tmp_path: Path
) -> None:
    trials = [trial(lr=0.1, curve=[0.5] * 3), *(trial(lr=0.2, curve=[], epochs=3, **other) for other in others)]
    ledger = read(write_ledger(tmp_path, trials, spec={**SWEEP["spec"], **({"budget": budget} if budget else {})}))
    assert bool(over_budget(ledger)) is waits
    [step] = next_step(verdict_of(ledger), run="r")
    assert ("`sweeps status r`" in step) is waits
    assert ("`sweeps resume r`" in step) is not waits


@pytest.mark.parametrize("last", [None, 1, 5])
def test_a_shared_epoch_costs_its_configuration_and_the_run_has_paid_for_it_once(
    last: int | None, tmp_path: Path
) -> None:
    ledger = read(sharing(tmp_path), last=last)
    assert list(ledger.seconds.values()) == pytest.approx([8.4, 8.4])
    assert sum(ledger.spent.values()) == pytest.approx(6 * 2.1)
    whole = read(tmp_path)
    cost = [candidate.seconds for candidate in candidates(whole, rank(whole))]
    assert cost == pytest.approx([8.4, 8.4]), "cheaper wins by all epochs"
