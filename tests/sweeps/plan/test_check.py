"""`sweeps check`: a sweep is tried before it is trained, and what is not exact is said in the record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.runs.checked import inexact, keep_checked, kind_name
from ch6dist.runs.ledger import read
from ch6dist.training.check import differences
from sweeps.plan.check import small
from tests.support.commands import succeed, sweep_file, sweeps

OWN = """
import torch

class Forgetful(torch.optim.SGD):
    taken = 0  # in no checkpoint

    def step(self, closure=None):
        Forgetful.taken += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / Forgetful.taken
        return super().step(closure)

class Breaking(torch.optim.SGD):
    def step(self, closure=None):
        if self.param_groups[0]["params"][0].numel() > 50_000:  # not that of the small network that it is tried on
            raise ArithmeticError("too large")
        return super().step(closure)
"""
DATA = {"name": "synthetic_mnist", "train_size": 600, "val_size": 200, "batch_size": 100}


def checked(tmp_path: Path, optimizers: list[str], status: int) -> dict[str, str]:
    (tmp_path / "myopt.py").write_text(OWN, encoding="utf-8")
    axes = {"model": ["simple_nn"], "optimizer": optimizers, "optimizer.lr": [0.01, 0.1]}
    done = sweeps("check", sweep_file(tmp_path, parameters=axes, data=DATA), "--json", cwd=tmp_path)
    assert done.returncode == status, done.stderr
    return {kind["name"]: kind["verdict"] for kind in json.loads(done.stdout)["kinds"]}


def test_each_kind_of_trial_is_tried_once_and_what_does_not_resume_exactly_is_said(tmp_path: Path) -> None:
    found = checked(tmp_path, ["SGD", "myopt:Forgetful"], 0)
    assert found["simple_nn · SGD"] == "resumes exactly"
    assert found["simple_nn · myopt:Forgetful"].startswith("not exact: model.fc1.weight")
    assert len(found) == 2, "learning rates make no kinds"
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_run_records_what_was_found_out(tmp_path: Path) -> None:
    checked(tmp_path, ["SGD", "myopt:Forgetful"], 0)
    done = succeed("run", tmp_path / "tiny.yaml", cwd=tmp_path)
    [head] = read(tmp_path / "runs" / "tiny").sweeps
    [line] = head["inexact"]
    assert line.startswith("simple_nn · myopt:Forgetful is not exact after a resume: model.fc1.weight")
    assert line in " ".join(done.stdout.split())


def test_what_breaks_in_training_ends_with_status_2_and_the_reason_and_the_others_are_tried(tmp_path: Path) -> None:
    found = checked(tmp_path, ["myopt:Breaking", "SGD"], 2)
    assert "ArithmeticError: too large (myopt.py:16 in step)" in found["simple_nn · myopt:Breaking"]
    assert found["simple_nn · SGD"] == "resumes exactly"


def test_a_small_trial_has_the_schedule_of_the_whole_one() -> None:
    schedule = {"name": "OneCycleLR", "max_lr": 0.1}
    trial = parse_trial({"epochs": 30, "optimizer": {"name": "SGD", "momentum": 0.9}, "schedule": schedule})
    found = small(trial)
    assert (found.epochs, found.schedule) == (trial.epochs, trial.schedule)
    assert found.data.train_size <= 12 * 32
    assert kind_name(found.model_dump()) == "lenet5 · SGD · OneCycleLR"


def test_a_verdict_is_of_a_kind_and_only_of_what_is_not_of_the_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plain = parse_trial({}).model_dump()
    foreign = {**plain, "optimizer": {"name": "myopt:Forgetful", "code": "1c0ffee5abcd", "lr": 0.1}}
    for config in (plain, foreign):
        keep_checked(config, "fc1.weight")
    other = {**foreign, "optimizer": {**foreign["optimizer"], "lr": 0.3}}
    assert inexact([plain, foreign, other]) == [
        "lenet5 · myopt:Forgetful is not exact after a resume: fc1.weight",
    ]
    changed = {**foreign, "optimizer": {**foreign["optimizer"], "code": "2c0ffee5abcd"}}
    assert inexact([changed]) == [], "another file is another kind"


def test_differences_are_named_to_the_last_bit() -> None:
    first = {"a": torch.tensor([1.0, float("nan")]), "b": [1, {"c": torch.zeros(2)}]}
    assert list(differences(first, {"a": torch.tensor([1.0, float("nan")]), "b": [1, {"c": torch.zeros(2)}]})) == []
    other = {"a": torch.tensor([1.0 + 2**-23, float("nan")]), "b": [1, {"c": torch.zeros(3)}], "d": 0}
    assert list(differences(first, other)) == ["a", "b.1.c", "d"]
