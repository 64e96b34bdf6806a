"""What a search did, in numbers and words; and that an epoch which trials share is paid for once."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from analysis.plots.scaling import scaling_data
from analysis.report.header import run_facts
from analysis.report.health import health
from analysis.study.load import load_study
from analysis.study.results import analyse
from analysis.study.rows_file import write_rows
from analysis.study.searched import Rung, left_out, searched, sentences
from tests.support.ledgers import add_decision, halved, sharing, trial, twelve, write_ledger


def test_the_epochs_that_were_asked_for_are_all_accounted_for(tmp_path):
    [found] = searched(load_study([halved(tmp_path)]))
    assert (found.asked, found.trained, found.shared, found.stopped, found.open, found.lost) == (20, 9, 0, 8, 0, 3)
    assert found.rungs == (Rung(1, came=5, went_on=2), Rung(2, came=2, went_on=1))
    assert sentences(found)[0] == (
        "5 configurations of a grid, 5 trials: 20 epochs asked for; 9 were trained (45%, 18.9 s of device time), "
        "8 saved by stopping early (halving), 3 lost to divergence, failures or a stop."
    )


def test_confirmations_and_final_ones_are_no_part_of_the_search(tmp_path):
    more = [trial(lr=0.4, seed=5, curve=[0.5] * 4, confirms=("set", 1))]
    more += [trial(lr=0.4, seed=6, curve=[0.5] * 4, evaluate_test=True)]
    [alone], [beside] = (
        searched(load_study([halved(tmp_path / name, *trials)])) for name, trials in (("a", []), ("b", more))
    )
    assert replace(alone, run="b") == beside


def test_seeds_that_a_race_has_added_are_named_and_no_rung_counts_them(tmp_path):
    seed = trial(lr=0.4, seed=1, curve=[0.4] * 4)
    halved(tmp_path, seed, seeds={"start": 1, "up_to": 3})
    add_decision(tmp_path, seed, "round of seed 1: 2 configurations cannot be told from the best")
    [found] = searched(load_study([tmp_path]))
    assert found.rungs[0] == Rung(1, came=5, went_on=2)
    assert [(item.seed, item.configurations) for item in found.rounds] == [(1, 1)]
    assert "Seed 1 was added for 1 configuration: 2 configurations cannot be told from the best." in sentences(found)


def test_what_waits_on_a_budget_is_named_with_its_bound(tmp_path):
    waits = trial(lr=0.6, curve=[0.3], epochs=4, status="paused", reason="the budget is spent: 2 device hours")
    [found] = searched(load_study([halved(tmp_path, waits, budget={"device_hours": 2})]))
    assert (found.over_budget, found.open) == ("2 device hours", 3)
    assert sentences(found)[-1] == "The budget of 2 device hours is spent; 3 epochs wait for a larger one."


def test_a_plain_sweep_did_not_search(tmp_path):
    study = load_study([twelve(tmp_path)])
    assert (searched(study), left_out(study)) == ([], "")


def test_what_a_person_stopped_is_not_blamed_on_a_rule(tmp_path):
    study = load_study([write_ledger(tmp_path, [trial(curve=[0.1], epochs=3, status="stopped")])])
    assert left_out(study) == ""
    [fact] = [fact for fact in health(analyse(study)) if fact.name == "Stopped early"]
    assert fact.value == "1 (100%): 1 by a person"


@pytest.mark.parametrize("runs", [1, 2])
def test_shared_epochs_stay_in_every_curve_and_are_spent_once(tmp_path, runs):
    folders = [sharing(tmp_path / f"run{number}") for number in range(runs)]
    results = analyse(load_study(folders))
    study = results.study
    assert [len(study.rows[trial]) for trial in study.trials["trial"]] == [4, 4] * runs
    assert len(study.history) == 8 * runs
    assert len(study.trained) == 6 * runs
    assert set(study.history["shared"].dropna()) == set(study.trials["trial"].iloc[::2]), "the trial that trained it"
    assert [row.get("shared") for row in study.rows[study.trials["trial"].iloc[1]]][1:3] == [
        study.trials["trial"].iloc[0],
        None,
    ]
    assert [facts["device_seconds"] for facts in run_facts(results)] == pytest.approx([12.6] * runs)
    facts = {fact.name: fact.value for fact in health(results)}
    assert facts["Device time"] == f"{12.6 * runs:.3g} s"
    assert facts["Epochs"] == f"{6 * runs} of {8 * runs} planned (75%); {2 * runs} more are those of another trial"
    assert results.board["seconds_per_epoch"].tolist() == [2.0] * 2 * runs
    assert scaling_data(results).empty


def test_what_trials_share_is_said_although_nothing_was_stopped(tmp_path):
    [found] = searched(load_study([sharing(tmp_path)]))
    assert (found.asked, found.trained, found.shared) == (8, 6, 2)
    assert sentences(found) == [
        "2 configurations of a grid, 2 trials: 8 epochs asked for; 6 were trained (75%, 12.6 s of device time), "
        "2 shared with another trial."
    ]


def test_the_rows_of_a_study_as_a_file_say_who_trained_them(tmp_path):
    study = load_study([sharing(tmp_path / "run")])
    write_rows(study, tmp_path / "rows.parquet")
    found = pd.read_parquet(tmp_path / "rows.parquet")
    assert set(found.loc[found["shared"].notna(), "trial"]) == {study.trials["trial"].iloc[1]}
    assert found["shared"].dropna().tolist() == [study.trials["trial"].iloc[0]] * 2
