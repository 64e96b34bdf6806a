"""Optimizers that are not of the catalog: found by name, described without being imported here, trained as they are."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from ch6dist.catalog.described import Description, describe, parameter_data
from ch6dist.catalog.lookup import optimizer_of, parse_named
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.objects.find import find
from ch6dist.objects.signature import parameters_of
from ch6dist.packs import Orders
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.commands import sweep_file, sweeps

OWN = """
import torch

class Own(torch.optim.SGD):
    def __init__(self, params, lr: float = 0.1, betas: tuple[float, float] = (0.5, 0.9), mode: str = "a", *, top):
        super().__init__(params, lr=lr)
"""


@pytest.mark.parametrize("name", ["timm/lion", "pytorch_optimizer/soap"])
def test_a_librarys_optimizer_trains_and_resumes_bit_for_bit(name: str, tmp_path: Path) -> None:
    pytest.importorskip(name.partition("/")[0])
    data = {"name": "synthetic_mnist", "train_size": 300, "val_size": 100, "batch_size": 100}
    trial = parse_trial({"data": data, "model": "simple_nn", "optimizer": name, "epochs": 3})
    whole, stopped = Checkpoints(tmp_path / "whole"), Checkpoints(tmp_path / "stopped")
    train([trial], checkpoints=whole)

    def halt(lines: Any) -> Any:
        """Halt after the first epoch."""
        done = [line for line in lines if line["kind"] == "row"]
        return Orders(halt=bool(done))

    train([trial], checkpoints=stopped, report=halt)
    assert train([trial], checkpoints=stopped) == {trial.trial_id: "finished"}
    states = [folder.load(trial.trial_id, "last") for folder in (whole, stopped)]
    first, second = (state["lane"]["model"] for state in states)  # type: ignore[index]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_librarys_optimizer_has_its_own_parameters_and_defaults() -> None:
    pytest.importorskip("timm")
    resolved = parse_named("optimizer", {"name": "timm/lion", "betas": [0.8, "0.9"]})
    assert resolved == {
        "name": "timm/lion",
        "lr": 1e-4,
        "betas": [0.8, 0.9],
        "weight_decay": 0.0,
        "caution": False,
        "corrected_weight_decay": False,
    }
    assert optimizer_of(resolved).family is None
    assert describe("optimizer", "timm/lion").version == f"timm {version('timm')}"
    assert parse_trial({"optimizer": "timm/lion"}).trial_id.startswith("lion-lr0.0001-s0-")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("timm/lionn", "did you mean 'timm/lion'"),
        ({"name": "timm/lion", "bets": [0.9, 0.9]}, "did you mean 'betas'"),
        ("torch.optim:Muon", "Muon only supports 2D parameters"),
        ("no_such_package:Opt", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("torch.optim:Addam", "did you mean 'Adam'"),
        ("Lion", "or an import path, package.module:Name"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name_with_the_reason(given: Any, said: str) -> None:
    name = given if isinstance(given, str) else given["name"]
    for package in ("timm", "pytorch_optimizer"):
        if name.startswith(package):
            pytest.importorskip(package)
    with pytest.raises(InputError) as caught:
        parse_named("optimizer", given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_name_is_one_line_of_the_command_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "def helper():\n    raise ValueError('no luck')\n\nhelper()\n", encoding="utf-8"
    )
    axes = {"optimizer": {"values": ["broken:Opt"]}}
    done = sweeps("run", sweep_file(tmp_path, parameters=axes), cwd=tmp_path)
    assert done.returncode == 2
    [line] = done.stderr.strip().splitlines()
    assert "ValueError: no luck (broken.py:4 in <module>, broken.py:2 in helper)" in line
    assert not (tmp_path / "runs").exists()


def test_files_of_ones_own_say_what_they_need_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    done = sweeps("plan", sweep_file(tmp_path, parameters={"optimizer": {"values": ["own:Own"]}}), cwd=tmp_path)
    assert done.returncode == 2
    assert "top is required" in done.stderr


def test_a_signature_gives_names_kinds_and_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "signed.py").write_text(OWN, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = {one.name: one for one in parameters_of(find("optimizer", "signed:Own"), leave_out={"params"})}
    assert {name: one.kind for name, one in found.items()} == {
        "lr": "float",
        "betas": "floats",
        "mode": "text",
        "top": "any",
    }
    assert (found["betas"].length, found["betas"].default, found["top"].default) == (2, [0.5, 0.9], REQUIRED)


@pytest.mark.parametrize("name", ["timm/muon", "timm/lamb"])
def test_what_is_read_back_is_the_same_trial(name: str) -> None:
    pytest.importorskip(name.partition("/")[0])
    trial = parse_trial({"optimizer": name})
    again = parse_trial(json.loads(json.dumps(trial.model_dump())))
    assert (again.trial_id, again.name) == (trial.trial_id, trial.name)


def test_a_description_survives_as_data() -> None:
    parameters = [*(p for entry in OPTIMIZERS.values() for p in entry.parameters)]
    parameters += [Parameter("a", "any", REQUIRED, ""), Parameter("b", "choice", DERIVED, "", choices=("x", "y"))]
    one = Description("optimizer", "x/y", "", tuple(map(parameter_data, parameters)))
    again = Description.from_data(one.as_data())
    assert list(again.parsed_parameters()) == parameters
