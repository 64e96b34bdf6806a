"""Event files read back byte by byte: every row is there once, at its epoch, whatever was trained again."""

from __future__ import annotations

import math
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from ch6dist.errors import UsageError
from ch6dist.runs import lease
from ch6dist.runs.ledger import read
from ch6dist.runs.writer import Writer
from sweeps.export.tensorboard import SCALARS, Board, export
from tests.support.ledgers import trial, write_ledger
from tests.support.namespaces import wait_for
from tests.support.runs import raw_lines

TRIALS = [
    trial("SGD", lr=0.1, curve=[0.1, 0.2, 0.3]),
    trial("SGD", lr=0.01, curve=[0.2, 0.4, 0.6]),
    trial("Adam", lr=1e-3, curve=[0.3, None], status="diverged", epochs=3),
    trial("Adam", lr=1e-4, status=None, epochs=3),
]


def crc32c(data: bytes) -> int:
    """The checksum of event files, bit by bit (Castagnoli's polynomial)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(path: Path) -> Iterator[Event]:
    """The events of a file, whose lengths and checksums must be right."""
    data = path.read_bytes()
    while data:
        (length,), (check,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        assert check == masked(data[:8])
        content, data = data[12 : 12 + length], data[12 + length :]
        assert struct.unpack("<I", data[:4])[0] == masked(content)
        data = data[4:]
        yield Event.FromString(content)


def seen(folder: Path) -> dict[str, dict[int, tuple[float, float]]]:
    """What a viewer shows of a trial, by name and step: value and time. A restart hides what was from its step on."""
    shown: dict[str, dict[int, tuple[float, float]]] = {}
    for path in sorted(folder.iterdir()):
        for event in events(path):
            if event.session_log.status == SessionLog.START:
                shown = {tag: {s: v for s, v in found.items() if s < event.step} for tag, found in shown.items()}
            for value in event.summary.value:
                if not value.tag.startswith("_hparams_"):
                    assert event.step not in shown.setdefault(value.tag, {}), "a point that is there twice"
                    shown[value.tag][event.step] = (value.simple_value, event.wall_time)
    return shown


def assert_shows(folder: Path, run: Path) -> None:
    """Every row that counts is shown, and nothing else."""
    ledger = read(run)
    for name, rows in ledger.rows_by_trial().items():
        shown = seen(folder / name) if rows else {}
        expected = {
            column: {row["epoch"]: row[column] for row in rows if row.get(column) is not None} for column in SCALARS
        }
        for column, points in expected.items():
            finite = {step: value for step, (value, _) in shown.get(column, {}).items() if not math.isnan(value)}
            assert finite == pytest.approx(points, rel=1e-6), f"{name} {column}"
        for row in (row for row in rows if "time" in row):
            assert shown["train_loss"][row["epoch"]][1] == pytest.approx(row["time"])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_ledger(tmp_path / "run", TRIALS)
    return tmp_path / "run"


def test_every_row_of_every_trial_is_there_once(run: Path, tmp_path: Path) -> None:
    assert export(run, tmp_path / "board") == 8
    assert_shows(tmp_path / "board", run)
    assert len(list((tmp_path / "board").iterdir())) == 3, "a trial without rows has no folder"


def test_a_second_export_replaces_the_first_and_nothing_else(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "board")
    other = tmp_path / "board" / next(iter(read(run).trials)) / "events.out.tfevents.1.mine"
    other.write_bytes(b"")
    assert export(run, tmp_path / "board") == 8
    assert other.exists()
    assert_shows(tmp_path / "board", run)


def test_a_loss_that_is_not_finite_is_seen_as_such(run: Path, tmp_path: Path) -> None:
    diverged = next(name for name, line in read(run).statuses.items() if line["status"] == "diverged")
    assert [row for row in raw_lines(run, "row") if row["trial"] == diverged][-1]["val_loss"] is None
    export(run, tmp_path / "board")
    assert math.isnan(seen(tmp_path / "board" / diverged)["val_loss"][2][0])


def test_hyperparameters_are_what_differs_between_the_trials(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "board")
    found: dict[str, dict[str, Any]] = {}
    for folder in (tmp_path / "board").iterdir():
        values = [v for path in folder.iterdir() for event in events(path) for v in event.summary.value]
        (start,) = [v for v in values if v.tag == "_hparams_/session_start_info"]
        given = HParamsPluginData.FromString(start.metadata.plugin_data.content).session_start_info.hparams
        found[folder.name] = {key: v.string_value or v.number_value for key, v in given.items()}
    assert {config["optimizer.name"] for config in found.values()} == {"SGD", "Adam"}
    assert {config["optimizer.lr"] for config in found.values()} == {0.1, 0.01, 1e-3}
    assert not any("model.name" in config for config in found.values())


def again(run: Path, rows: list[dict[str, Any]], **changes: Any) -> None:
    """Append rows to a run as a further driver does."""
    with Writer(run) as writer:
        writer.append([{**row, "time": row.get("time", 0.0) + 1000, **changes} for row in rows])


@pytest.mark.parametrize("changes", [{}, {"attempt": 2}])
def test_epochs_that_were_trained_again_replace_those_of_before(
    changes: dict[str, Any], run: Path, tmp_path: Path
) -> None:
    board = Board(tmp_path / "board")
    board.update(read(run))
    name = raw_lines(run, "row")[0]["trial"]
    rows = [row for row in raw_lines(run, "row") if row["trial"] == name]
    again(run, rows[0 if changes else 1 : 2], val_accuracy=0.77, **changes)
    board.update(read(run))
    board.close()
    assert_shows(tmp_path / "board", run)
    assert seen(tmp_path / "board" / name)["val_accuracy"][2][0] == pytest.approx(0.77)


def test_a_run_is_followed_until_its_driver_has_ended(tmp_path: Path) -> None:
    run, board = tmp_path / "run", tmp_path / "board"
    write_ledger(run, [trial("SGD", lr=0.1, curve=[0.1], status="running", epochs=3)])
    (row,) = raw_lines(run, "row")
    with lease.hold(run):
        how = {"follow": True, "look_seconds": 0.05}
        following = threading.Thread(target=export, args=(run, board), kwargs=how, daemon=True)
        following.start()
        for epoch in (2, 3):
            again(run, [row], epoch=epoch, step=100 * epoch, val_accuracy=epoch / 10)
            wait_for(lambda epoch=epoch: len(seen_while_written(board / row["trial"])) == epoch, seconds=60)
    following.join(timeout=10)
    assert not following.is_alive()
    assert_shows(board, run)
    assert len(list((board / row["trial"]).iterdir())) == 1, "one file, as nothing was trained again"


def seen_while_written(folder: Path) -> dict[int, Any]:
    """What is whole of a file that is being written."""
    try:
        return seen(folder).get("val_accuracy", {})
    except (struct.error, AssertionError, FileNotFoundError):
        return {}


def test_a_folder_that_cannot_be_made_is_said_in_a_line(run: Path, tmp_path: Path) -> None:
    (tmp_path / "board").write_text("")
    with pytest.raises(UsageError, match="cannot write"):
        export(run, tmp_path / "board")
