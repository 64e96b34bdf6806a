"""Calibrations: speeds of this machine, saved between commands."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sweeps.plan.calibration import calibration_file, read_calibration, record_calibration


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return calibration_file()


def test_speeds_are_kept_by_device_and_model(cache: Path) -> None:
    assert read_calibration() == {}
    record_calibration("CPU/lenet5", 9000)
    record_calibration("H200/lenet5", 1e6)
    record_calibration("CPU/lenet5", 9500)
    assert read_calibration() == {"CPU/lenet5": 9500.0, "H200/lenet5": 1e6}
    assert [path.name for path in cache.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"a": "quick"}', '{"a": -1}', '{"a": NaN}', "\x00"])
def test_a_damaged_file_is_ignored_with_a_warning_and_replaced(
    cache: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert read_calibration() == {}
    assert "ignored" in caplog.text
    record_calibration("CPU/lenet5", 9000)
    assert read_calibration() == {"CPU/lenet5": 9000.0}


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    record_calibration("CPU/lenet5", 9000)
    assert "not kept" in caplog.text
