"""The next configurations of a search by a model: a pure function of the sweep file and of what is known by now.

    points = propose(spec, told, 8)             # told: what every earlier point came to, in the order of the ledger
    trials = [configure(spec, point) for point in points]                            # sweeps/spec/expand.py
    write_journal(run / "optuna.log", spec, told)            # for people: optuna-dashboard opens it

Nothing is remembered in between: the same told list gives the same points, in any process. Optuna and what its samplers
need are imported when the first point is asked for: a plan does without them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ch6dist.errors import UsageError
from sweeps.spec.axes import Point
from sweeps.spec.sweep_file import SweepSpec

INSTALL = "pip install 'ch6dist[train]'"
NEEDS = {  # by sampler, the packages that it imports; the journal is Optuna's
    "tpe": ("optuna",),
    "gp": ("optuna", "torch", "scipy"),
    "cmaes": ("optuna", "cmaes"),
}
STUDY, EVOLUTION = "sweeps.search.optuna_study", "sweeps.search.evolution"  # by name: they import these packages
PROPOSING = {"tpe": STUDY, "gp": STUDY, "cmaes": EVOLUTION}
JOURNAL = "sweeps.search.journal"


@dataclass(frozen=True)
class Told:
    """What a point came to."""

    point: Point
    value: float | None  # of the sweep's metric, in its own unit and sign, over the point's seeds; None without a score
    state: Literal["finished", "stopped", "diverged", "broken"] = "finished"
    values: Mapping[int, float] = field(default_factory=dict)  # the metric by epoch, where it is known
    name: str = ""  # of the configuration, for the journal
    span: tuple[float, float] = (0.0, 0.0)  # when training began and ended, in seconds since 1970, for the journal


def propose(spec: SweepSpec, told: Sequence[Told], count: int) -> list[Point]:
    """Return `count` different points that were not told, to be trained at once.

    Finished points count by their value. Those stopped early count by their last one, behind the finished ones (gp:
    among them, as it knows no others). Diverged ones are the worst of all, so that the model keeps away from them;
    broken ones say nothing but that they are known. Of cmaes each batch is a generation, which is ranked by itself:
    `told` begins with whole batches, in the order in which they were drawn.
    Raises UsageError where a package is missing, InputError when the axes hold no more points.
    """
    points: list[Point] = _module(PROPOSING[spec.sampler or "tpe"], spec).propose(spec, told, count)
    return points


def write_journal(path: Path, spec: SweepSpec, told: Sequence[Told]) -> None:
    """Write what is told as a journal file of Optuna, in one step; what is told later is appended to the same lines.

    Stopped points are pruned trials there, diverged and broken ones failed trials.
    """
    _module(JOURNAL, spec).write_journal(path, spec, told)


def check_packages(spec: SweepSpec) -> None:
    """Raise UsageError where a package is missing that the sweep's sampler needs."""
    for package in NEEDS[spec.sampler or "tpe"]:
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"method optuna with sampler {spec.sampler} needs {package}, which is not installed", INSTALL
            )


def _module(name: str, spec: SweepSpec) -> Any:
    check_packages(spec)
    return importlib.import_module(name)
