"""What a person sees of a sweep, and what the driver remembers of its trials."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ch6dist.runs.schema import Status
from sweeps.driver import trial_table
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import TrialTable
from sweeps.wire.messages import Pace


@pytest.mark.parametrize(("epochs", "failures"), [([3, 3, 3], [1, 2, 3]), ([3, 5, 4, 5, 6], [1, 1, 2, 3, 1])])
def test_a_failure_counts_against_a_trial_unless_it_got_further_than_ever(
    epochs: list[int], failures: list[int]
) -> None:
    table = TrialTable({"a": {"type": "train", "epochs": 9}})
    found = []
    for epoch in epochs:
        table.entries["a"].epoch = epoch
        found.append(table.count_failure("a"))
    assert found == failures


EPOCHS = {"type": "train", "epochs": 4, "data": {"train_size": 1000}}


def running(table: TrialTable) -> TrialTable:
    table.take([{"kind": "status", "trial": trial, "status": "running", "attempt": 1} for trial in table.entries])
    return table


def pace(step: int, speed: float = 500.0) -> Pace:
    return Pace(("a", "b"), step=step, steps=10, images_per_second=speed)


def test_the_time_to_go_of_a_trial_counts_the_part_of_its_epoch_and_the_lanes_beside_it() -> None:
    table = running(TrialTable({"a": EPOCHS, "b": EPOCHS, "c": EPOCHS}))
    assert table.entries["a"].remaining_seconds is None
    table.take_pace(pace(5))
    assert table.entries["a"].remaining_seconds == 3.5 * 1000 * 2 / 500
    assert table.paces()["b"] == {"step": 5, "steps": 10, "images_per_second": 500.0, "remaining_seconds": 14.0}
    assert list(table.paces()) == ["a", "b"]
    assert table.remaining_seconds() is not None, "before the first epoch is done"
    table.take_pace(pace(0, speed=0.0))
    assert table.entries["a"].remaining_seconds is None


def test_the_time_to_go_counts_from_the_first_trial_whatever_begins_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(trial_table.time, "monotonic", lambda: now[0])
    table = TrialTable({"a": EPOCHS, "b": EPOCHS, "c": EPOCHS})
    begins = {"kind": "status", "status": "running", "attempt": 1}
    now[0] = 105.0  # Ray has started
    table.take([{**begins, "trial": "a"}, {**begins, "trial": "b"}])
    table.take_pace(pace(5))
    now[0] = 115.0
    table.take([{**begins, "trial": "c"}])
    assert table.remaining_seconds() == (12 - 1) * 10.0


def test_a_late_word_of_a_trial_that_has_ended_is_not_taken() -> None:
    table = TrialTable({"a": EPOCHS, "b": EPOCHS})
    table.entries["a"].status = Status.RUNNING
    table.entries["b"].status = Status.DIVERGED
    table.take_pace(pace(10))
    assert list(table.paces()) == ["a"]


def test_a_row_ends_the_progress_of_its_epoch() -> None:
    table = running(TrialTable({"a": EPOCHS, "b": EPOCHS}))
    table.take_pace(pace(10))
    assert table.entries["a"].part == 1.0
    table.take([{"kind": "row", "trial": "a", "epoch": 1}])
    assert (table.entries["a"].part, table.entries["b"].part) == (0.0, 1.0)
    table.take([{"kind": "status", "trial": "b", "status": "failed", "attempt": 1}])
    assert table.paces() == {}


def test_the_live_table_fits_a_terminal_of_80_by_24_whatever_happens() -> None:
    long = "sgd-momentum0.9-nesterov-weight_decay0.0005-lr0.000316-cosine-s11-0123abcd"
    names = [f"{long}{n}" if n < 30 else f"adam{n}" for n in range(40)]
    config = {"type": "train", "epochs": 100_000, "data": {"train_size": 50_000}}
    table = TrialTable(dict.fromkeys(names, config))
    for name in names[:30]:
        table.entries[name].status = Status.RUNNING
    table.take_pace(Pace(tuple(names[:30]), step=351, steps=352, images_per_second=123_456.7))
    for number, entry in enumerate(table.entries.values()):
        entry.status, entry.epoch = (Status.RUNNING, 99_999) if number < 30 else (Status.FAILED, 3)
        entry.reason = "RuntimeError: [/red] a\nreason\nin " + 9 * "very " + "many words"
        entry.last = {"lr": 3.16e-4, "train_loss": 4.6, "val_accuracy": None}
    table.epochs_done = 7
    console = Console(width=80, height=24, record=True, file=io.StringIO(), soft_wrap=True)
    progress = Progress(table, console, title="tiny")
    progress.doing = ""
    console.print(progress.view())
    lines = console.export_text().splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) < 80
    assert sum(line.split()[1:4] == ["99999/100000", "351/352", "123,457"] for line in lines) == 12
    assert "[/red] a reason in very" in console.file.getvalue()  # type: ignore[attr-defined]
