"""A preset is a named set of changes in the sweep file: taken by `preset=NAME`, checked before, and another sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.errors import InputError
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump
from tests.support.commands import TINY
from tests.support.sweep_files import CONFIGS


def file(folder: Path, **presets: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "presets": presets}))
    return path


def test_a_preset_changes_what_the_same_keys_change_on_the_command_line(tmp_path: Path) -> None:
    changes = {"epochs": 5, "data.train_size": 128, "optimizer.lr": [0.3], "seeds": 2, "metric.name": "val_loss"}
    path = file(tmp_path, small=changes)
    typed = load_spec(path, ["name=tiny-small", *(f"{key}={value}" for key, value in changes.items())])
    assert load_spec(path, ["preset=small"]) == typed


def test_without_being_asked_for_a_preset_changes_nothing_and_is_not_recorded(tmp_path: Path) -> None:
    (plain := tmp_path / "plain").mkdir()
    spec = load_spec(file(tmp_path, small={"epochs": 1}))
    assert spec == load_spec(file(plain))
    assert "presets" not in dump(spec)
    assert "presets" not in dump(load_spec(tmp_path / "tiny.yaml", ["preset=small"]))


def test_a_preset_that_changes_something_has_a_name_of_its_own(tmp_path: Path) -> None:
    path = file(tmp_path, small={"epochs": 1}, named={"name": "other", "epochs": 1}, full={})
    names = {name: load_spec(path, [f"preset={name}"]).name for name in ("small", "named", "full")}
    assert names == {"small": "tiny-small", "named": "other", "full": "tiny"}


@pytest.mark.parametrize("order", [["preset=small", "epochs=7"], ["epochs=7", "preset=small"]])
def test_other_keys_win_over_the_preset_wherever_it_stands(order: list[str], tmp_path: Path) -> None:
    path = file(tmp_path, small={"epochs": 1, "seeds": 3})
    trials = expand(load_spec(path, order), file=str(path))
    assert {trial.epochs for trial in trials} == {7}
    assert {trial.seed for trial in trials} == {0, 1, 2}


@pytest.mark.parametrize(
    ("presets", "asked", "said"),
    [
        ({"small": {"epochs": 1}}, ["preset=smal"], "preset: 'smal' is not allowed.*small"),
        ({}, ["preset=small"], "no presets"),
        ({"a": {}, "b": {}}, ["preset=a", "preset=b"], "one preset"),
        ({"small": {"epoch": 1}}, [], "presets.small.*epochs"),  # said although it is not taken
        ({"small": {"epochs": -1}}, ["preset=small"], "-1"),
        ({"small": {"presets": {}}}, [], "presets"),
        ({"small": {"optimizer.lr.values": [1]}}, [], "presets.small"),
        ({"small": [1]}, [], "presets.small"),
        ({"a b": {"epochs": 1}}, [], "presets.a b"),
        ({"small": {"epochs": 1}}, ["presets.small.epochs=2"], "presets"),
    ],
)
def test_a_wrong_preset_is_one_line(presets: dict[str, Any], asked: list[str], said: str, tmp_path: Path) -> None:
    path = file(tmp_path, **presets)
    with pytest.raises(InputError, match=said):
        expand(load_spec(path, asked), file=str(path))


def test_every_preset_of_the_ready_sweeps_can_be_planned_and_full_is_the_file() -> None:
    taken = 0
    for path in CONFIGS:
        for name in yaml.safe_load(path.read_text()).get("presets", {}):
            spec = load_spec(path, [f"preset={name}"])
            trials = expand(spec, file=str(path))
            whole = expand(load_spec(path), file=str(path))
            assert (trials == whole) if name == "full" else sum(t.epochs for t in trials) < sum(t.epochs for t in whole)
            taken += 1
    assert taken >= 14
