"""Run sweeps on Ray Tune: `start` a new one, `resume` one, also with other resources, or `rerun` trials of one.

    run, status = start(dump(spec), expand(spec), Launch())

Exit statuses: 0 done (diverged trials are results), 1 a trial failed, 2 wrong input, 130 stopped before the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.host.hardware import Devices, visible_devices
from ch6dist.paths import shown_path
from ch6dist.runs.fetch import refresh
from ch6dist.runs.folders import checkpoints_root, home_of, new_run, removed_unless_begun, runs_root
from ch6dist.runs.ledger import Ledger, find_trial, read, read_spec
from ch6dist.runs.moved_fractions import refuse_moved_fractions
from ch6dist.runs.provenance import trial_line
from ch6dist.runs.schema import BROKEN, ConfirmationPlan, Line, Status, TrialLine
from ch6dist.trial_sections import check_images
from sweeps.driver.jobs import PackJob
from sweeps.driver.retries import status_line
from sweeps.driver.trial_table import TrialTable
from sweeps.launch.execute import Launch, Settings, Task, execute
from sweeps.launch.own import of_new, of_run, say_changed, with_new
from sweeps.launch.packing import kept_engine_notes, pack_new, pack_resumed
from sweeps.on_ray.cluster import cluster_hosts
from sweeps.on_ray.temporary import ray_folder
from sweeps.plan.disk import bytes_for_ended_trials, total_bytes
from sweeps.plan.slots import Slots, find_slots
from sweeps.record.record import opened
from sweeps.record.uploader import runs_in_store
from sweeps.search.next_trials import Search
from sweeps.search.sharing import with_branches
from sweeps.spec.extend import changed_sweep, extensions, refuse_lost


def start(
    spec: Mapping[str, Any],
    trials: Sequence[TrialConfig],
    how: Launch,
    *,
    name: str | None = None,
    runs: Path | None = None,
    cases: Mapping[str, Mapping[str, str]] | None = None,
    chosen_from: Path | None = None,
) -> tuple[Path, int]:
    """Train `trials` in a new run folder; return the folder and the exit status.

    Args:
        spec: the sweep as `dump` gives it: what the folder's sweep.yaml and its ledger say of it.
        name: of the folder, which must be free; left out: the sweep's, numbered.
        runs: the folder that holds run folders.
        chosen_from: the run that has the code of these trials, where it is the user's own.
        cases: of configurations that were given as cases, by their ids, the names of these by axis.

    Everything is checked before the folder is made: InputError, UsageError.
    """
    hosts, settings = hosts_of(how), Settings.of(spec)
    named = cases or {}
    ledger, lines = Ledger(), [trial_line(trial, case=named.get(trial.configuration_id)) for trial in trials]
    lines, first = _beginning(spec, lines)
    code = of_new(spec, [line["config"] for line in lines], of=chosen_from, trust=how.trust)
    say = how.console.print
    packs = pack_new(first, hosts, settings.resources, how.packs, say=say)
    check_data(first)
    home = runs_root(home_of(runs, settings.storage))
    limit = _limit_for_ended(first, packs, settings, hosts, checkpoints_root(home, storage=settings.storage))
    taken = runs_in_store(settings.storage)
    run = new_run(name or spec["name"], root=home, explicit=name is not None, taken=taken)
    opening = opened(run, spec, say=say, ledger=ledger, lines=lines, address=how.address, code=code)
    with removed_unless_begun(run), opening as record:
        status = execute(_task(spec, ledger, packs, settings, hosts, limit, code), ledger, record, how)
    return run, record.status(status)


def resume(run: Path, how: Launch, *, changes: Sequence[str] = ()) -> int:
    """Continue a run where it stopped; return the exit status.

    Args:
        changes: `key=value` that extend the sweep, or give it other resources; its trials stay what they are.
    """
    return _continue(run, newest(run), how, changes=changes)


def rerun(run: Path, how: Launch, trials: Sequence[str], *, failed: bool = False) -> int:
    """Train ended trials from scratch, as a new attempt, and what else is unfinished; return the exit status.

    Args:
        trials: their ids, or the beginnings of these.
        failed: also every trial that failed or ran out of memory.
    """
    ledger = newest(run)
    again = [find_trial(ledger, trial) for trial in trials]
    again += [trial for trial in ledger.trials if failed and ledger.status(trial) in BROKEN and trial not in again]
    if not again:
        why = f"no trial of {run} has failed" if failed else "there is nothing to rerun"
        raise UsageError(why, "name trials" if failed else "name trials, or use --failed for those that have failed")
    return _continue(run, ledger, how, again=again)


def add_trials(
    run: Path,
    ledger: Ledger,
    how: Launch,
    lines: Sequence[TrialLine],
    *,
    confirmation: ConfirmationPlan,
    announce: Callable[[Sequence[PackJob], Slots], Sequence[str]],
) -> int:
    """Train more trials in a run, all of whose own have ended; return the exit status.

    Args:
        ledger: of the run as `newest` reads it.
        lines: of the trials.
        confirmation: that they are.
        announce: returns what to print before anything is written, of their packs and the slots for them.
    """
    return _continue(run, ledger, how, added=lines, confirmation=confirmation, announce=announce)


def newest(run: Path) -> Ledger:
    """Read the ledger of a run, after fetching what another machine has added to it."""
    refresh(run, read_spec(run).get("storage"))
    return read(run)


def _continue(
    run: Path,
    ledger: Ledger,
    how: Launch,
    *,
    again: Sequence[str] = (),
    changes: Sequence[str] = (),
    added: Sequence[TrialLine] = (),
    confirmation: ConfirmationPlan | None = None,
    announce: Callable[[Sequence[PackJob], Slots], Sequence[str]] = lambda _packs, _slots: (),
) -> int:
    before, own = Settings.of(ledger.spec).resources, of_run(run, ledger, trust=how.trust)
    spec = changed_sweep(ledger.spec, changes)
    settings = Settings.of(spec)
    extended = bool(extensions(changes))
    search = Search.of(spec, ledger, extended=extended)
    if extended:
        refuse_lost(changes, {trial: trial for trial in ledger.trials}, *search.spans())
    anew = [status_line(trial, Status.PLANNED, "rerun", attempt=ledger.attempt(trial) + 1) for trial in again]
    search.take([*added, *anew])
    new = {item.line["trial"]: item.line for item in search.new_trials()}
    search.take(new.values())
    new |= {line["trial"]: line for line in added}
    steps = search.steps()
    if not steps:
        how.console.print(f"{shown_path(run)}: nothing to do, {_why_nothing(search)}")
        return 1 if any(ledger.status(trial) in BROKEN for trial in ledger.trials) else 0
    known = {**ledger.trials, **new}
    code = with_new(run, spec, [line["config"] for line in known.values()]) if new else own
    todo = [parse_trial(known[step.trial]["config"], file=str(run)) for step in steps]
    refuse_moved_fractions(run, ledger.sweeps, todo)
    check_data(todo)
    _check_batches(todo, workers=settings.resources.workers)
    hosts = hosts_of(how)
    slots = find_slots(settings.resources, hosts)  # refused, if it is, before anything is written
    say = how.console.print
    packs = pack_resumed(todo, ledger, hosts, settings.resources, how.packs, say=say, before=before)
    kept = [pack for pack in packs if pack.trials[0] not in new]
    notes = kept_engine_notes(ledger, kept, slots=slots, wanted=settings.resources.engine)
    say_changed(own, say)
    for note in [*notes, *announce(packs, slots)]:
        say(note)
    limit = _limit_for_ended(todo, packs, settings, hosts, checkpoints_root(run, storage=settings.storage))
    lines = [*(cast(Line, line) for line in new.values()), *anew]
    opening = opened(
        run,
        spec,
        say=say,
        ledger=ledger,
        lines=lines,
        address=how.address,
        confirmation=confirmation,
        code=code,
    )
    with opening as record:
        status = execute(_task(spec, ledger, packs, settings, hosts, limit, code), ledger, record, how)
    return record.status(status)


def _task(spec: Mapping[str, Any], ledger: Ledger, *rest: Any) -> Task:
    return Task(Search.of(spec, ledger), TrialTable.from_ledger(ledger), *rest)


def _beginning(spec: Mapping[str, Any], lines: Sequence[TrialLine]) -> tuple[list[TrialLine], list[TrialConfig]]:
    """Return the lines of all trials that a sweep begins with, and those of the trials that are trained first."""
    search = Search.of(spec, Ledger())
    lines = with_branches(lines) if spec.get("share_prefixes", False) else list(lines)
    search.take(lines)
    search.whole = bool(lines)  # the caller has made them all
    new = [item.line for item in search.new_trials()]
    search.take(new)
    every = [*lines, *new]
    configs = {line["trial"]: line["config"] for line in every}
    return every, [parse_trial(configs[step.trial]) for step in search.steps()]


def _why_nothing(search: Search) -> str:
    """Return why a run has nothing to train: all has ended, or the budget is spent."""
    if all(seen.closed or seen.rule for seen in search.observed.trials.values()):
        return "every trial has ended"
    return f"the budget is spent: {search.spent}"


def hosts_of(how: Launch) -> list[Devices]:
    """Return where a launch can train: this machine, or the hosts of the cluster that it joins."""
    if how.address:
        return cluster_hosts(how.address)
    ray_folder()  # refused, if there is none, before anything is written
    return [visible_devices()]


def check_data(trials: Sequence[TrialConfig]) -> None:
    """Raise UsageError when files of a data set that the trials read are missing, damaged or others than they were."""
    found = {(t.data.name, t.data.root, str(t.data.source), str(t.data.found), t.evaluate_test): t for t in trials}
    for trial in found.values():
        check_images(trial.data, test=trial.evaluate_test)


def _check_batches(trials: Sequence[TrialConfig], *, workers: int) -> None:
    smallest = min(trial.data.batch_size for trial in trials)
    if workers > smallest:
        raise InputError("resources.workers", workers, f"at most {smallest}, an image of a batch for each worker")


def _limit_for_ended(
    trials: Sequence[TrialConfig], packs: Sequence[PackJob], settings: Settings, hosts: Sequence[Devices], path: str
) -> int | None:
    """Return the bytes that checkpoints of ended trials may take beside those of running ones; None: no limit.

    Args:
        path: folder or URL, where the checkpoints lie or near which they will.

    Raises InputError when the running ones alone do not fit.
    """
    known = {trial.trial_id: trial for trial in trials}
    running = [[known[trial] for trial in pack.trials] for pack in packs]
    at_once = find_slots(settings.resources, hosts).count
    return bytes_for_ended_trials(total_bytes(settings.checkpoints.total, path), running, at_once=at_once, path=path)
