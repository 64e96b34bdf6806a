"""A path that a person gives means one thing: `~` is the home folder, and the rest is relative to where it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ch6dist.catalog.dataset_files import adopt_data_root, data_root
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.runs.folders import find_run, home_of, runs_root
from ch6dist.storage.files import check_storage
from ch6dist.yamlfile import read_mapping
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump
from tests.support.sweep_files import sweep, write


@pytest.fixture
def home(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make HOME a folder beside the working directory."""
    folder = in_tmp_path / "home"
    folder.mkdir()
    (in_tmp_path / "here").mkdir()
    monkeypatch.chdir(in_tmp_path / "here")
    monkeypatch.setenv("HOME", str(folder))
    return folder


def meanings(path: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every place where a path is given, and what it means there."""
    found: dict[str, Any] = {
        "runs": runs_root(path),
        "data.root": data_root(path),
        "a trial's data.root": parse_trial({"data": {"root": path}}).data.root,
        "storage": check_storage(path),
        "home_of": runs_root(home_of(None, check_storage(path))),
    }
    monkeypatch.setenv("CH6DIST_RUNS", path)
    monkeypatch.setenv("CH6DIST_DATA", path)
    return {
        key: Path(value) for key, value in (found | {"CH6DIST_RUNS": runs_root(), "CH6DIST_DATA": data_root()}).items()
    }


@pytest.mark.parametrize("path", ["~/x", "~", "x", "./x/../y", "."])
def test_a_path_means_the_same_wherever_it_is_given(path: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Path(path.replace("~", str(home))) if path.startswith("~") else Path.cwd() / path
    assert set(meanings(path, monkeypatch).values()) == {expected}
    assert expected.is_absolute()


def test_a_url_stays_as_it_is() -> None:
    assert check_storage("s3://bucket/x") == "s3://bucket/x"


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "a\0b"])
def test_what_can_be_no_path_is_refused_by_its_key(path: str) -> None:
    with pytest.raises(InputError, match=r"^--runs: .* is not allowed"):
        runs_root(path)
    with pytest.raises(InputError, match=r"^data\.root: .* is not allowed"):
        parse_trial({"data": {"root": path}})


def test_a_run_and_a_file_are_found_by_a_path_with_a_tilde(home: Path) -> None:
    (home / "runs" / "one" / "ledger").mkdir(parents=True)
    (home / "trial.yaml").write_text("epochs: 3\n")
    assert find_run("~/runs/one") == find_run("one", root="~/runs") == home / "runs" / "one"
    assert read_mapping("~/trial.yaml") == {"epochs": 3}


def test_a_run_that_is_the_working_directory_has_its_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "one" / "ledger").mkdir(parents=True)
    monkeypatch.chdir(home / "one")
    assert find_run(".").name == "one"


def test_a_sweep_read_again_from_another_folder_has_its_data_and_storage_where_they_were(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"name": "mnist", "root": "~/data"}
    contents = [
        sweep(storage="kept", trial={"data": data}),
        sweep(storage="kept", parameters={"data": {"values": [{**data, "root": "../home/data"}]}}),
        sweep(storage="kept", trial={"data": {"name": "mnist"}}, parameters={"data.root": ["~/data"]}),
    ]
    for content in contents:
        monkeypatch.chdir(home.parent / "here")
        spec = load_spec(write(home, content))
        monkeypatch.chdir(home)
        again = load_spec(write(home, dump(spec)))
        assert again == spec
        assert Path(str(again.storage)) == home.parent / "here" / "kept"
        assert {Path(str(trial.data.root)).resolve() for trial in expand(again)} == {home / "data"}


def test_where_the_data_is_changes_no_id(home: Path) -> None:
    ids = {parse_trial({"data": {"root": root}} if root else {}).trial_id for root in ("~/a", "b", "/c", None)}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("own", "expected"), [("/own", "/own"), ("own", "/driver"), ("", "/driver"), (None, "/driver")]
)
def test_a_worker_takes_the_driver_s_data_root_unless_its_host_has_an_absolute_one(
    own: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CH6DIST_DATA", raising=False)
    if own is not None:
        monkeypatch.setenv("CH6DIST_DATA", own)
    adopt_data_root("/driver")
    assert data_root() == Path(expected)
