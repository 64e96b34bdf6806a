"""`sweeps resume RUN key=value`: what a run may become, what it may not, and that a refusal writes nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.cli import run as run_app
from ch6dist.errors import InputError
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import SWEEP_FILE
from ch6dist.runs.schema import Status
from ch6dist.sections import parse_section
from sweeps.__main__ import app
from sweeps.search.next_trials import Search
from sweeps.search.replay import departures
from sweeps.spec.expand import expand
from sweeps.spec.extend import changed_sweep, refuse_lost
from sweeps.spec.sweep_file import SweepSpec, dump
from tests.support.simulated import Simulated

LRS = [0.1, 0.03, 0.01, 0.003]
CONTENT: dict[str, Any] = {
    "name": "tiny",
    "trial": {"data": {"name": "synthetic_mnist"}, "model": "simple_nn", "epochs": 6},
    "parameters": {"optimizer": ["SGD", "Adam"], "optimizer.lr": LRS},
    "seeds": 2,
}
DRAWN = {
    "parameters": {"optimizer.lr": {"distribution": "log_uniform", "min": 1e-3, "max": 1e-1}},
    "trials": 6,
    "seed": 1,
}
SWEEPS: dict[str, dict[str, Any]] = {
    "grid": {},
    "halving": {"early_stop": {"name": "halving", "first": 1, "factor": 2}},
    "top_k": {"early_stop": {"name": "top_k", "after": 2, "keep": 2}},
    "random": {"method": "random", **DRAWN},
    "quasi": {"method": "quasi", **DRAWN},
    "model": {"method": "optuna", "batch": 3, **DRAWN, "seeds": 1},
    "racing": {"seeds": {"start": 1, "up_to": 2}},
    "budget": {"budget": {"device_hours": 20 / 3600}},
}


def spec_of(name: str) -> SweepSpec:
    return parse_section(SweepSpec, {**CONTENT, **SWEEPS[name]})


def value(config: Any, epoch: int) -> float:
    return 0.3 + epoch / 20 - abs(config["optimizer"]["lr"] - 0.03) - config["seed"] / 1000


def trained(folder: Path, name: str) -> Simulated:
    run = Simulated(folder / name, spec_of(name), value)
    assert run.go()
    (run.run / SWEEP_FILE).write_text(yaml.safe_dump(run.content))
    return run


def rows(ledger: Ledger) -> int:
    return sum(line["kind"] == "row" for line in ledger.lines)


def extended(run: Simulated, changes: Sequence[str]) -> int:
    """Check changes as a resume does, and go on with them; the epochs that this took."""
    before = run.ledger()
    content = changed_sweep(run.content, changes)
    search = Search.of(content, before, extended=True)
    refuse_lost(changes, {trial: trial for trial in before.trials}, *search.spans())
    run.content = content
    assert run.go()
    after = run.ledger()
    assert departures(after) == []
    assert after.trials.keys() >= before.trials.keys()
    done = {(row["trial"], row["epoch"]) for row in before.rows}
    more = [line for line in after.lines[len(before.lines) :] if line["kind"] == "row"]
    assert not [line for line in more if (line["trial"], line["epoch"]) in done], "nothing is trained again"
    return rows(after) - rows(before)


REFUSED = [
    ("grid", "name=other", "the folder is called so"),
    ("grid", "method=random", "the trials of the run were chosen by it"),
    ("random", "seed=2", "the trials of the run were drawn with it"),
    ("grid", "metric=val_loss", "what has been decided was decided by it"),
    ("grid", "storage=/elsewhere", "the run lies there"),
    ("grid", "presets=[chapter6]", "they are taken when a sweep starts"),
    ("grid", "trial.epochs=9", "the trials of a run stay what they are"),
    ("grid", "epochs=9", "the trials of a run stay what they are"),
    ("grid", "nonsense=1", "the trials of a run stay what they are"),
    ("grid", "optimizer.lr=0.5", "the trials of a run stay what they are"),
    ("grid", "seeds=1", "all that the run has, and more"),
    ("grid", "seeds=[5, 6]", "all that the run has, and more"),
    ("grid", "seeds=0", "seeds"),
    ("grid", "seeds={count: 2, vary: [split]}", "all that the run has, and more"),
    ("grid", "parameters.optimizer.lr=[0.1]", "all that the run has, and more"),
    ("grid", "parameters.optimizer.lr=[-1]", "optimizer.lr"),
    ("grid", "parameters.nonsense=[1]", "nonsense"),
    ("grid", "parameters.weight_decay=[0, 0.1]", ""),
    ("grid", "trials=9", "trials"),
    ("random", "trials=5", "all that the run has, and more"),
    ("random", "trials=0", "trials"),
    (
        "random",
        "parameters.optimizer.lr={distribution: log_uniform, min: 1e-4, max: 1e-1}",
        "all that the run has, and more",
    ),
    ("quasi", "trials=5", "all that the run has, and more"),
    ("model", "trials=5", "all that the run has, and more"),
    (
        "model",
        "parameters.optimizer.lr={distribution: log_uniform, min: 1e-4, max: 1e-1}",
        "the model has drawn from these axes",
    ),
    ("grid", "early_stop=nonsense", "early_stop"),
    ("grid", "early_stop={name: halving, first: 9}", "early_stop"),
    ("halving", "early_stop.keep=3", "keep"),
    ("halving", "early_stop.factor=1", "factor"),
    ("budget", "budget={}", "budget"),
    ("budget", "budget.device_hours=0", "device_hours"),
    ("budget", "budget.wall_time=soon", "wall_time"),
    ("grid", "resources.nonsense=1", "nonsense"),
    ("grid", "resources.workers=0", "workers"),
    ("grid", "seeds", "seeds"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Simulated]:
    folder = tmp_path_factory.mktemp("runs")
    return {name: trained(folder, name) for name in {name for name, *_ in REFUSED}}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("beside", [(), ("resources.cpus=1",)], ids=["alone", "beside resources"])
@pytest.mark.parametrize(("name", "change", "said"), REFUSED, ids=lambda part: part if isinstance(part, str) else None)
def test_what_a_run_cannot_become_is_refused_in_one_line_and_nothing_is_written(
    name: str, change: str, said: str, beside: tuple[str, ...], runs: dict[str, Simulated]
) -> None:
    run = runs[name].run
    before, out, err = contents(run), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_app(app, name="sweeps", arguments=["resume", str(run), change, *beside])
    text = err.getvalue()
    assert (status, out.getvalue(), text.count("\n")) == (2, "", 1), text
    assert said in text
    assert change.partition("=")[0].rpartition(".")[2] in text, "it names the key"
    assert contents(run) == before


# What a run may become


def test_more_values_and_seeds(tmp_path: Path) -> None:
    run = trained(tmp_path, "grid")
    assert extended(run, ["parameters.optimizer.lr=[0.1, 0.03, 0.01, 0.003, 0.001]"]) == 2 * 2 * 6
    assert extended(run, ["seeds=3", "resources.cpus=1"]) == 2 * 5 * 6
    assert run.content["resources"]["cpus"] == 1
    assert extended(run, ["seeds=[0, 1, 2, 7]"]) == 2 * 5 * 6
    assert set(run.ledger().trials) == {t.trial_id for t in expand(parse_section(SweepSpec, run.content))}


@pytest.mark.parametrize("name", ["random", "quasi"])
def test_more_draws_are_those_of_a_larger_sweep(name: str, tmp_path: Path) -> None:
    run = trained(tmp_path, name)
    assert extended(run, ["trials=10"]) == 2 * 4 * 6
    assert set(run.ledger().trials) == {t.trial_id for t in expand(spec_of(name).model_copy(update={"trials": 10}))}


def test_more_draws_of_a_model_go_on_where_it_was(tmp_path: Path) -> None:
    run = trained(tmp_path, "model")
    assert extended(run, ["trials=9"]) == 3 * 6
    whole = Simulated(tmp_path / "whole", parse_section(SweepSpec, {**CONTENT, **SWEEPS["model"], "trials": 9}), value)
    assert whole.go()
    assert run.ledger().trials.keys() == whole.ledger().trials.keys()


def test_another_seed_of_every_point_of_a_model(tmp_path: Path) -> None:
    run = trained(tmp_path, "model")
    assert extended(run, ["seeds=2"]) == 6 * 6
    assert {line["config"]["seed"] for line in run.ledger().trials.values()} == {0, 1}
    assert extended(run, ["trials=7"]) == 2 * 6, "further points have both"
    with pytest.raises(InputError, match="it would lose"):
        extended(run, ["seeds=1"])


def test_a_larger_budget_and_none(tmp_path: Path) -> None:
    run = trained(tmp_path, "budget")
    first = rows(run.ledger())
    assert 20 <= first < 28
    second = extended(run, [f"budget.device_hours={50 / 3600}"])
    assert 50 <= first + second < 58
    assert first + second + extended(run, ["budget=null"]) == 2 * 4 * 2 * 6
    assert {run.ledger().status(trial) for trial in run.ledger().trials} == {Status.FINISHED}


def test_early_stopping_is_added_changed_and_removed(tmp_path: Path) -> None:
    run = Simulated(tmp_path / "grid", spec_of("grid"), value)
    assert not run.go(kill_after=30)
    extended(run, ["early_stop={name: top_k, after: 2, keep: 1}"])
    stopped = sum(run.ledger().status(trial) == Status.STOPPED for trial in run.ledger().trials)
    assert stopped > 0
    extended(run, ["early_stop.keep=6"])
    assert 0 < sum(run.ledger().status(trial) == Status.STOPPED for trial in run.ledger().trials) < stopped
    extended(run, ["early_stop=null"])
    assert {run.ledger().status(trial) for trial in run.ledger().trials} == {Status.FINISHED}
    assert len(run.ledger().rows) == 2 * 4 * 2 * 6


def test_other_rungs_and_a_sweep_that_races_from_now_on(tmp_path: Path) -> None:
    run = trained(tmp_path, "halving")
    assert extended(run, ["early_stop.first=3"]) > 0, "what was stopped at the first rung goes on to the new one"
    raced = trained(tmp_path, "racing")
    assert extended(raced, ["seeds.up_to=4"]) >= 0
    assert raced.content["seeds"]["up_to"] == 4


@pytest.mark.parametrize("change", ["question=What is best?", "margin=0.02", "max_retries=9", "checkpoints.seconds=5"])
def test_what_is_no_part_of_a_trial_may_change_and_trains_nothing(change: str, tmp_path: Path) -> None:
    run = trained(tmp_path, "grid")
    assert extended(run, [change]) == 0
    assert dump(parse_section(SweepSpec, run.content)) == run.content
