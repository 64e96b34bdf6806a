"""The ranking after a confirmation, against numbers worked out by hand: fresh seeds rank the set, and nothing else."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from ch6dist.config import parse_trial
from ch6dist.runs.confirmations import open_confirmation
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.ranking import Ranked, rank
from ch6dist.runs.schema import Metric
from tests.support.ledgers import HandTrial, trial, write_ledger

FIRST = ("set", 1)


def seeds(lr: float, *scores: float, first: int = 0, **how: object) -> list[HandTrial]:
    """A seed per score, which all of its epochs have; None is a seed that is planned."""
    return [trial(lr=lr, seed=first + n, curve=[score] * 3, **how) for n, score in enumerate(scores)]  # type: ignore[arg-type]


def ranked(folder: Path, *trials: list[HandTrial], metric: Metric | None = None) -> list[Ranked]:
    return rank(read(write_ledger(folder, [item for group in trials for item in group])), metric)


def names(items: list[Ranked]) -> list[float]:
    return [float(item.configuration.split("-lr")[1].rpartition("-")[0]) for item in items]


CHOSEN = [*seeds(0.1, 0.50, 0.52), *seeds(0.2, 0.49, 0.51), *seeds(0.3, 0.47, 0.48), *seeds(0.4, 0.1, 0.2)]


def test_the_set_is_ranked_first_and_by_its_fresh_seeds_alone(tmp_path: Path) -> None:
    fresh = [seeds(0.1, 0.40, 0.42, first=5, confirms=FIRST), seeds(0.2, 0.43, 0.45, first=5, confirms=FIRST)]
    found = ranked(tmp_path, CHOSEN, *fresh)
    assert names(found) == [0.2, 0.1, 0.3, 0.4], "0.3 was better in the sweep than both are on fresh seeds"
    assert [item.score for item in found] == pytest.approx([0.44, 0.41, 0.475, 0.15])
    assert [item.confirmed for item in found] == [True, True, False, False]
    assert found[0].scores == found[0].fresh == pytest.approx((0.43, 0.45))
    assert found[0].trials == found[0].fresh_trials
    assert [len(item.every) for item in found] == [4, 4, 2, 2]
    assert (found[2].fresh, found[2].note) == ((), "")


@pytest.mark.parametrize("left", [{"status": None}, {"status": "running"}])
def test_an_unfinished_confirmation_changes_nothing_yet_and_says_so(tmp_path: Path, left: dict[str, str]) -> None:
    before = ranked(tmp_path / "before", CHOSEN)
    fresh = [seeds(0.1, 0.9, first=5, confirms=FIRST), [trial(lr=0.2, seed=5, epochs=3, confirms=FIRST, **left)]]  # type: ignore[arg-type]
    found = ranked(tmp_path / "begun", CHOSEN, *fresh)
    kept = [(i.configuration, i.score, i.scores, i.trials, i.eligible, i.complete) for i in before]
    assert [(i.configuration, i.score, i.scores, i.trials, i.eligible, i.complete) for i in found] == kept
    assert [item.note for item in found[:3]] == [
        "1 of 1 fresh seeds have ended, not ranked by them yet",
        "0 of 1 fresh seeds have ended, not ranked by them yet",
        "",
    ]
    assert not any(item.confirmed or item.fresh for item in found)


def test_a_second_confirmation_adds_to_the_first_once_it_has_ended(tmp_path: Path) -> None:
    first = [seeds(0.1, 0.40, 0.42, first=5, confirms=FIRST), seeds(0.2, 0.43, 0.45, first=5, confirms=FIRST)]
    planned = [trial(lr=0.2, seed=7, epochs=3, status=None, confirms=("set", 2))]
    begun = ranked(tmp_path / "begun", CHOSEN, *first, planned, seeds(0.1, 0.9, first=7, confirms=("set", 2)))
    assert names(begun)[:2] == [0.2, 0.1]
    assert [item.scores for item in begun[:2]] == [pytest.approx((0.43, 0.45)), pytest.approx((0.40, 0.42))]
    second = [seeds(0.1, 0.9, first=7, confirms=("set", 2)), seeds(0.2, 0.1, first=7, confirms=("set", 2))]
    ended = ranked(tmp_path / "ended", CHOSEN, *first, *second)
    assert names(ended)[:2] == [0.1, 0.2]
    assert ended[0].scores == pytest.approx((0.40, 0.42, 0.9))


def test_a_fresh_seed_that_failed_costs_the_rank_and_one_that_diverged_the_place(tmp_path: Path) -> None:
    good = [seeds(0.1, 0.4, 0.4, first=5, confirms=FIRST)]
    burst = [trial(lr=0.2, seed=6, curve=[0.9], epochs=3, status="diverged", confirms=FIRST)]
    found = ranked(tmp_path / "a", CHOSEN, *good, seeds(0.2, 0.9, first=5, confirms=FIRST), burst)
    assert names(found) == [0.1, 0.3, 0.4, 0.2], "a diverged seed ranks below all without"
    assert (found[-1].note, found[-1].complete) == ("1 of 2 diverged", True)
    failed = [trial(lr=0.2, seed=6, curve=[0.9], epochs=3, status="failed", confirms=FIRST)]
    found = ranked(tmp_path / "b", CHOSEN, *good, seeds(0.2, 0.9, first=5, confirms=FIRST), failed)
    assert names(found) == [0.1, 0.3, 0.4, 0.2]
    assert (found[-1].note, found[-1].complete) == ("1 of 2 failed", False)


def test_a_default_keeps_its_place_unless_it_beats_one_of_the_set_on_fresh_seeds(tmp_path: Path) -> None:
    fresh = [seeds(0.1, 0.40, 0.42, first=5, confirms=FIRST), seeds(0.2, 0.43, 0.45, first=5, confirms=FIRST)]
    behind = ranked(tmp_path / "a", CHOSEN, *fresh, seeds(0.4, 0.39, 0.40, first=5, confirms=("default", 1)))
    assert names(behind) == [0.2, 0.1, 0.3, 0.4]
    assert behind[-1].score == pytest.approx(0.15)
    assert behind[-1].fresh == pytest.approx((0.39, 0.40))
    ahead = ranked(tmp_path / "b", CHOSEN, *fresh, seeds(0.4, 0.42, 0.43, first=5, confirms=("default", 1)))
    assert names(ahead) == [0.2, 0.4, 0.1, 0.3]
    assert ahead[1].score == pytest.approx(0.425)


def test_a_default_that_still_trains_holds_nothing_up(tmp_path: Path) -> None:
    waiting = [trial(lr=0.4, seed=5, epochs=3, status=None, confirms=("default", 1))]
    found = ranked(tmp_path, CHOSEN, seeds(0.3, 0.3, first=5, confirms=FIRST), waiting)
    assert names(found)[0] == 0.3
    assert found[-1].complete


def test_of_a_loss_the_smallest_fresh_mean_is_first(tmp_path: Path) -> None:
    fresh = [seeds(0.1, 0.40, first=5, confirms=FIRST), seeds(0.2, 0.45, first=5, confirms=FIRST)]
    beside = seeds(0.4, 0.44, first=5, confirms=("default", 1))
    found = ranked(tmp_path, CHOSEN, *fresh, beside, metric=Metric("val_loss"))
    assert names(found) == [0.2, 0.4, 0.1, 0.3]


def pooled(*runs: tuple[str, list[tuple[HandTrial, float]]]) -> Ledger:
    """Ledgers of several runs as a report pools them."""
    ledger = Ledger()
    for run, trials in runs:
        for item, score in trials:
            trial_id = f"{run}/{item.config.trial_id}"
            line = {**trial_line(item.config), "run": run, "configuration": f"{run}/{item.config.configuration_id}"}
            if item.confirms:
                line |= {"confirms": item.confirms[0], "confirmation": item.confirms[1]}
            ledger.trials[trial_id] = line  # type: ignore[assignment]
            ledger.statuses[trial_id] = {"status": "finished"}  # type: ignore[typeddict-item]
            ledger.rows += [{"trial": trial_id, "epoch": e, "step": e, "val_accuracy": score} for e in (1, 2, 3)]
    return ledger


def test_pooled_runs_are_ranked_by_fresh_seeds_only_where_all_have_them() -> None:
    confirmed = [(trial(lr=0.1, epochs=3), 0.5), (trial(lr=0.1, seed=5, epochs=3, confirms=FIRST), 0.3)]
    other = [(trial(lr=0.2, epochs=3), 0.4)]
    found = rank(pooled(("a", confirmed), ("b", other)))
    assert [item.score for item in found] == [0.5, 0.4], "0.4 was chosen by its score, as 0.5 was"
    both = [*other, (trial(lr=0.2, seed=5, epochs=3, confirms=FIRST), 0.35)]
    found = rank(pooled(("a", confirmed), ("b", both)))
    assert [(item.configuration[0], item.score) for item in found] == [("b", 0.35), ("a", 0.3)]


def test_an_incomplete_configuration_has_no_rank_though_a_seed_diverged(tmp_path: Path) -> None:
    burst = [trial(lr=0.5, seed=0, curve=[0.9], epochs=3, status="diverged")]
    for status in (None, "running", "failed", "stopped"):
        left = [trial(lr=0.5, seed=1, curve=[0.9] if status else [], epochs=3, status=status)]
        found = ranked(tmp_path / str(status), CHOSEN, burst, left)
        assert [item.complete for item in found] == [True] * 4 + [False]
    found = ranked(tmp_path / "all", CHOSEN, burst)
    incomplete = ranked(tmp_path / "nan", CHOSEN, burst, [trial(lr=0.5, seed=1, curve=[None] * 3)])[-1]
    assert (found[-1].complete, found[-1].eligible, incomplete.complete) == (True, False, False)
    assert all(a.complete >= b.complete for a, b in pairwise(found))


def test_the_trial_of_a_fresh_seed_is_the_configurations_own() -> None:
    config = parse_trial({"optimizer": "Adam"})
    assert trial_line(config.model_copy(update={"seed": 7}))["configuration"] == trial_line(config)["configuration"]


def is_open(folder: Path, *trials: list[HandTrial], **head: object) -> bool:
    return open_confirmation(read(write_ledger(folder, [*CHOSEN, *(i for group in trials for i in group)], **head)))


@pytest.mark.parametrize("part", ["set", "default"])
def test_a_confirmation_is_open_until_the_last_of_its_trials_has_ended(tmp_path: Path, part: str) -> None:
    done = seeds(0.1, 0.4, first=5, confirms=FIRST)
    for status in (None, "running"):
        left = [trial(lr=0.2, seed=5, curve=[0.4] if status else [], epochs=3, status=status, confirms=(part, 1))]
        assert is_open(tmp_path / str(status), done, left)
    for status in ("failed", "diverged", "stopped", "out_of_memory"):
        ended = [trial(lr=0.2, seed=5, curve=[0.4], epochs=3, status=status, confirms=(part, 1))]
        assert not is_open(tmp_path / status, done, ended)


def test_a_confirmation_whose_lines_were_cut_off_is_open_and_a_sweep_that_trains_is_none(tmp_path: Path) -> None:
    plan = {"number": 1, "set": ["a"], "default": ["b"], "seeds": [5]}
    fresh = [seeds(lr, 0.4, first=5, confirms=FIRST) for lr in (0.1, 0.2)]
    assert is_open(tmp_path / "none", confirmation=plan)
    assert is_open(tmp_path / "one", fresh[0], confirmation=plan)
    assert not is_open(tmp_path / "both", *fresh, confirmation=plan)
    assert not is_open(tmp_path / "sweep", [trial(lr=0.9, epochs=3, status="running")])
