"""Where a Ray of ours keeps its own files: found before anything is written, or refused with the cure."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ch6dist.errors import UsageError
from sweeps.on_ray import temporary
from sweeps.on_ray.temporary import BELOW, SOCKET_BYTES, own_token, ray_folder


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR", *temporary.GIVEN):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose path is short enough, the only other choice."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr(temporary, "ELSEWHERE", (folder,))
        yield Path(folder)


@pytest.mark.parametrize("given", ["TMPDIR", "RAY_TMPDIR"])
def test_the_folder_that_would_be_used_anyway_may_be_given(
    short: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    assert ray_folder() == (f"{short}/ray", "")
    monkeypatch.setenv(given, str(short))
    assert ray_folder() == (f"{short}/ray", "")


def test_the_longest_folder_that_leaves_sockets_their_bytes_is_used_and_no_longer_one(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = short / ("x" * (SOCKET_BYTES - len(BELOW) - len(f"{short}//ray")))
    for folder, used in ((fits, fits), (fits.with_name(fits.name + "x"), short)):
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        assert ray_folder()[0] == f"{used}/ray"
    assert "bytes that sockets leave it" in ray_folder()[1]


@pytest.mark.parametrize(("name", "why"), [("nowhere", "is no folder"), ("file", "is no folder"), ("é" * 60, "longer")])
def test_another_folder_is_used_where_the_given_one_cannot_be(
    short: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    (short / "file").touch()
    (short / ("é" * 60)).mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(short / name))
    folder, said = ray_folder()
    assert folder == f"{short}/ray"
    assert said.startswith("RAY_TMPDIR")
    assert why in said


def test_a_full_folder_is_none(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "LEAST_BYTES", 10**18)
    with pytest.raises(UsageError, match=r"has only .* free; set TMPDIR to a short path") as refused:
        ray_folder()
    assert "\n" not in str(refused.value)


def test_a_home_that_can_keep_a_token_is_left_to_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert own_token() == {}


@pytest.mark.parametrize("home", ["/proc/none", "/dev/null", "relative"])
def test_without_a_home_ray_gets_a_token_of_its_own(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    assert len(own_token()["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/some/file")
    assert own_token() == {}, "a person's choice stays"
    assert not os.path.exists("relative")
