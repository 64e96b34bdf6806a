"""Where a result comes from: command, commit, versions, hardware; and the lines that head a ledger with it.

Imports none of what it names.
"""

from __future__ import annotations

import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from ch6dist.catalog.described import Description
from ch6dist.config import TrialConfig
from ch6dist.host.hardware import visible_devices
from ch6dist.runs.schema import FORMAT, Metric, SweepLine, TrialLine

HIDDEN = "on_finish="
PACKAGES = ("ch6dist", "torch", "torchvision", "ray", "numpy", "pandas", "matplotlib")


def provenance(libraries: Collection[str] = ()) -> dict[str, Any]:
    """Return what the head line of a ledger says about the process that writes it.

    Args:
        libraries: that it uses besides those that every run does.
    """
    return {
        "command": command_line(),
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version(), **versions(libraries)},
        "hardware": hardware(),
        "time": time.time(),
    }


def sweep_line(spec: Mapping[str, Any], *, described: Sequence[Description] = ()) -> SweepLine:
    """Make the head line of a driver: the sweep as resolved, and where it is trained.

    Args:
        described: what its trials name that is not of the catalog, so that who reads the run has to import none of it.
    """
    head = {"kind": "sweep", "format": FORMAT, "name": spec.get("name"), "question": spec.get("question", "")}
    libraries = sorted({one.version.split()[0] for one in described if one.version} - set(PACKAGES))
    head |= {"spec": dict(spec), **provenance(libraries)}
    if described:
        head["described"] = [{**one.as_data(), "root": ""} for one in described]  # a folder of this machine alone
    return cast(SweepLine, head)


def trial_line(trial: TrialConfig, *, case: Mapping[str, str] | None = None) -> TrialLine:
    """Make the line that adds a trial to the ledger.

    Args:
        case: of each axis of cases the name of the case; no part of the trial's id.
    """
    line: TrialLine = {
        "kind": "trial",
        "trial": trial.trial_id,
        "configuration": trial.configuration_id,
        "name": trial.name,
        "config": trial.model_dump(),
        "seed": trial.seed,
    }
    return {**line, "case": dict(case)} if case else line


def sweep_of_one(name: str, trials: Sequence[TrialConfig], *, question: str = "") -> dict[str, Any]:
    """Return a configuration and its seeds as a sweep, for what is trained without a sweep file."""
    return {
        "name": name,
        "question": question,
        "trial": trials[0].model_dump(exclude={"seed"}),
        "method": "grid",
        "metric": asdict(Metric()),
        "parameters": {},
        "seeds": [trial.seed for trial in trials],
    }


def command_line() -> str:
    """Return the command as a person would type it: `python -m sweeps run …` is `sweeps run …`.

    Reports show it, so it leaves out whom a run tells that it has ended: the URL of a webhook is as good as a password.
    """
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    given = [f"{HIDDEN}…" if argument.startswith(HIDDEN) else argument for argument in sys.argv[1:]]
    return shlex.join([name, *given])


def git_commit() -> str | None:
    """Return the commit of the checkout the code runs from, `+` behind it when files differ; None without git."""
    here = Path(__file__).resolve().parent
    try:
        run = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+"]
        found = subprocess.run(run, capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.decode(errors="replace").strip() or None


def hardware() -> dict[str, Any]:
    """Return this machine: host, usable cores, processor, GPUs by name, memory in bytes."""
    devices = visible_devices()
    return {
        "host": socket.gethostname(),
        "cpus": devices.cpus,
        "cpu": devices.cpu_name,
        "gpus": [gpu.name for gpu in devices.gpus],
        "memory_bytes": devices.memory_bytes,
    }


def versions(libraries: Collection[str] = ()) -> dict[str, str | None]:
    """Return the versions of the packages that decide a result; None for one that is not installed."""
    found: dict[str, str | None] = {}
    for package in (*PACKAGES, *libraries):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
