"""The final training: what it trains, what it says it kept, and the test set, once per seed."""

from __future__ import annotations

import io
import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.packs import Orders
from ch6dist.runs.folders import check_name
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.writer import Writer
from ch6dist.training.loop import train
from sweeps.launch import final
from sweeps.launch.execute import Launch
from sweeps.launch.final import plan_final, result, say_plan, say_result, train_final
from sweeps.launch.finals import newest_final
from tests.support.commands import TINY, driving, succeed, sweep_file
from tests.support.namespaces import wait_for
from tests.support.processes import alive, offspring
from tests.support.runs import ended, raw_lines, row_count, statuses, without_ray

pytestmark = pytest.mark.usefixtures("in_tmp_path")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two learning rates; the larger one is better."""
    folder = tmp_path_factory.mktemp("final")
    spec = sweep_file(folder, parameters={"optimizer.lr": {"values": [0.05, 1e-6]}}, epochs=3)
    without_ray(spec, folder / "runs" / "tiny")
    return folder / "runs" / "tiny"


def trial_file(folder: Path, **changes: Any) -> str:
    path = folder / "trial.yaml"
    path.write_text(yaml.safe_dump({**TINY["trial"], **changes}))
    return str(path)


def printed(console_use: Any, what: Any) -> str:
    console = Console(file=io.StringIO(), soft_wrap=True)
    console_use(what, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def alone(trials: tuple[TrialConfig, ...]) -> dict[str, float]:
    """Of the trials, trained one by one in this process."""
    torch.set_num_threads(1)
    found: dict[str, float] = {}

    def report(lines: Any) -> Any:
        found.update({x["trial"]: x["test_accuracy"] for x in lines if x.get("test_accuracy") is not None})
        return Orders()

    for trial in trials:
        train([trial], report=report, threads=1)
    return found


# The plan


def test_the_best_is_trained_on_new_seeds_and_tested(run: Path) -> None:
    plan = plan_final(str(run), seeds=3)
    assert plan.chosen.optimizer["lr"] in (0.05, 1e-6)
    assert [trial.seed for trial in plan.trials] == [1, 2, 3]
    assert all(trial.evaluate_test and trial.epochs == 3 for trial in plan.trials)
    assert len({trial.configuration_id for trial in plan.trials}) == 1
    assert plan.name == "tiny-final"
    assert "best of tiny" in plan.source


@pytest.mark.parametrize(
    ("seeds", "expected", "said"),
    [
        (
            [0, 1, 2],
            [3, 4],
            "seeds 3, 4: new, for an unbiased estimate, as the configuration was chosen by its scores with",
        ),
        ([7, 3], [8, 9], "chosen by its scores with seeds 3, 7"),
        (5, [5, 6], "chosen by its scores with seeds 0 … 4"),
    ],
)
def test_no_seed_of_the_sweep_is_trained_again(tmp_path: Path, seeds: Any, expected: list[int], said: str) -> None:
    lrs = {"optimizer.lr": {"values": [0.05, 1e-6]}}
    without_ray(sweep_file(tmp_path, parameters=lrs, epochs=1, seeds=seeds), tmp_path / "sweep")
    for trial in (None, "sgd-lr1e-06-"):
        ids = read(tmp_path / "sweep").trials
        chosen = next(name for name in ids if name.startswith(trial)) if trial else None
        plan = plan_final(str(tmp_path / "sweep"), trial=chosen, seeds=2)
        assert [trial.seed for trial in plan.trials] == expected
        assert not {trial.seed for trial in plan.trials} & {line["seed"] for line in ids.values()}
    assert said in printed(say_plan, plan)


def test_the_seed_of_a_trial_file_is_trained(tmp_path: Path) -> None:
    plan = plan_final(trial_file(tmp_path, seed=41), seeds=2)
    assert [trial.seed for trial in plan.trials] == [41, 42]
    assert "seeds 41, 42, from the trial file" in printed(say_plan, plan)
    assert plan_final(trial_file(tmp_path)).trials[0].seed == 0


def test_a_final_of_a_final_leaves_out_the_seeds_of_both(tmp_path: Path) -> None:
    path = trial_file(tmp_path)
    with Writer(tmp_path / "first") as writer:
        trial = parse_trial(yaml.safe_load(Path(path).read_text()) | {"seed": 2})
        spec = {"name": "first", "chosen_from": "best of sweep", "chosen_by_seeds": [9]}
        writer.append([{"kind": "sweep", "spec": spec, "time": 1.0}, trial_line(trial)])
    plan = plan_final(str(tmp_path / "first"), trial=trial.trial_id)
    assert (plan.chosen_by, plan.trials[0].seed) == ((2, 9), 10)


def test_a_trial_can_be_named(run: Path) -> None:
    plan = plan_final(str(run), trial="sgd-lr1e-06")
    assert plan.chosen.optimizer["lr"] == 1e-6
    with pytest.raises(InputError, match="sgd-lr1e-06"):
        plan_final(str(run), trial="adam")


def test_all_data_leave_no_validation_split_and_the_plateau_watches_the_training(tmp_path: Path) -> None:
    plan = plan_final(trial_file(tmp_path, schedule="ReduceLROnPlateau"), all_data=True)
    data = plan.trials[0].data
    assert (data.train_size, data.val_size) == (320, 0)
    assert plan.trials[0].schedule["monitor"] == "train_loss"
    assert "training metric" in printed(say_plan, plan)


@pytest.mark.parametrize("epochs", [2, 20])
@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        ("OneCycleLR", lambda epochs: 1e-3 / 25 / 1e4),  # Smith & Topin: max_lr ÷ div_factor ÷ final_div_factor
        ("CosineAnnealingLR", lambda epochs: 1e-3 * (1 + math.cos(math.pi * (epochs - 1) / epochs)) / 2),
    ],
)
def test_a_schedule_over_the_whole_training_is_stretched(
    schedule: str, last: Callable[[int], float], epochs: int, tmp_path: Path
) -> None:
    plan = plan_final(trial_file(tmp_path, optimizer={"name": "SGD", "lr": 1e-3}, schedule=schedule), epochs=epochs)
    assert float(printed(say_plan, plan).rpartition("last step: ")[2]) == pytest.approx(last(epochs), rel=1e-3)
    assert plan.notes == ()


KEPT = {
    "steps": ({"name": "StepLR", "step_size": 1}, "step_size stays 1"),
    "milestones": ({"name": "MultiStepLR", "milestones": [1]}, "milestones stays [1]"),
    "in batches": ({"name": "StepLR", "step_size": 3, "interval": "batch"}, "step_size stays 3"),
    "in epochs": ({"name": "StepLR", "step_size": {"epochs": 1}}, "step_size stays {'epochs': 1"),
    "a warm-up": ({"name": "CosineAnnealingLR", "warmup": {"epochs": 1}}, "warmup.epochs stays 1"),
    "a sequence": ([{"name": "LinearLR", "epochs": 1, "total_iters": 1}, "CosineAnnealingLR"], "milestones stays [1]"),
    "inside it": (
        [{"name": "LinearLR", "epochs": 1, "total_iters": 1}, "CosineAnnealingLR"],
        "schedulers.0.total_iters stays 1",
    ),
    "a lambda preset": ({"name": "LambdaLR", "recipe": "step_power", "step_size": 2}, "step_size stays 2"),
    "a cycle": ({"name": "CyclicLR", "step_size_up": 4}, "step_size_up stays 4"),
}


@pytest.mark.parametrize("case", KEPT)
def test_whole_counts_are_kept_and_reported(case: str, tmp_path: Path) -> None:
    schedule, expected = KEPT[case]
    file = trial_file(tmp_path, schedule=schedule)
    plan = plan_final(file, epochs=20)
    assert expected in printed(say_plan, plan)
    assert plan.trials[0].schedule == plan.chosen.schedule
    assert plan_final(file).notes == ()


def test_a_fraction_follows_and_is_not_reported(tmp_path: Path) -> None:
    assert plan_final(trial_file(tmp_path, schedule={"name": "StepLR", "step_size": 0.5}), epochs=20).notes == ()


def test_the_lrs_are_those_of_the_schedule(tmp_path: Path) -> None:
    file = trial_file(tmp_path, optimizer={"name": "SGD", "lr": 0.8}, schedule={"name": "StepLR", "step_size": 4})
    assert "1: 0.8, 2: 0.8, 4: 0.8, 6: 0.08, 8: 0.08, last step: 0.08" in printed(say_plan, plan_final(file, epochs=8))


def test_a_range_test_has_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="range test"):
        plan_final(trial_file(tmp_path, type="range_test"))


def test_a_trial_file_is_the_choice_itself(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--trial"):
        plan_final(trial_file(tmp_path), trial="sgd")
    with pytest.raises(InputError, match="optimiser"):
        plan_final(trial_file(tmp_path, optimiser="SGD"))


# The training


def test_final_on_all_data_over_seeds(run: Path) -> None:
    found = succeed("final", run, "--seeds", 2, "--all-data", "--epochs", 4, "--runs", "finals", cwd=Path.cwd())
    assert "4 epochs, 2 seeds, 320 images, 0 held out" in found.stdout
    folder = Path("finals/tiny-final")
    rows = [row for row in raw_lines(folder, "row") if row.get("test_accuracy") is not None]
    assert [row["epoch"] for row in rows] == [4, 4]
    expected = alone(plan_final(str(run), seeds=2, all_data=True, epochs=4).trials)
    assert result(folder)["test_accuracy"] == expected
    for trial, accuracy in expected.items():
        assert f"{trial}: test accuracy {100 * accuracy:.2f} %" in found.stdout
    assert "std over 2 seeds" in found.stdout
    assert f"by class: ch6dist look {folder.absolute()} {next(iter(expected))} --split test" in found.stdout
    assert read(folder).spec["chosen_by_seeds"] == [0]
    assert "seeds 1, 2: new" in found.stdout
    assert set(statuses(read(folder)).values()) == {"finished"}


@pytest.mark.slow
def test_best_to_final_over_two_processes(run: Path) -> None:
    here = Path.cwd()
    succeed("best", run, "-o", "choice.yaml", cwd=here)
    succeed("final", "choice.yaml", "--workers", 2, cwd=here)
    trials = plan_final("choice.yaml").trials
    measured = result(Path("runs/choice-final"))["test_accuracy"]
    assert measured.keys() == {trials[0].trial_id}
    assert measured == pytest.approx(alone(trials), abs=2e-3)  # sums over ranks are rounded otherwise


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_processes_are_ended_and_resumed_seed_by_seed(run: Path) -> None:
    here, folder = Path.cwd(), Path("runs/tiny-final")
    with driving("final", run, "--workers", 2, "--seeds", 2, "--epochs", 150, "--runs", "runs", cwd=here) as driver:
        driver.until(lambda: row_count(folder) > 3)
        below = offspring(driver.pid)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
        wait_for(lambda: not alive(below))
    assert len(read(folder).trials) == 2
    assert ended(folder) == 0
    with driving("final", "tiny-final", "--resume", "--runs", "runs", cwd=here) as driver:
        driver.until(lambda: ended(folder) == 1)
        os.kill(driver.pid, signal.SIGTERM)
        assert driver.wait() == 130, driver.output()
    succeed("final", run, "--resume", "--runs", "runs", cwd=here)
    assert set(statuses(read(folder)).values()) == {"finished"}
    assert result(folder)["seeds"] == 2
    assert "std over 2 seeds" in printed(say_result, result(folder))


def begun(folder: Path, name: str, *, at: float, **spec: str) -> Path:
    """A final training that began at `at`, in seconds."""
    with Writer(folder / name) as writer:
        writer.append([{"kind": "sweep", "name": "tiny-final", "time": at}])
    (folder / name / "sweep.yaml").write_text(yaml.safe_dump({"name": "tiny-final", "chosen_from": "tiny", **spec}))
    return folder / name


def test_the_newest_final_of_a_run_is_resumed(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no final training to resume in"):
        newest_final(str(run), runs=tmp_path)
    old = begun(tmp_path, "tiny-final", at=10.0)
    begun(tmp_path, "tiny-final-best", at=90.0)  # a name a user chose
    newest = begun(tmp_path, "tiny-final-2", at=30.0)
    begun(tmp_path, "tiny-final-10", at=20.0)
    assert newest_final(str(run), runs=tmp_path) == newest
    assert newest_final(str(old), runs=tmp_path) == old
    assert newest_final("tiny-final", runs=tmp_path).resolve() == old


def test_how_the_sweep_was_trained_is_taken_over(run: Path) -> None:
    assert plan_final(str(run)).settings["resources"] == read(run).spec["resources"]
    assert plan_final(str(run)).settings["max_retries"] == read(run).spec["max_retries"]


@pytest.mark.parametrize("name", ["a" * 94, "a" * 100, "tiny.v2", "my run", "größe", "$(x)"])
def test_a_final_of_a_run_of_any_name_has_one_and_is_found_by_it(run: Path, tmp_path: Path, name: str) -> None:
    source = tmp_path / "elsewhere" / name
    shutil.copytree(run, source)
    plan = plan_final(str(source))
    assert check_name(plan.name).endswith("-final")
    found = begun(source.parent, plan.name, at=1.0, final_of=plan.of)
    begun(source.parent, f"{plan.name}-2", at=2.0, final_of="another run of which so little fits into the name")
    assert newest_final(str(source)) == found


@pytest.mark.parametrize("name", ["best trial.yaml", "größe.yaml", "a" * 120 + ".yaml", "no-ending", ".yaml"])
def test_a_final_of_a_trial_file_of_any_name_has_one(tmp_path: Path, name: str) -> None:
    shutil.copy(trial_file(tmp_path), tmp_path / name)
    assert check_name(plan_final(str(tmp_path / name)).name).endswith("-final")


def test_a_final_of_the_working_directory_is_called_after_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    assert plan_final(".").name == "tiny-final"


def test_a_given_name_is_the_name_and_is_checked(run: Path) -> None:
    assert plan_final(str(run), name="mine").name == "mine"
    with pytest.raises(InputError, match=r"--name: 'my own' is not allowed"):
        plan_final(str(run), name="my own")


def test_a_final_lies_beside_its_sweep(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []

    def start(*_: Any, **how: Any) -> tuple[Path, int]:
        started.append(how)
        return tmp_path, 0

    monkeypatch.setattr(final, "start", start)
    train_final(plan_final(str(run)), Launch())
    train_final(plan_final(str(run), name="mine"), Launch(), runs=tmp_path)
    train_final(plan_final(trial_file(tmp_path)), Launch())
    assert [how["runs"] for how in started] == [run.parent, tmp_path, None]
    assert [how["name"] for how in started] == [None, "mine", None]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_final_training_is_resumed_on_ray(run: Path) -> None:
    here, folder = Path.cwd(), Path("runs/tiny-final")
    with driving("final", run, "--epochs", 3_000, "--runs", "runs", cwd=here) as driver:
        driver.until(lambda: row_count(folder) > 3)
        driver.interrupt()
        assert driver.wait() == 130, driver.output()
        assert "no seed reached the test set" in driver.output()
    with driving("final", run, "--resume", "--runs", "runs", cwd=here) as driver:
        before = row_count(folder)
        driver.until(lambda: row_count(folder) > before)
        succeed("stop", folder, cwd=here)
        assert driver.wait() == 130, driver.output()
