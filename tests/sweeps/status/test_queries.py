"""status, top, show and best: what they say of runs that go well, that failed, and that have no driver any more."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console, RenderableType

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.runs import lease
from ch6dist.runs.ledger import find_trial, read
from ch6dist.runs.writer import Writer
from sweeps.launch.execute import plain_console
from sweeps.record.pace_file import write_pace
from sweeps.status.best import best, best_yaml
from sweeps.status.queries import show, status, top
from sweeps.status.views import render_show, render_status, render_top
from tests.support.ledgers import NASTY, sharing, write_ledger
from tests.support.ledgers import trial as by_hand

SPEC = {"name": "lrs", "question": "Which learning rate?", "metric": {"name": "val_accuracy", "goal": "maximize"}}
EPOCHS = 6  # scores are means over the last 2


def config(lr: float, seed: int = 0, **fields: Any) -> TrialConfig:
    return parse_trial({"epochs": EPOCHS, "seed": seed, "optimizer": {"name": "SGD", "lr": lr}, **fields})


def event(broken: str, *trials: TrialConfig) -> dict[str, Any]:
    ids = [trial.trial_id for trial in trials]
    said = {"reason": "interrupted", "what": "the driver ended"} if broken == "halted" else {"reason": "x", "what": "y"}
    return {
        "kind": "event",
        "trials": ids,
        "epochs": [1] * len(ids),
        "host": "h",
        "broken": broken,
        "time": 1.7e9,
        **said,
    }


def trial_line(trial: TrialConfig) -> dict[str, Any]:
    names = {"trial": trial.trial_id, "configuration": trial.configuration_id, "name": f"SGD {trial.optimizer['lr']}"}
    return {"kind": "trial", **names, "config": trial.model_dump(), "seed": trial.seed}


def state(trial: TrialConfig, value: str, reason: str = "", attempt: int = 1) -> dict[str, Any]:
    ids = {"trial": trial.trial_id, "attempt": attempt, "epoch": 0, "time": 1.7e9}
    return {"kind": "status", **ids, "status": value, "reason": reason}


def rows(trial: TrialConfig, *accuracies: float | None) -> list[dict[str, Any]]:
    return [
        {"kind": "row", "trial": trial.trial_id, "attempt": 1, "epoch": e, "step": 10 * e, "lr": 0.1, "val_accuracy": a}
        for e, a in enumerate(accuracies, start=1)
    ]


def trained(trial: TrialConfig, final: float) -> list[dict[str, Any]]:
    """A whole training run whose score is `final`."""
    lines = rows(trial, 0.01, 0.02, 0.03, 0.9, final - 0.01, final + 0.01)
    return [state(trial, "running"), *lines, state(trial, "finished")]


def write(folder: Path, trials: list[TrialConfig], *lines: dict[str, Any], spec: dict[str, Any] = SPEC) -> Path:
    with Writer(folder) as writer:
        writer.append([{"kind": "sweep", **spec, "spec": spec}, *map(trial_line, trials), *lines])
    return folder


def printed(renderable: RenderableType) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three learning rates × two seeds: 0.1 the best mean but for a diverged seed, 0.01 the winner, 0.001 the last."""
    trials = [config(lr, seed) for lr in (0.1, 0.01, 0.001) for seed in (0, 1)]
    high, diverged, good, better, low, lower = trials
    lines = [*trained(high, 0.40), *rows(diverged, 0.01, None), state(diverged, "diverged", "loss nan at step 20")]
    lines += [*trained(good, 0.30), *trained(better, 0.34), *trained(low, 0.10), *trained(lower, 0.12)]
    return write(tmp_path / "lrs", trials, *lines)


# top


def test_top_is_the_ranking_with_its_rule(run: Path) -> None:
    found = top(run)
    assert [item["name"] for item in found["top"]] == ["SGD · lr 0.01", "SGD · lr 1e-3", "SGD · lr 0.1"]
    assert [item["score"] for item in found["top"]] == pytest.approx([0.32, 0.11, 0.40])
    assert found["top"][2]["note"] == "1 of 2 diverged"
    assert "last 2 epochs" in found["rule"]
    text = printed(render_top(found))
    assert "32.00 %" in text
    assert found["rule"] in text
    assert "SYNTHETIC" not in text


def test_top_and_best_tell_configurations_apart_and_explain_numbers_once(tmp_path: Path) -> None:
    long = {"name": "CosineAnnealingWarmRestarts", "T_0": 2, "T_mult": 2, "eta_min": 1e-5, "warmup": {"epochs": 1}}
    steps = [{"name": "StepLR", "step_size": 1}, {"name": "StepLR", "step_size": 2, "gamma": 0.5}, long]
    optimizer = {"name": "SGD", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
    trials = [
        config(0.1, data={"batch_size": batch}, schedule=schedule, optimizer=optimizer)
        for batch in (50, 100)
        for schedule in steps
    ]
    lines = [line for number, trial in enumerate(trials) for line in trained(trial, 0.9 - number / 10)]
    found = top(write(tmp_path, trials, *lines))
    text = printed(render_top(found))
    assert [item["name"] for item in found["top"]] == [
        "SGD momentum 0.9 wd 5e-4 · StepLR 1 ×0.1 · batch 50 · lr 0.1",
        "SGD momentum 0.9 wd 5e-4 · StepLR 2 ×0.5 · batch 50 · lr 0.1",
        "SGD momentum 0.9 wd 5e-4 · schedule 1 · batch 50 · lr 0.1",
        "SGD momentum 0.9 wd 5e-4 · StepLR 1 ×0.1 · batch 100 · lr 0.1",
        "SGD momentum 0.9 wd 5e-4 · StepLR 2 ×0.5 · batch 100 · lr 0.1",
        "SGD momentum 0.9 wd 5e-4 · schedule 1 · batch 100 · lr 0.1",
    ]
    whole = "warm-up 1, CosineAnnealingWarmRestarts 2 T_mult 2 eta_min 1e-5 per epoch"
    assert text.count(f"schedule 1: {found['numbered']['schedule 1']}") == 1
    assert found["numbered"]["schedule 1"] in whole
    assert all(trial.trial_id in text for trial in trials)
    assert top(tmp_path, 2)["numbered"] == {}
    assert best(tmp_path)["name"] == found["top"][0]["name"]


def test_top_shows_as_many_as_asked_for(run: Path) -> None:
    found = top(run, 1)
    assert (len(found["top"]), found["configurations"]) == (1, 3)
    for n in (0, -1):
        with pytest.raises(InputError, match="-n"):
            top(run, n)


def test_a_loss_is_minimized(tmp_path: Path) -> None:
    trials = [config(0.1), config(0.01)]
    spec = {**SPEC, "metric": {"name": "val_loss", "goal": "minimize"}}
    lines = []
    for trial, loss in zip(trials, (2.0, 3.0), strict=True):
        lines += [{**row, "val_loss": loss} for row in rows(trial, *[0.1] * EPOCHS)] + [state(trial, "finished")]
    found = top(write(tmp_path, trials, *lines, spec=spec))
    assert [item["score"] for item in found["top"]] == [2.0, 3.0]
    assert "%" not in printed(render_top(found))


def test_an_old_run_whose_goal_contradicts_its_metric_is_ranked_by_the_metric_and_says_so(tmp_path: Path) -> None:
    trials = [config(0.1), config(0.01)]
    lines = []
    for trial, loss in zip(trials, (2.0, 3.0), strict=True):
        lines += [{**row, "val_loss": loss} for row in rows(trial, *[0.1] * EPOCHS)] + [state(trial, "finished")]
    old = write(tmp_path, trials, *lines, spec={**SPEC, "metric": {"name": "val_loss", "goal": "maximize"}})
    assert [item["score"] for item in top(old)["top"]] == [2.0, 3.0]
    assert best(old)["score"] == 2.0
    note = "a smaller val_loss is better, although the sweep says goal: maximize"
    for text in (printed(render_top(top(old))), best_yaml(best(old))):
        assert note in " ".join(text.split())


# best


def test_best_is_a_trial_file_that_makes_the_same_trial(run: Path) -> None:
    text = best_yaml(best(run))
    again = parse_trial(yaml.safe_load(text))
    assert again == config(0.01, 0)
    assert again.trial_id == config(0.01, 0).trial_id
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert str(run) in head[0]
    assert "SGD · lr 0.01" in head[1]
    assert "0.32" in head[2]
    assert "2 of 2 seeds" in head[2]
    assert "took part in the choice" in head[3]
    assert "last 2 epochs" in head[4]


def test_best_skips_what_is_not_finished_and_says_so(tmp_path: Path) -> None:
    done, ahead = config(0.01), config(0.1)
    folder = write(tmp_path, [done, ahead], *trained(done, 0.2), state(ahead, "running"), *rows(ahead, 0.5, 0.6))
    assert parse_trial(yaml.safe_load(best_yaml(best(folder)))) == done
    assert "1 configuration could not win" in best_yaml(best(folder))


def test_best_says_why_no_configuration_can_win(tmp_path: Path) -> None:
    running, diverged, sweep = config(0.1), config(0.2), config(0.3, type="range_test")
    cases = {
        "running": (write(tmp_path / "a", [running], state(running, "running")), "1 of 1 not finished"),
        "diverged": (write(tmp_path / "b", [diverged], state(diverged, "diverged")), "1 of 1 diverged"),
        "range tests": (write(tmp_path / "c", [sweep], state(sweep, "finished")), "no training runs"),
        "empty": (write(tmp_path / "d", []), "no training runs"),
    }
    for folder, text in cases.values():
        with pytest.raises(UsageError, match=text):
            best(folder)


def test_synthetic_data_are_marked_everywhere(tmp_path: Path) -> None:
    trial = config(0.1, data={"name": "synthetic_cifar100"})
    folder = write(tmp_path, [trial], *trained(trial, 0.5))
    assert "SYNTHETIC" in printed(render_top(top(folder)))
    assert best_yaml(best(folder)).startswith("# SYNTHETIC")
    assert top(folder)["synthetic"] is best(folder)["synthetic"] is True


# status


def test_running_without_a_driver_is_interrupted_and_how_to_resume_is_shown(tmp_path: Path) -> None:
    trials = [config(0.1), config(0.2), config(0.3)]
    lines = [*trained(trials[0], 0.2), state(trials[1], "running"), *rows(trials[1], 0.1, 0.1)]
    found = status(write(tmp_path, trials, *lines))
    assert found["counts"] == {"planned": 1, "interrupted": 1, "finished": 1}
    assert found["driver"] is None
    assert f"sweeps resume {tmp_path}" in found["next"]
    assert "2 trials" in found["next"]
    assert found["progress"] == {"epochs": {"done": 8, "total": 18}}


def test_with_a_live_driver_running_is_running(tmp_path: Path) -> None:
    trial = config(0.1)
    folder = write(tmp_path, [trial], state(trial, "running"))
    with lease.hold(folder):
        found = status(folder)
    assert found["counts"] == {"running": 1}
    assert found["driver"]["pid"] > 0
    assert "sweeps stop" in found["next"]
    assert status(folder)["counts"] == {"interrupted": 1}


def test_a_live_driver_tells_how_far_the_running_trials_are_and_a_dead_one_tells_nothing(tmp_path: Path) -> None:
    trials = [config(0.1), config(0.2)]
    folder = write(tmp_path, trials, *(state(trial, "running") for trial in trials), *rows(trials[0], 0.1, 0.2))
    first, second = (trial.trial_id for trial in trials)
    pace = {"step": 120, "steps": 352, "images_per_second": 9432.1, "remaining_seconds": 125.0}
    write_pace(folder, {first: pace}, remaining_seconds=3700.0)
    with lease.hold(folder):
        found = status(folder)
    place = {"epoch": 2, "epochs": EPOCHS}
    assert found["running"] == [{"trial": first, **place, **pace}, {"trial": second, **place, "epoch": 0}]
    text = printed(render_status(found))
    assert "about 62 min to go" in text
    assert [first, "2/6", "120/352", "9,432", "2 min"] in [
        re.findall(r"[^│\s]+(?: min)?", line) for line in text.splitlines()
    ]
    assert (status(folder)["running"], status(folder)["remaining_seconds"]) == ([], None)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{", b"\xff"])
def test_a_damaged_pace_file_says_nothing(content: bytes, tmp_path: Path) -> None:
    folder = write(tmp_path, [config(0.1)], state(config(0.1), "running"))
    (folder / "pace.json").write_bytes(content)
    with lease.hold(folder):
        assert [item["epoch"] for item in status(folder)["running"]] == [0]


def test_failures_are_shown_with_their_reasons(tmp_path: Path) -> None:
    trials = [config(0.1), config(0.2)]
    lines = [state(trials[0], "failed", "KeyError: 'x' [/red]", 3), state(trials[1], "out_of_memory", "12 GB asked")]
    folder = write(tmp_path, trials, *lines)
    found = status(folder)
    assert {item["reason"] for item in found["failures"]} == {"KeyError: 'x' [/red]", "12 GB asked"}
    assert "sweeps rerun" in found["next"]
    assert "KeyError: 'x' [/red]" in printed(render_status(found))


def test_halts_and_resumes_are_no_failures(tmp_path: Path) -> None:
    trial = config(0.1)
    head = {"kind": "sweep", **SPEC, "spec": SPEC}
    halted = write(tmp_path / "halted", [trial], *trained(trial, 0.2), event("halted"), head)
    found = status(halted)
    text = printed(render_status(found))
    assert found["retries"] == {}
    assert (found["halts"], found["drivers"]) == (1, 2)
    assert "none" in next(line for line in text.splitlines() if line.startswith("failures"))
    assert "not running; halted 1 time, resumed 1 time" in text
    assert "interrupted; the driver ended" in text
    failed = printed(render_status(status(write(tmp_path / "failed", [trial], event("failed", trial), head))))
    assert "1 worker failure" in failed


@pytest.mark.parametrize("name", [*NASTY, ":fire: [bold]x[/bold]"])
def test_names_and_questions_are_text_on_a_terminal(tmp_path: Path, name: str) -> None:
    trial = config(0.1)
    folder = write(tmp_path / name, [trial], *trained(trial, 0.2), spec={**SPEC, "question": name})
    shown = " ".join(printed(render_status(status(folder))).split())
    assert f"question {' '.join(name.split())}" in shown
    console = plain_console()
    with console.capture() as captured:
        console.print(f"run folder: {folder}")
    assert name.replace("\x1b", "") in captured.get().replace("\x1b", "")
    assert parse_trial(yaml.safe_load(best_yaml(best(folder)))) == trial


def test_an_ended_run_has_no_remaining_epochs(run: Path) -> None:
    found = status(run)
    assert found["progress"] == {"epochs": {"done": 5 * EPOCHS + 2, "total": 5 * EPOCHS + 2}}
    assert found["next"].startswith("all trials have ended")
    assert found["failures"] == []


def test_range_tests_count_steps_and_have_no_ranking(tmp_path: Path) -> None:
    trial = config(0.1, type="range_test", range_test={"steps": 50})
    folder = write(tmp_path, [trial], state(trial, "running"), *rows(trial, None, None))
    assert status(folder)["progress"] == {"steps": {"done": 20, "total": 50}}
    assert "no training runs" in printed(render_top(top(folder)))
    ended = write(tmp_path / "ended", [trial], state(trial, "finished"))
    assert "sweeps top" not in status(ended)["next"]


def test_a_final_run_shows_its_test_accuracy_and_no_empty_columns(tmp_path: Path) -> None:
    trial, spec = config(0.1), {**SPEC, "chosen_from": "best of lrs"}
    row = {**rows(trial, None)[0], "test_accuracy": 0.4321}
    folder = write(tmp_path, [trial], state(trial, "running"), row, state(trial, "finished"), spec=spec)
    assert "`analysis report" in status(folder)["next"]
    assert "sweeps top" not in status(folder)["next"]
    text = printed(render_show(show(folder, trial.trial_id)))
    assert "43.21 %" in text
    assert "val accuracy" not in text


def test_a_run_without_trials_has_a_status(tmp_path: Path) -> None:
    found = status(write(tmp_path, []))
    assert (found["trials"], found["counts"], found["progress"]) == (0, {}, {})
    assert "nothing yet" in printed(render_status(found))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    for ask in (status, top, best):
        with pytest.raises(InputError, match="run folder"):
            ask(tmp_path)


# show


def test_show_takes_the_beginning_of_an_id(run: Path) -> None:
    whole = config(0.001, 1).trial_id
    found = show(run, whole[:-4])
    assert found["trial"] == whole
    assert found["status"] == "finished"
    assert [item["status"] for item in found["history"]] == ["running", "finished"]
    assert found["rows"][-1]["val_accuracy"] == pytest.approx(0.13)
    assert len(found["rows"]) == 5
    text = printed(render_show(found))
    assert whole in text
    assert "13.00 %" in text


def test_show_says_which_engine_trained_it_and_beside_how_many(tmp_path: Path) -> None:
    trial = config(0.1)
    running = {**state(trial, "running"), "engine": "fused"}
    row = {**rows(trial, 0.5)[0], "lanes": 20}
    found = show(write(tmp_path, [trial], running, row, state(trial, "finished")), trial.trial_id)
    assert (found["engine"], found["lanes"]) == ("fused", 20)
    assert "fused, 20 lanes in the last epoch" in printed(render_show(found))
    assert "engine" not in printed(render_show(show(write(tmp_path / "new", [trial]), trial.trial_id)))


def test_a_wrong_id_lists_the_near_ones(run: Path) -> None:
    with pytest.raises(InputError, match=config(0.01, 1).trial_id):
        show(run, "sgd-lr0.01-s")  # the beginning of two
    with pytest.raises(InputError, match="sgd-lr0"):
        show(run, "sdg-lr0.1-s0")
    with pytest.raises(InputError, match="TRIAL"):
        show(run, "")


def test_an_id_that_begins_another_is_itself(tmp_path: Path) -> None:
    short, long = trial_line(config(0.1)), trial_line(config(0.2))
    short["trial"], long["trial"] = "adam", "adam-2"
    with Writer(tmp_path) as writer:
        writer.append([short, long])
    assert find_trial(read(tmp_path), "adam") == "adam"


def test_artifacts_are_shown_by_path_or_value(tmp_path: Path) -> None:
    trial = config(0.1)
    name = {"kind": "artifact", "trial": trial.trial_id, "attempt": 1}
    lines = [
        {**name, "name": "last", "path": "checkpoints/x/last.pt"},
        {**name, "name": "range_test", "value": {"a": 1}},
    ]
    found = show(write(tmp_path, [trial], *lines), trial.trial_id)
    assert found["artifacts"] == {"last": "checkpoints/x/last.pt", "range_test": {"a": 1}}
    assert "checkpoints/x/last.pt" in printed(render_show(found))
    curve = {"lr": [1e-6] * 100, "steepest": 0.24770763, "interval": [1e-5, 1e-3], "diverged_at": None}
    text = printed(render_show({**found, "artifacts": {"range_test": curve}}))
    assert "lr: 100 values, steepest: 0.2477, interval: 1e-05 to 0.001, diverged_at: none" in text


def test_every_result_is_one_json_document(run: Path) -> None:
    for answer in (status(run), top(run), best(run), show(run, config(0.1, 0).trial_id)):
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


# confirmations


def test_an_incomplete_configuration_has_no_rank_in_any_form(tmp_path: Path) -> None:
    whole, burst, left = config(0.1), config(0.2), config(0.2, 1)
    lines = [*trained(whole, 0.3), state(burst, "diverged", "loss nan"), state(left, "failed", "x")]
    found = top(write(tmp_path, [whole, burst, left], *lines))
    assert [item["rank"] for item in found["top"]] == [1, None]
    row = next(line for line in printed(render_top(found)).splitlines() if "lr 0.2" in line)
    assert row.split("│")[1].strip() == "–"


def test_top_says_what_fresh_seeds_have_ranked(tmp_path: Path) -> None:
    chosen, fresh = config(0.1), config(0.1, 5)
    line = {**trial_line(fresh), "confirms": "set", "confirmation": 1}
    found = top(write(tmp_path, [chosen], line, *trained(chosen, 0.5), *trained(fresh, 0.4)))
    assert [(item["score"], item["confirmed"]) for item in found["top"]] == [(pytest.approx(0.4), True)]
    assert found["top"][0]["fresh"] == pytest.approx([0.4])
    text = " ".join(printed(render_top(found)).split())
    assert "1 of 1 fresh" in text
    assert "what was confirmed stands above all else, by its fresh seeds alone" in text
    assert "fresh, of confirmation 1" in printed(render_show(show(tmp_path, fresh.trial_id)))
    assert "confirmation" not in printed(render_show(show(tmp_path, chosen.trial_id)))


PLAN = {"number": 1, "set": ["a"], "default": [], "seeds": [5, 6]}


@pytest.mark.parametrize("case", ["planned", "running", "cut off"])
def test_top_and_status_say_that_a_confirmation_is_unfinished_and_how_it_goes_on(case: str, tmp_path: Path) -> None:
    own, done = by_hand(lr=0.1, curve=[0.4] * 3), by_hand(lr=0.1, seed=5, curve=[0.4] * 3, confirms=("set", 1))
    state = {"planned": None, "running": "running"}.get(case)
    left = [] if case == "cut off" else [by_hand(lr=0.1, seed=6, epochs=3, status=state, confirms=("set", 1))]
    run = write_ledger(tmp_path / "open", [own, done, *left], confirmation=PLAN)
    said = f"a confirmation is unfinished: `sweeps resume {run}` trains what is left of it"
    assert status(run)["next"] == said
    assert top(run)["next"] == said
    assert said in " ".join(printed(render_top(top(run))).split())
    with lease.hold(run):
        assert status(run)["next"].startswith("running")
        assert top(run)["next"] == ""
    ended = [own, done, by_hand(lr=0.1, seed=6, curve=[0.4] * 3, confirms=("set", 1))]
    run = write_ledger(tmp_path / "ended", ended, confirmation=PLAN)
    assert status(run)["next"].startswith("all trials have ended")
    assert top(run)["next"] == ""


def test_the_name_of_a_case_is_in_the_ranking_and_with_its_trial(tmp_path: Path) -> None:
    base, low = config(0.1), config(0.2)
    named = {**trial_line(low), "case": {"change": "low *lr*"}}
    run = write(tmp_path, [base], *trained(base, 0.4), named, *trained(low, 0.5))
    assert [item["name"] for item in top(run)["top"]] == ["low *lr* · SGD · lr 0.2", "SGD · lr 0.1"]
    assert show(run, low.trial_id)["case"] == {"change": "low *lr*"}
    assert "change  low *lr* " in " ".join(printed(render_show(show(run, low.trial_id))).split("\n")[:3])
    assert show(run, base.trial_id)["case"] is None


def test_show_says_which_rows_another_trial_has_trained(tmp_path: Path) -> None:
    sharing(tmp_path)
    first, other = read(tmp_path).trials
    for trial, expected in ((first, False), (other, True)):
        lines = printed(render_show(show(tmp_path, trial)))
        assert ("shared" in lines) is expected
