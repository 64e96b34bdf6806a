"""What a person sees of a sweep, and what the driver remembers of its trials."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ch6dist.runs.schema import Status
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import TrialTable


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


def test_the_live_table_fits_a_terminal_of_80_by_24_whatever_happens() -> None:
    long = "sgd-momentum0.9-nesterov-weight_decay0.0005-lr0.000316-cosine-s11-0123abcd"
    names = [f"{long}{n}" if n < 30 else f"adam{n}" for n in range(40)]
    table = TrialTable({name: {"type": "train", "epochs": 100_000} for name in names})
    for number, entry in enumerate(table.entries.values()):
        entry.status, entry.epoch = (Status.RUNNING, 99_999) if number < 30 else (Status.FAILED, 3)
        entry.reason = "RuntimeError: [/red] a\nreason\nin " + 9 * "very " + "many words"
        entry.last = {"lr": 3.16e-4, "train_loss": 4.6, "val_accuracy": None}
    table.epochs_done = 7
    console = Console(width=80, height=24, record=True, file=io.StringIO(), soft_wrap=True)
    console.print(Progress(table, console, title="tiny").view())
    lines = console.export_text().splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) < 80
    assert "[/red] a reason in very" in console.file.getvalue()  # type: ignore[attr-defined]
