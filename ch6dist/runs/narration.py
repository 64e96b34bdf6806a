"""Describe a ledger's lines while a trial trains: a line per epoch, and what began and ended.

for text in describe(line, trial): print(text)

No torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ch6dist.config import TrialConfig
from ch6dist.runs.columns import SIGNS
from ch6dist.runs.schema import Status


def describe(line: Mapping[str, Any], trial: TrialConfig) -> list[str]:
    """Return the text lines that describe a ledger line."""
    if line["kind"] == "row" and trial.type == "train":
        parts = [f"epoch {line['epoch']}/{trial.epochs}", f"lr {line['lr']:.3g}"]
        for name in ("train_loss", "val_loss", "test_loss"):
            parts += [f"{name} {line[name]:.4f}"] if line.get(name) is not None else []
        for name in ("train_accuracy", "val_accuracy", "test_accuracy"):
            parts += [f"{name} {100 * line[name]:.2f} %"] if line.get(name) is not None else []
        parts += [f"{line[name]} {name.replace('_', ' ')}" for name in SIGNS if line.get(name)]
        return [" · ".join([*parts, f"{line['images_per_second']:.0f} images/s"])]
    if line["kind"] == "status" and line["status"] == Status.RUNNING:
        noun = "worker" if line["workers"] == 1 else "workers"
        where = f"{line['trial']} on {line['device']}, {line['workers']} {noun}, torch {metadata.version('torch')}"
        return [where, *(f"note: {note}" for note in line.get("notes", []))]
    if line["kind"] == "status":
        return [f"{line['status']} {line.get('reason', '')}".strip()]
    if line["kind"] == "artifact" and line["name"] == "range_test":
        return _suggestions(line["value"])
    return []


def _suggestions(value: Mapping[str, Any]) -> list[str]:
    if value["no_signal"]:
        advice = value.get("advice", "the loss falls by no more than its noise")  # older artifacts have none
        return [f"no signal: {advice}"]
    names = ("steepest", "valley", "slide", "minimum")
    texts = [f"{name} {value[name]:.3g}" for name in names if value[name] is not None]
    if value["interval"]:
        texts.append(f"interval {value['interval'][0]:.3g} to {value['interval'][1]:.3g}")
    return ["suggested learning rates: " + ", ".join(texts)]
