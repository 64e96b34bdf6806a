"""When and where trials were trained, as status lines and rows have it."""

from __future__ import annotations

import pytest

from analysis.study.load import load_study
from analysis.study.stretches import stretches
from ch6dist.runs import lease
from ch6dist.runs.writer import Writer
from tests.support.ledgers import START, trial, write_ledger

GPU = {"host": "a", "device": "cuda:0"}


def ran(lr, begun, *, where=GPU, seconds=(10.0, 20.0), **more):
    """A trial with a row after so many seconds each; the ledger's maker ends it 50 seconds after its start."""
    times = [START + begun + after for after in seconds]
    return trial(lr=lr, begun=begun, where=where, curve=[0.1] * len(times), columns={"time": times}, **more)


def test_a_trial_is_a_bar_from_its_start_to_its_end_on_its_device(tmp_path):
    table = stretches(load_study([write_ledger(tmp_path, [ran(0.1, 0), ran(0.2, 30, where={"host": "b"})])]))
    assert table[["device", "start", "end", "status"]].to_numpy().tolist() == [
        ["a cuda:0", 0, 50, "finished"],
        ["b", 30, 80, "finished"],
    ]


def test_trials_that_share_a_device_lie_in_lanes_and_a_lane_that_is_free_is_used_again(tmp_path):
    trials = [ran(0.1, 0), ran(0.2, 10), ran(0.3, 20), ran(0.4, 50), ran(0.5, 55)]
    table = stretches(load_study([write_ledger(tmp_path, trials)]))
    assert table["lane"].tolist() == [0, 1, 2, 0, 3]  # each takes 50 seconds


def test_a_trial_that_still_runs_reaches_to_its_last_row(tmp_path):
    running = ran(0.1, 0, status="running", epochs=3)
    table = stretches(load_study([write_ledger(tmp_path, [running])]))
    assert table[["start", "end", "status"]].to_numpy().tolist() == [[0, 20, "interrupted"]]  # no driver is alive


def test_a_trial_of_a_live_driver_reaches_to_the_newest_line(tmp_path):
    folder = write_ledger(tmp_path, [ran(0.1, 0, status="running", epochs=3), ran(0.2, 30)])
    with lease.hold(folder):
        table = stretches(load_study([folder]))
    assert table[["start", "end", "status"]].to_numpy().tolist() == [[0, 80, "running"], [30, 80, "finished"]]


def test_trials_that_have_not_lasted_have_no_bar(tmp_path):
    begun = [trial(lr=lr, begun=lr, status="running", epochs=3) for lr in (0.1, 0.2)]
    assert stretches(load_study([write_ledger(tmp_path, begun)])).empty


def test_a_resume_is_a_second_bar_and_what_was_before_is_called_interrupted(tmp_path):
    first = ran(0.1, 0, status="running", epochs=3)
    folder = write_ledger(tmp_path, [first])
    ids = {"kind": "status", "trial": first.config.trial_id, "attempt": 1, "epoch": 2, "step": 200}
    with Writer(folder) as writer:
        writer.append([{**ids, "status": "running", "time": START + 25, "host": "b", "device": "cpu"}])
        writer.append([{**ids, "status": "finished", "time": START + 40}])
    table = stretches(load_study([folder]))
    assert table[["device", "start", "end", "status"]].to_numpy().tolist() == [
        ["a cuda:0", 0, 20, "interrupted"],
        ["b cpu", 25, 40, "finished"],
    ]


def test_a_long_pause_of_the_whole_sweep_is_left_out_and_a_short_one_is_not(tmp_path):
    trials = [ran(0.1, 0), ran(0.2, 55), ran(0.3, 100_000), ran(0.4, 100_000)]
    table = stretches(load_study([write_ledger(tmp_path, trials)]))
    assert table["start"].tolist()[:2] == [0, 55]
    later = table["start"].tolist()[2:]
    assert later == pytest.approx([105 + 1.5] * 2)  # 105 s, and a hundredth of the 150 s in which anything ran
    assert (table["begun"] - START).tolist() == [0, 55, 100_000, 100_000]
    assert (table["end"] - table["start"]).tolist() == pytest.approx([50] * 4)


def test_runs_are_pooled_under_their_longer_names(tmp_path):
    study = load_study([write_ledger(tmp_path / name, [ran(0.1, 0)]) for name in ("x", "y")])
    table = stretches(study)
    assert [name.partition("/")[0] for name in table["trial"]] == ["x", "y"]
    assert table["optimizer"].tolist() == ["SGD", "SGD"]


def test_nothing_was_started(tmp_path):
    assert stretches(load_study([write_ledger(tmp_path, [trial(status=None)])])).empty
