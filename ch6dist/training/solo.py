"""One trial in this process (or in the processes of `torchrun`), with a run folder of its own and no Ray.

    status = run_trial(parse_trial(content), run=Path("runs/one"), console=Console())

Rank 0 is the driver: it holds the lease, reads and writes the ledger, and tells the other ranks what they need of it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ch6dist.catalog.sizes import model_size
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.distributed.group import default_device, from_environment
from ch6dist.errors import MISSING, InputError, UsageError
from ch6dist.objects.adopt import adopt_code
from ch6dist.optim.schedules import preview
from ch6dist.packs import Orders, engine_for, no_report
from ch6dist.paths import shown_path
from ch6dist.runs import lease
from ch6dist.runs.folders import name_from, new_run, removed_unless_begun
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.moved_fractions import refuse_moved_fractions
from ch6dist.runs.names import CAPTURES, CHECKPOINTS, LEDGER, SEGMENTS
from ch6dist.runs.narration import describe
from ch6dist.runs.own_code import OwnCode, changed_here, keep, own_code
from ch6dist.runs.provenance import sweep_line, sweep_of_one, trial_line
from ch6dist.runs.schema import BROKEN, ENDED, Line, Status
from ch6dist.runs.trust import accept, check_trust
from ch6dist.runs.writer import Writer
from ch6dist.training.captures import Captures
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from ch6dist.trial_sections import check_images

ELSEWHERE = ("data.root", "data.folder", "data.npz")  # keys that say where images lie: the same ones may move
SHOWN = 3  # differences of two trials that a message lists


def run_trial(
    trial: TrialConfig, *, run: Path | None = None, resume: bool = False, trust: bool = False, console: Console
) -> int:
    """Train `trial` into `run`; return the exit status.

    Args:
        run: the run folder; None: a new one among those of CH6DIST_RUNS or ./runs, named after the trial.
        resume: continue a run that is there, from the trial's checkpoint if there is one.
        trust: code that the run brings may run, although it has not run here before.
    """
    check_images(trial.data, test=trial.evaluate_test)
    size = model_size(trial.model, trial.data.entry)  # a foreign model may be none for these images
    preview(trial, steps_per_epoch=trial.data.steps_per_epoch)  # raises before anything is written
    if resume and run is None:
        raise InputError("--run", MISSING, "the run folder that --resume continues")
    with from_environment() as group, contextlib.ExitStack() as stack:
        record = _Record(trial, run, resume, trust, console, stack)
        opened = group.on_rank_zero(record.open)
        if opened.ended:
            return 1 if opened.ended in BROKEN else 0
        adopt_code(opened.code)
        device, attempts = default_device(), {trial.trial_id: opened.attempt}
        kind = "gpu" if device.type == "cuda" else "cpu"
        status = train(
            [trial],
            report=no_report if group.rank else record.report,
            checkpoints=Checkpoints(opened.run / CHECKPOINTS, attempts),
            captures=Captures(opened.run / CAPTURES, attempts),
            attempts=attempts,
            variants=opened.variants,
            device=device,
            group=group,
            checkpoint_seconds=opened.checkpoint_seconds,
            engine=engine_for(
                trial.optimizer,
                kind=kind,
                workers=group.world_size,
                captures=trial.capture is not None,
                not_fused=lambda: size.not_fused,
                groups=bool(trial.no_weight_decay_on),
            )[0],
            threads=1,
        )[trial.trial_id]
    return 1 if status in BROKEN else 0


@dataclass(frozen=True)
class _Opened:
    """What every rank needs to know of the run folder that rank 0 has opened."""

    run: Path
    attempt: int = 1
    checkpoint_seconds: float = 30.0
    variants: Mapping[str, str] = field(default_factory=dict)  # kernel variants that the run has recorded
    code: OwnCode = field(default_factory=OwnCode)
    ended: Status | None = None  # there is nothing to train


@dataclass
class _Record:
    """The run folder as rank 0 holds it until `stack` is closed: it alone reads, locks and writes it."""

    trial: TrialConfig
    run: Path | None
    resume: bool
    trust: bool
    console: Console
    stack: contextlib.ExitStack
    writer: Writer = field(init=False)  # of the folder that is open

    def open(self) -> _Opened:
        """Make or find the run folder, take its lease, and write the head of a segment."""
        run = self._claim()
        before = self._before(run)
        if before.status(self.trial.trial_id) not in ENDED:
            self.stack.enter_context(lease.hold(run, say=self._say))
            before = self._before(run)  # another process may have trained here until it gave the lease back
        if (status := before.status(self.trial.trial_id)) in ENDED:
            self._say(f"{self.trial.trial_id} has ended: {status}")
            return _Opened(run, ended=status)
        if self.trial.trial_id in before.trials:
            refuse_moved_fractions(run, before.sweeps, [self.trial])
        code = self._code(run, before)
        keep(run, code)
        self.writer = self.stack.enter_context(Writer(run))
        spec = before.spec or sweep_of_one(run.name, [self.trial])  # in a run that a sweep began, the sweep's stays
        self.writer.append([sweep_line(spec, described=code.described), trial_line(self.trial)])
        self._say(f"run folder: {shown_path(run)}")
        seconds = before.spec.get("checkpoints", {}).get("seconds", 30.0)
        return _Opened(run, before.attempt(self.trial.trial_id), seconds, before.variants, code)

    def report(self, lines: Sequence[Line]) -> Orders:
        """Write lines to the ledger, and print each epoch."""
        self.writer.append(lines)
        for line in lines:
            for text in describe(line, self.trial):
                self._say(text)
        return Orders()

    def _claim(self) -> Path:
        """Return the folder, which another process that starts now gets no more: a new one is made in one step."""
        if self.run is None:
            name = name_from(self.trial.name, ending=time.strftime("-%Y%m%d-%H%M%S"))
            run = new_run(name, explicit=False)
        elif self.run.exists():
            return self.run
        else:
            run = self.run
            run.parent.mkdir(parents=True, exist_ok=True)
            try:
                run.mkdir()
            except FileExistsError:  # made by another process, which removes it if it must
                return run
        self.stack.enter_context(removed_unless_begun(run))
        return run

    def _code(self, run: Path, before: Ledger) -> OwnCode:
        """Return the user's own code of the trial: the run's, if it has begun there; UsageError unless it may run."""
        config = self.trial.model_dump()
        begun = self.trial.trial_id in before.trials
        code = own_code(config, runs=[run] if begun else [])
        if begun:
            check_trust(run, code, config, trust=self.trust)
            if changed := changed_here(code, Path.cwd()):
                self._say(f"changed since: {', '.join(changed)}; the trial keeps the code that it began with")
        else:
            accept(code, config)
        return code

    def _before(self, run: Path) -> Ledger:
        """Return the ledger of a run that is there. UsageError if it may not be continued, or not with this trial."""
        if not any((run / LEDGER).glob(SEGMENTS)):
            return Ledger()
        if not self.resume:
            raise UsageError(f"{run} holds a run already", "name another one with --run, or continue it with --resume")
        ledger = read(run)
        if ledger.trials and self.trial.trial_id not in {*ledger.trials, *ledger.statuses}:
            raise _other_trial(self.trial, ledger, run)
        known = ledger.trials.get(self.trial.trial_id)
        if known and parse_trial(known["config"], file=str(run)).capture != self.trial.capture:  # no part of the id
            raise _other_trial(self.trial, ledger, run)
        return ledger

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False)


def _other_trial(trial: TrialConfig, ledger: Ledger, run: Path) -> UsageError:
    """Make the error for a trial that is none of a run's: it says what differs from the nearest of them."""
    recorded = [parse_trial(line["config"], file=str(run)) for line in ledger.trials.values()]
    changes = min((_differences(other, trial) for other in recorded), key=len)
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    what = f"{run} holds {'another trial' if len(recorded) == 1 else 'no such trial'}"
    hint = "--resume continues a trial as it was begun; for this one, name another folder with --run"
    return UsageError(f"{what}: {', '.join(changes[:SHOWN]) or 'its id differs'}{more}", hint)


def _differences(there: TrialConfig, here: TrialConfig) -> list[str]:
    """Return what differs between two trials, as `epochs is 2 there and 4 here`."""
    a, b = _flat(there.model_dump(exclude_none=True)), _flat(here.model_dump(exclude_none=True))
    changed = [key for key in {**a, **b} if a.get(key) != b.get(key) and key not in ELSEWHERE]
    return [f"{key} is {a.get(key, 'not set')} there and {b.get(key, 'not set')} here" for key in changed]


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their dotted keys."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
