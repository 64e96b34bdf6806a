"""The folder of a visit to the laboratory: lab.json, and a CSV file per table; docs/lab.md says what is in them.

write_lab(laboratory, Path("out/lab"))      # Path("out/lab/lab.json"), which is written last
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ch6dist.catalog.lab import COMPARISONS, FORMAT, INDEX, KIND, TABLES, columns
from ch6dist.errors import UsageError
from ch6dist.lab.laboratory import Laboratory
from ch6dist.lab.phase import STEPS
from ch6dist.lab.tables import ROWS
from ch6dist.runs.provenance import command_line, git_commit, versions
from ch6dist.storage.atomic import replace_file


def write_lab(lab: Laboratory, folder: Path) -> Path:
    """Write all files into `folder` and return the path of lab.json, without which the others are nothing.

    UsageError if the folder cannot be written.
    """
    tables = {name: _csv(list(columns(name, lab.problem.parameters)), rows(lab)) for name, rows in ROWS.items()}
    index = json.dumps(_index(lab), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        (folder / INDEX).unlink(missing_ok=True)
        for name, content in tables.items():
            replace_file(folder / name, content)
        replace_file(folder / INDEX, index)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", "choose another folder with -o") from None
    return folder / INDEX


def _csv(heads: list[str], rows: Iterable[tuple[Any, ...]]) -> str:
    """Return a table as text: numbers with all their digits, nothing for what is not there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):  # numpy's too
        return "" if np.isnan(value) else repr(float(value))
    return "" if value is None else value


def _index(lab: Laboratory) -> dict[str, Any]:
    problem = lab.problem
    optimum = problem.train.optimum()
    return {
        "format": FORMAT,
        "kind": KIND,
        "problem": {
            "name": problem.name,
            "settings": dict(problem.settings),
            "parameters": list(problem.parameters),
            "start": list(problem.start),
            "optimum": [float(value) for value in optimum],
            "smallest_loss": float(problem.train.loss(optimum)),
            "window": list(problem.window),
            "eigenvalues": list(problem.eigenvalues()),
            "train_points": len(problem.train.targets),
            "val_points": len(problem.validation.targets),
            "batch_size": problem.batch_size,
            "steps_per_epoch": problem.steps_per_epoch,
            "seed": problem.seed,
        },
        "paths": [_path(lab, name) for name in lab.paths],
        "comparisons": [
            {"name": name, "question": COMPARISONS[name].question, "paths": paths}
            for name, paths in lab.plan.comparisons.items()
        ],
        "phase": {
            "eigenvalues": list(lab.diagram.eigenvalues),
            "best": {"alpha": lab.best.alpha, "beta": lab.best.beta, "radius": lab.best.radius},
            "cells": int(np.prod(lab.diagram.radius.shape[:2])),
            "agreement": lab.diagram.agreement(),
            "steps": STEPS,
        },
        "tables": {name: columns(name, problem.parameters) for name in TABLES},
        "made": {"command": command_line(), "git_commit": git_commit(), "versions": versions()},
    }


def _path(lab: Laboratory, name: str) -> dict[str, Any]:
    path, optimum = lab.paths[name], lab.problem.train.optimum()
    distances = np.hypot(*(path.parameters[[0, -1]] - optimum).T)
    return {
        "name": name,
        "optimizer": path.config.optimizer,
        "schedule": path.config.schedule,
        "epochs": path.config.epochs,
        "steps": len(path.lrs),
        "diverged": path.diverged,
        "distance_at_start": float(distances[0]),
        "distance_at_end": float(distances[1]),
        "loss_at_end": float(path.losses[-1]),
    }
