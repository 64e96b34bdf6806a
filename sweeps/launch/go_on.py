"""Start a sweep, or go on where its run stopped: one command, which whoever starts it again repeats as it is.

    status = start_or_go_on(spec, "sweep.yaml", Launch(), name="night")

SLURM's requeue, a retry of Kubernetes and the recovery of a cloud's job repeat their command word for word. What was
written decides what it means: no run of this name, and it is started; a run of the same sweep, and it is resumed.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ch6dist.errors import MISSING, InputError
from ch6dist.runs import lease
from ch6dist.runs.folders import check_name, find_run, home_of, runs_root
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.names import CODE, LEASE, LEDGER, REQUESTS, SEGMENTS, SWEEP_FILE
from ch6dist.sections import parse_section
from ch6dist.storage.files import is_remote, join
from ch6dist.trial_file import with_names
from sweeps.launch.execute import Launch
from sweeps.launch.own import of_new
from sweeps.launch.run import newest, resume, start
from sweeps.record.uploader import runs_in_store
from sweeps.spec.expand import case_names, expand
from sweeps.spec.sweep_file import SweepSpec, dump

BEGIN_SECONDS = 10.0  # a driver that is starting has written its first lines long before
LOOK_SECONDS = 0.2
# all that is there before the first trial's line
BEGINNING = {LEDGER, CODE, SWEEP_FILE, LEASE, f"{LEASE}.lock", REQUESTS}
HALF_WRITTEN = re.compile(r"\..*\.tmp")  # of storage/atomic.py, by who was killed or writes now
ABSENT = object()


def start_or_go_on(spec: SweepSpec, file: str, how: Launch, *, name: str | None, runs: Path | None = None) -> int:
    """Train a sweep in the run folder `name`, from its start or from where it stopped; return the exit status.

    Args:
        file: that the sweep was read from, for messages.
        runs: the folder that holds run folders.

    The run must be of the same sweep, but for its resources: those of `spec` count from now on, as in a resume. Raises
    InputError naming the first key that differs, before anything is written; UsageError while another driver holds it.
    """
    if name is None:
        raise InputError("--name", MISSING, "--resume goes on with the run of that name, or starts it")
    trials, wanted = expand(spec, file=file), dump(spec)
    run = _existing(check_name(name, key="--name"), spec.storage, runs)
    if run is None or not _begun(run, how.console.print):
        return start(wanted, trials, how, name=name, runs=runs, cases=case_names(spec))[1]
    ledger = newest(run)
    of_new(wanted, [trial.model_dump() for trial in trials])  # whoever wrote the file lets its code run
    refuse_another(wanted, ledger, name=name, file=file)
    return resume(run, how, changes=other_resources(wanted, ledger.spec))


def refuse_another(wanted: Mapping[str, Any], ledger: Ledger, *, name: str, file: str) -> None:
    """Raise InputError if a run is none of this sweep: neither as it is now, nor as one of its drivers had it.

    A run that was resumed with changes is still the run of the command that began it.
    """
    known = [_comparable(_written_anew(line.get("spec", {}))) for line in ledger.sweeps]
    asked = _comparable(wanted)
    if asked in known:
        return
    found = first_difference(asked, known[-1])
    if found is not None:
        key, here, there = found
        other = "another --name starts another run"
        if key == "on_finish":  # which may hold a secret
            raise InputError(key, "…", f"what it is in {name}; {other}", file=file)
        allowed = f"nothing, as in the run {name}; {other}" if there is ABSENT else f"{there!r}, as in {name}; {other}"
        raise InputError(key, MISSING if here is ABSENT else here, allowed, file=file)


def first_difference(one: Any, other: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Return the dotted key of the first difference of two sweeps, and both values; None where they are equal."""
    if one == other:
        return None
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return key, one, other
    for name in [*one, *(name for name in other if name not in one)]:
        inner = f"{key}.{name}" if key else str(name)
        if found := first_difference(one.get(name, ABSENT), other.get(name, ABSENT), inner):
            return found
    return None


def other_resources(wanted: Mapping[str, Any], recorded: Mapping[str, Any]) -> list[str]:
    """Return as `resources.KEY=VALUE` what a sweep wants of its resources that its run does not have yet.

    How workers share a batch belongs to the trials, so it stays as recorded.
    """
    has = recorded.get("resources", {})
    return [
        f"resources.{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in wanted.get("resources", {}).items()
        if key != "batch" and has.get(key, ABSENT) != value
    ]


def _existing(name: str, storage: str | None, runs: Path | None) -> Path | None:
    """Return the folder of the run `name`, fetched where only an object store has it; None where there is none."""
    home = runs_root(home_of(runs, storage))
    if storage and is_remote(storage) and name in runs_in_store(storage):
        return find_run(join(storage, name), root=home)
    return home / name if (home / name).is_dir() else None


def _begun(run: Path, say: Callable[[str], None]) -> bool:
    """Return whether a run folder holds a sweep with all of its trials; what a kill left of less is removed.

    Without one nothing was trained yet. A driver that is writing them in this moment is waited for.
    """
    until = time.monotonic() + BEGIN_SECONDS
    while not _whole(run):
        if not run.is_dir():  # whoever began it has failed, and removed it
            return False
        if any(name not in BEGINNING and not HALF_WRITTEN.fullmatch(name) for name in os.listdir(run)):
            raise InputError("--name", run.name, f"a run, or a name that {run.parent}/ does not hold yet")
        if time.monotonic() > until:
            with lease.hold(run, say=say):
                if not _whole(run):
                    say(f"{run} was left before its first trial was written: it is started again")
                    shutil.rmtree(run)
                    return False
        time.sleep(LOOK_SECONDS)
    return True


def _whole(run: Path) -> bool:
    if not any(path.stat().st_size for path in (run / LEDGER).glob(SEGMENTS)):
        return False
    ledger = read(run, last=1)
    return bool(ledger.sweeps) and len(ledger.trials) >= ledger.sweeps[0].get("trials", 1)


def _comparable(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a sweep what makes it this one: all but its resources, and of these what the trials depend on."""
    resources = spec.get("resources", {})
    batch = resources.get("batch", "global")
    shared = {"batch": batch, **({"workers": resources.get("workers", 1)} if batch == "per_worker" else {})}
    return {**spec, "trial": with_names(spec.get("trial", {})), "resources": shared}


def _written_anew(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a recorded sweep as it would be recorded now, with the defaults of keys that are younger than it."""
    try:
        return dump(parse_section(SweepSpec, dict(spec)))
    except InputError:  # of a final training, which no sweep file can say
        return spec
