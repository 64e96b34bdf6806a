"""Any ledger has a report, and what it says is what its rows say: computed here anew, from the trials alone.

Hypothesis mixes statuses, missing rows, NaN, seeds and configurations; a sentence is checked by numbers that share no
code with those that made it.
"""

from __future__ import annotations

import math
import re
import statistics
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from analysis.plots import style
from analysis.plots.registry import PLOTS, draw
from analysis.report.conclusion import conclusion
from analysis.report.contest import contest_text
from analysis.report.page import write_report
from analysis.study.contest import contest_of
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.errors import UsageError
from tests.support.ledgers import HandTrial, trial, write_ledger

ENDS = (*["finished"] * 4, *["diverged"] * 2, "failed", "stopped", "out_of_memory", "running", None)
LEVELS = st.sampled_from([0.0, 0.01, 0.0105, 0.2, 0.2, 0.5, 0.501, 0.9, 1.0])
VALUES = st.one_of(LEVELS, LEVELS, st.floats(0, 1, width=16), st.none())
SETTINGS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@st.composite
def hand_trials(draw_from: st.DrawFn) -> list[HandTrial]:
    """Return the trials of a sweep that may have gone wrong anywhere."""
    found: list[HandTrial] = []
    epochs = draw_from(st.sampled_from([1, 2, 3, 6, 9]))
    mixed, one_end = draw_from(st.integers(0, 3)) > 0, draw_from(st.sampled_from(ENDS))
    points = draw_from(
        st.lists(
            st.tuples(st.sampled_from(["SGD", "Adam", "RMSprop"]), st.sampled_from([1.0, 0.1, 0.01, 1e-3])),
            max_size=6,
            unique=True,
        )
    )
    for optimizer, lr in points:
        level = draw_from(LEVELS)
        for seed in range(draw_from(st.integers(1, 4))):
            end = draw_from(st.sampled_from(ENDS)) if mixed else one_end
            noise = draw_from(st.lists(VALUES, min_size=epochs, max_size=epochs))
            curve = [value if value is None else 0.9 * level + 0.1 * value for value in noise]
            whole = end == "finished"
            kept = curve if whole else curve[: draw_from(st.integers(0, epochs))]
            found.append(trial(optimizer, lr=lr, seed=seed, curve=kept if end else (), status=end, epochs=epochs))
    return found


def scores_of(trials: list[HandTrial], metric: str) -> dict[tuple[str, float], list[float] | None]:
    """Return the scores of each configuration's seeds, None where a seed is missing or diverged."""
    found: dict[tuple[str, float], list[float] | None] = {}
    for item in trials:
        key = (str(item.config.optimizer["name"]), float(item.config.optimizer["lr"]))
        last = max(1, min(5, item.config.epochs // 3))
        values = [row.get(metric) for row in item.rows][-last:]
        good = item.status == "finished" and len(item.rows) == item.config.epochs and None not in values
        scores = found.setdefault(key, [])
        if not good:
            found[key] = None
        elif scores is not None:
            scores.append(statistics.fmean(values))  # type: ignore[arg-type]
    return found


def check(trials: list[HandTrial], sentences: list[str], metric: str, goal: str) -> None:
    """Fail if a sentence contradicts the trials."""
    text = " ".join(sentences)
    complete = {key: scores for key, scores in scores_of(trials, metric).items() if scores is not None}
    named = {f"{optimizer} · lr {lr:g}".replace("0.001", "1e-3"): key for key in complete for optimizer, lr in [key]}
    led = re.match(r"(.+?) leads with (\S+)( %)? validation \S+ over (\d+) seed", text)
    if led is None:
        learned = [scores for scores in complete.values() if metric == "val_loss" or statistics.fmean(scores) > 0.013]
        assert not learned or metric == "val_loss", text
        return
    leader = complete[named[led[1]]]
    sign = 1 if goal == "maximize" else -1
    assert len(leader) == int(led[4])
    scale, rounding = (100, 0.0051) if led[3] else (1, 0.001)
    assert float(led[2]) == pytest.approx(scale * statistics.fmean(leader), abs=rounding)
    for name, key in named.items():
        mean = statistics.fmean(complete[key])
        if sign * mean > sign * statistics.fmean(leader) + 1e-9:
            assert metric == "val_loss", f"{name} is better: {text}"  # at chance by its accuracy, whatever its loss
    for beaten in re.finditer(r"ahead of all (\d+) others", text):
        assert int(beaten[1]) < len(complete)
    if tied := re.search(r"cannot be told from (\d+) of the (\d+) others", text):
        assert 1 <= int(tied[1]) <= int(tied[2]) < len(complete)


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
@settings(SETTINGS, max_examples=60)
@given(trials=hand_trials())
def test_no_sentence_contradicts_the_numbers(metric: str, trials: list[HandTrial]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = analyse(load_study([write_ledger(Path(folder) / "run", trials, spec={"metric": {"name": metric}})]))
        said = conclusion(results)
    note(str(said))
    assert all(sentence.endswith((".", "`.")) and "nan" not in sentence.lower().split() for sentence in said)
    check(trials, said, metric, results.study.goal)
    ranks = results.board["rank"].dropna().tolist()
    assert ranks == sorted(set(ranks))
    members = {member.configuration for member in results.verdict.members}
    assert not members & set(results.verdict.at_chance)
    if members:
        assert sum(member.p_best or 0 for member in results.verdict.compared) == pytest.approx(
            1 if results.verdict.sd is not None else 0
        )


@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
@settings(SETTINGS, max_examples=25)
@given(trials=hand_trials())
def test_a_contest_over_any_ledger_is_what_its_rows_say(metric: str, trials: list[HandTrial]) -> None:
    contestants = {item.config.optimizer["name"] for item in trials}
    with tempfile.TemporaryDirectory() as folder:
        results = analyse(load_study([write_ledger(Path(folder) / "run", trials, spec={"metric": {"name": metric}})]))
        if len(contestants) < 2:
            with pytest.raises(UsageError, match="no contest"):
                contest_of(results, target=0.5)
            return
        contest = contest_of(results, target=0.5)
        text = contest_text(contest, results.study)
    note(text)
    assert not re.search(r"\b(nan|inf)\b", text)
    assert set(contest.table["optimizer"]) == contestants
    for heat in contest.heats.to_dict("records"):
        its = [t for t in trials if (t.config.optimizer["name"], t.config.seed) == (heat["optimizer"], heat["heat"])]
        values = [(row["epoch"], row[metric]) for item in its for row in item.rows if row[metric] is not None]
        times = [epoch for epoch, y in values if (y >= 0.5 if metric == "val_accuracy" else y <= 0.5)]
        assert heat["complete"] == all(item.status in ("finished", "diverged", "stopped") for item in its)
        if heat["complete"]:
            assert heat["epochs"] == min(times, default=math.inf)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["val_accuracy", "val_loss"])
@settings(SETTINGS, max_examples=25)
@given(trials=hand_trials())
def test_every_ledger_has_every_figure_or_a_reason(metric: str, trials: list[HandTrial]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        results = analyse(load_study([write_ledger(Path(folder) / "run", trials, spec={"metric": {"name": metric}})]))
        for plot in PLOTS.values():
            data = plot.data(results)
            if len(data):
                assert plot.caption(data).endswith(".")
                with style.context():
                    draw(plot, data, study=results.study).draw_without_rendering()


def test_a_loss_sweep_whose_trials_all_diverged_has_a_report(tmp_path: Path) -> None:
    trials = [trial(lr=lr, seed=s, curve=[None], status="diverged", epochs=3) for lr in (1.0, 0.1) for s in range(2)]
    run = write_ledger(tmp_path / "run", trials, spec={"metric": {"name": "val_loss"}})
    page = write_report(analyse(load_study([run])), tmp_path / "out").read_text(encoding="utf-8")
    assert "Try learning rates" in page


@pytest.mark.slow
def test_four_hundred_configurations_have_a_report(tmp_path: Path) -> None:
    trials = [
        trial(name, lr=1e-4 * 1.05**i, seed=s, curve=[0.1, 0.2, 0.3 + (i % 40) / 1000 + s / 500])
        for name in ("SGD", "Adam")
        for i in range(200)
        for s in (0, 1)
    ]
    results = analyse(load_study([write_ledger(tmp_path / "run", trials)]))
    write_report(results, tmp_path / "out")
    assert len(results.board) == 400
