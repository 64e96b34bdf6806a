"""`sweeps run` on Ray Tune: from file to ledger, compared with the same trials trained without Ray."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from ch6dist.runs.differences import differences
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import Ledger, read
from ch6dist.sections import parse_section
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import SweepSpec
from tests.support.commands import succeed, sweep_file, sweeps
from tests.support.runs import raw_lines, statuses, without_ray

LRS_ALONE = [0.01, 0.001, 1000.0]  # the last one diverges
CASE = {"cases": {"as it is": {}}}  # a name that changes nothing
LRS = {"parameters": {"optimizer.lr": LRS_ALONE, "change": CASE}, "seeds": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def spec(folder: Path) -> Path:
    return sweep_file(folder, **LRS)


@pytest.fixture(scope="module")
def alone(folder: Path, spec: Path) -> Ledger:
    """The sweep's trials, one by one and without Ray."""
    return without_ray(spec, folder / "alone")


@pytest.fixture(scope="module")
def done(folder: Path, spec: Path) -> subprocess.CompletedProcess[str]:
    """`sweeps run`, in packs as the program makes them."""
    return sweeps("run", spec, cwd=folder, XDG_CACHE_HOME=str(folder / "cache"))


@pytest.fixture
def run(folder: Path, done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "runs" / "tiny"


def test_diverged_trials_are_results_and_the_run_ends_with_0(run: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert sorted(statuses(read(run)).values()) == ["diverged"] * 2 + ["finished"] * 4
    assert "2 diverged, 4 finished" in done.stdout
    assert "analysis report" in done.stdout


def test_without_a_terminal_there_are_a_few_plain_lines(run: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr == ""
    assert not [c for c in done.stdout if ord(c) < 32 and c != "\n"]
    assert len(done.stdout.splitlines()) < 8  # a line a minute


def test_every_trial_is_there_and_ended_once(run: Path, spec: Path) -> None:
    trials = [trial.trial_id for trial in expand(load_spec(spec))]
    assert [line["trial"] for line in raw_lines(run, "trial")] == trials
    ends = [line["trial"] for line in raw_lines(run, "status") if line["status"] in ("finished", "diverged")]
    assert sorted(ends) == sorted(trials)
    keys = [(row["trial"], row["attempt"], row["step"]) for row in raw_lines(run, "row")]
    assert len(keys) == len(set(keys)) == 4 * 2 + 2
    assert sorted(trial for line in raw_lines(run, "pack") for trial in line["trials"]) == sorted(trials)


def test_every_trial_says_its_case_and_is_the_trial_that_it_is_without_one(run: Path, spec: Path) -> None:
    lines = raw_lines(run, "trial")
    assert [line["case"] for line in lines] == [{"change": "as it is"}] * 6
    plain = parse_section(SweepSpec, {**yaml.safe_load(spec.read_text()), "parameters": {"optimizer.lr": LRS_ALONE}})
    assert [line["trial"] for line in lines] == [trial.trial_id for trial in expand(plain)]


def test_a_run_calibrates_the_next_plan(folder: Path, run: Path, spec: Path) -> None:
    plan = sweeps("plan", spec, "--json", cwd=folder, XDG_CACHE_HOME=str(folder / "cache"))
    estimate = json.loads(plan.stdout)["estimate"]
    measured = sorted(row["images_per_second"] for row in read(run).rows)
    assert estimate["calibrated"]
    assert measured[0] <= next(iter(estimate["images_per_second"].values())) <= measured[-1]


def test_the_ledger_is_that_of_training_runs_without_ray(run: Path, alone: Ledger) -> None:
    assert differences(read(run), alone) == []


def test_the_folder_says_what_it_is_and_its_lease_is_free(run: Path, spec: Path) -> None:
    assert load_spec(run / "sweep.yaml") == load_spec(spec)
    line = raw_lines(run, "sweep")[0]
    assert line["command"].startswith("sweeps run")
    assert line["versions"]["ray"]
    assert current(run) is None
    for trial, status in statuses(read(run)).items():
        assert (run / "checkpoints" / trial / "last.pt").exists() == (status == "finished")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_second_run_of_the_name_gets_a_number_of_its_own(run: Path, folder: Path, spec: Path) -> None:
    found = succeed("run", spec, "optimizer.lr=0.01", "seeds=1", "epochs=1", cwd=folder)
    assert "tiny-2" in found.stdout
    assert len(read(folder / "runs" / "tiny-2").trials) == 1


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("packs", ["off", "3"])
def test_packs_change_nothing(packs: str, folder: Path, spec: Path, alone: Ledger) -> None:
    succeed("run", spec, "--packs", packs, "--name", f"packs-{packs}", cwd=folder)
    run = folder / "runs" / f"packs-{packs}"
    assert max(len(line["trials"]) for line in raw_lines(run, "pack")) == (1 if packs == "off" else 3)
    assert differences(read(run), alone) == []


@pytest.mark.slow
def test_range_tests_are_a_sweep_like_any_other(folder: Path) -> None:
    spec = sweep_file(
        folder,
        name="ranges",
        trial={
            "type": "range_test",
            "range_test": {"steps": 12},
            "data": {"name": "synthetic_mnist", "train_size": 512},
        },
        parameters={"optimizer": {"values": ["SGD", "Adam"]}},
    )
    succeed("run", spec, cwd=folder)
    assert differences(read(folder / "runs" / "ranges"), without_ray(spec, folder / "alone-ranges")) == []
    ledger = read(folder / "runs" / "ranges")
    assert {name for _, name in ledger.artifacts} >= {"range_test"}
    assert {len(rows) for rows in ledger.rows_by_trial().values()} == {12}
