"""The folder of a look at a network: network.json, network.npz, and a CSV file per table; see docs/network.md.

write_view(view, Path("out/network"))      # Path("out/network/network.json"), which is written last
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ch6dist.catalog.labels import label_all
from ch6dist.catalog.look import ARRAYS, FORMAT, INDEX, KIND, TABLES, WITH_SUPERCLASSES
from ch6dist.errors import UsageError
from ch6dist.look.scores import class_rows, pair_rows, superclass_rows
from ch6dist.look.view import CHANNELS, FILTERS, MAPS, View
from ch6dist.runs.provenance import command_line, git_commit, versions
from ch6dist.storage.atomic import replace_file

Row = tuple[Any, ...]


def write_view(view: View, folder: Path) -> Path:
    """Write all files into `folder` and return the path of network.json, without which the others are nothing.

    UsageError if the folder cannot be written.
    """
    tables = {name: _csv(list(TABLES[name]), rows) for name, rows in _tables(view).items()}
    index = json.dumps(_index(view, list(tables)), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    arrays = _arrays(view)
    try:
        (folder / INDEX).unlink(missing_ok=True)
        (folder / WITH_SUPERCLASSES).unlink(missing_ok=True)  # of another data set, looked at before
        for name, content in tables.items():
            replace_file(folder / name, content)
        replace_file(folder / ARRAYS, arrays)
        replace_file(folder / INDEX, index)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", "choose another folder with -o") from None
    return folder / INDEX


def _tables(view: View) -> dict[str, Iterable[Row]]:
    classes = view.names.classes
    found: dict[str, Iterable[Row]] = {
        "layers.csv": [
            (
                name,
                layer.kind,
                "×".join(map(str, layer.saturation.shape)),
                math.prod(layer.saturation.shape),
                layer.parameters,
                layer.moved,
                layer.saturation.zeros_share,
                layer.saturation.saturated,
                layer.low,
                layer.high,
            )
            for name, layer in view.layers.items()
        ],
        "images.csv": [
            (number, classes[true], classes[predicted], probability)
            for number, (true, predicted, probability) in enumerate(view.answers, start=1)
        ],
        "augmented.csv": view.augmented.rows,
        "classes.csv": class_rows(view.confusion, view.names, view.coarse),
        "pairs.csv": pair_rows(view.confusion, view.names, view.coarse),
    }
    if view.coarse is not None:
        found[WITH_SUPERCLASSES] = superclass_rows(view.confusion, view.names, view.coarse)
    return found


def _csv(heads: list[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Return a number with all its digits; nothing for what is not there."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return "" if value is None else value


def _arrays(view: View) -> bytes:
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        "images": view.images,
        "samples": view.samples.images.numpy(),
        "samples_found": view.samples.found.numpy(),
        "augmented": view.augmented.images.numpy(),
        "confusion": view.confusion.astype(np.int32),
    }
    for name, layer in view.layers.items():
        if layer.filters is not None:
            arrays[f"filters.{name}"] = layer.filters
        if layer.maps is not None:
            arrays[f"maps.{name}"] = layer.maps
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _index(view: View, tables: list[str]) -> dict[str, Any]:
    subject, config = view.subject, view.subject.trial.model_dump()
    return {
        "format": FORMAT,
        "kind": KIND,
        "run": subject.run,
        "trial": subject.trial_id,
        "label": str(label_all([config]).labels[0]),
        "model": config["model"],
        "data": {
            "name": subject.dataset.name,
            "synthetic": subject.dataset.synthetic,
            "classes": len(view.names.classes),
            "superclasses": len(view.names.superclasses),
            "train_size": subject.trial.data.train_size,
            "augment": subject.trial.data.augment,
        },
        "checkpoint": {"name": subject.checkpoint, "epoch": subject.epoch, "epochs": subject.trial.epochs},
        "split": view.split,
        "images": int(view.confusion.sum()),
        "correct": int(view.confusion.trace()),
        "accuracy": view.accuracy,
        "recorded_accuracy": recorded_accuracy(view),
        "notes": notes(view),
        "filters": {n: list(layer.filters_shape) for n, layer in view.layers.items() if layer.filters is not None},
        "kept": {"filters": FILTERS, "channels": CHANNELS, "maps": MAPS},
        "tables": {name: TABLES[name] for name in tables},
        "made": {"command": command_line(), "git_commit": git_commit(), "versions": versions()},
    }


def recorded_accuracy(view: View) -> float | None:
    """Return the accuracy that the ledger has of the checkpoint's epoch on the split; None where it has none."""
    value = view.subject.row.get(f"{view.split}_accuracy")
    return None if value is None else float(value)


def notes(view: View) -> list[str]:
    """Return what a person should know before using the numbers."""
    found, recorded = [], recorded_accuracy(view)
    if view.split == "test" and not view.subject.is_final:
        found.append(
            "warning: this is no final training, and its test images have been looked at now: choose nothing by them, "
            "or the test accuracy of what is chosen will be too good"
        )
    if view.split == "val" and view.subject.checkpoint == "best":
        found.append("this checkpoint was chosen by its validation accuracy, which is therefore a little too good")
    if recorded is not None and abs(recorded - view.accuracy) > 1e-9:
        found.append(
            f"the ledger has an accuracy of {recorded:.4f}, here it is {view.accuracy:.4f}: another device or version "
            "rounds otherwise"
        )
    if view.coarse is None:
        found.append(f"{view.subject.dataset.name} has no superclasses: nothing is said of them")
    if view.subject.trial.data.augment == "none":
        found.append("the trial augments nothing: every epoch sees its images as they are")
    return found
