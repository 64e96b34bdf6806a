"""What a person asks of the laboratory, checked as a whole before anything is computed or written.

visit_lab("valley:condition=50", ["Adam:lr=0.05,betas=[0.8, 0.999]"], epochs="10", lr=None, folder=folder)
split_settings("SGD:momentum=0.9,schedule={name: StepLR, step_size: 4}")    # ('SGD', {'momentum': 0.9, …})
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ch6dist.catalog.lab import EPOCHS, LR, PROBLEMS
from ch6dist.config import TrialConfig
from ch6dist.errors import InputError, unknown_name
from ch6dist.lab.comparisons import plan_runs, trial_of
from ch6dist.lab.laboratory import visit
from ch6dist.lab.output import write_lab
from ch6dist.lab.problems import Problem, build_problem
from ch6dist.yamlfile import parse_override

BRACKETS = {"[": 1, "{": 1, "]": -1, "}": -1}


def visit_lab(problem: str, optimizers: Sequence[str], *, epochs: str, lr: str | None, folder: Path) -> Path:
    """Compute all paths of a problem, write them into `folder`, and return the path of its lab.json.

    Args:
        problem: a name, with settings behind a colon.
        optimizers: the same of each chosen optimizer; `schedule` is one of its settings. Empty: all of the catalog.
        epochs, lr: as typed; lr None: that of the book.

    InputError for what is not allowed, before anything is written; UsageError if the folder cannot be written.
    """
    num_epochs, given = EPOCHS.parse(epochs), None if lr is None else LR.parse(lr)
    chosen = [read_optimizer(text, epochs=num_epochs, lr=given) for text in optimizers]
    found = read_problem(problem)
    return write_lab(visit(found, plan_runs(chosen=chosen, epochs=num_epochs, lr=given)), folder)


def read_problem(text: str) -> Problem:
    """Return the problem that `NAME` or `NAME:key=value,…` means."""
    name, settings = split_settings(text)
    if name not in PROBLEMS:
        raise unknown_name("PROBLEM", name, PROBLEMS)
    try:
        return build_problem(name, PROBLEMS[name].resolve(settings))
    except InputError as error:
        raise error.in_file(f"PROBLEM {text}") from None


def read_optimizer(text: str, *, epochs: int, lr: float | None) -> TrialConfig:
    """Return the configuration that `NAME` or `NAME:key=value,…` means, with `schedule` among its keys."""
    name, settings = split_settings(text)
    schedule = settings.pop("schedule", "none")
    file = f"--optimizer {text}"
    return trial_of({**settings, "name": name}, epochs=epochs, lr=lr, schedule=schedule, file=file)


def split_settings(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and settings of `NAME:key=value,…`; a comma within brackets belongs to its value."""
    name, colon, rest = text.partition(":")
    settings: dict[str, Any] = {}
    for part in _parts(rest) if colon else []:
        key, value = parse_override(part)
        if key in settings:
            raise InputError(key, value, f"once in {text}")
        settings[key] = value
    return name.strip(), settings


def _parts(text: str) -> list[str]:
    """Return the parts between commas that stand outside of brackets."""
    parts, depth = [""], 0
    for piece in re.split(r"([\[\]{},])", text):
        depth += BRACKETS.get(piece, 0)
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts
