"""docs/export.md: its blocks of Python run as they stand, against stand-ins that note what they are told."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ch6dist.runs.ledger import read
from tests.support.ledgers import trial, write_ledger
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "export.md"
BLOCKS = dict(re.findall(r"^```python (\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
TRIALS = [
    trial("SGD", lr=0.1, curve=[0.1, 0.2]),
    trial("Adam", lr=1e-3, curve=[0.3, None], status="diverged", epochs=2),
    trial("Adam", lr=1e-4, status=None),
]


class StandIn(types.ModuleType):
    """A module of whose names each can be called, used as a context, or set; it notes the calls."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.summary: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **named: Any) -> StandIn:
            self.calls.append((name, arguments, named))
            return self

        return call

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(arguments, named) for called, arguments, named in self.calls if called == name]


def run_block(name: str, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    module = StandIn(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(BLOCKS[name], f"{PAGE.name}: {name}", "exec"), {"__name__": "__main__"})
    return module


@pytest.fixture
def demo(in_tmp_path: Path) -> Path:
    write_ledger(in_tmp_path / "runs" / "demo", TRIALS)
    return in_tmp_path / "runs" / "demo"


def test_there_is_a_reader_for_each_and_it_is_short() -> None:
    assert set(BLOCKS) == {"mlflow", "wandb"}
    assert all(len(block.splitlines()) <= 16 for block in BLOCKS.values())


def test_mlflow_is_told_every_row_of_every_trial(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, ledger = run_block("mlflow", monkeypatch), read(demo)
    assert [named["run_name"] for _, named in told.of("start_run")] == list(ledger.trials)
    assert [arguments[0]["name"] for arguments, _ in told.of("log_params")] == ["SGD", "Adam", "Adam"]
    assert [arguments for arguments, _ in told.of("set_tag")][1] == ("status", "diverged")
    metrics = [(arguments[0].get("val_accuracy"), named["step"]) for arguments, named in told.of("log_metrics")]
    assert metrics == [(row["val_accuracy"], row["epoch"]) for rows in ledger.rows_by_trial().values() for row in rows]
    assert not any(value is None for arguments, _ in told.of("log_metrics") for value in arguments[0].values())


def test_weights_and_biases_is_told_every_row_of_every_trial(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, ledger = run_block("wandb", monkeypatch), read(demo)
    assert [named["name"] for _, named in told.of("init")] == list(ledger.trials)
    assert {named["project"] for _, named in told.of("init")} == {"twelve"}
    logged = [(arguments[0]["val_loss"], named["step"]) for arguments, named in told.of("log")]
    assert logged == [(row["val_loss"], row["epoch"]) for rows in ledger.rows_by_trial().values() for row in rows]
    assert told.summary == {"status": "planned"}, "the last trial's"
