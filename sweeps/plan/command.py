"""`sweeps plan`: from a sweep file to its plan.

make = planner(path, ["epochs=2"])      # whatever is wrong with the file is raised here
plan = make([visible_devices()])        # again, when speeds have been measured
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ch6dist.errors import UsageError
from ch6dist.runs.folders import find_run
from sweeps.plan.calibration import read_calibration
from sweeps.plan.course import shared_branches
from sweeps.plan.expected import Expected
from sweeps.plan.packs import check_packs
from sweeps.plan.plan import Plan, make_plan
from sweeps.plan.slots import Hosts
from sweeps.spec.expand import forecast
from sweeps.spec.load import load_spec

RECORDED = "sweeps.plan.recorded"  # by name: what decides a whole sweep takes longer to import than a plan to make


def planner(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    packs: str | int = "auto",
    runs: Path | None = None,
    recorded: str | None = None,
) -> Callable[[Hosts], Plan]:
    """Return what makes the plan of a sweep file for hosts.

    Args:
        runs: folder that holds run folders.
        recorded: a run on whose curves early stopping is rehearsed; None: the rule alone says what it saves.

    Raises InputError for a file that is no sweep, and a run that is not there; UsageError where nothing is to rehearse.
    """
    spec, chosen = load_spec(path, overrides), check_packs(packs)
    trials = forecast(spec, file=str(path))
    run = None if recorded is None else find_run(recorded, root=runs)
    if run and spec.early_stop is None:
        raise UsageError("--from rehearses early stopping, and the sweep has no early_stop")
    branches = shared_branches(spec, trials)

    def make(hosts: Hosts, found: Expected | None = None) -> Plan:
        """Return the plan for these hosts; `found`: the epochs that a rehearsal has shown."""
        return make_plan(
            spec,
            trials,
            devices=hosts,
            calibration=read_calibration(),
            packs=chosen,
            runs=runs,
            branches=branches,
            found=found,
        )

    def rehearsed(hosts: Hosts) -> Plan:
        rehearse = importlib.import_module(RECORDED).by_recording
        return make(hosts, rehearse(spec, trials, branches, run, lanes=make(hosts).lanes))

    return make if run is None else rehearsed
