"""Which epochs of trials are the same training: the tree that trains each of them once, and its drawing.

    found = read_digests(trials)                # by a program that has torch
    branches = branches_of(trials, found)       # {trial id: Branch(trial="sgd-lr0.1-s0-…", epoch=9)}
    epochs_asked(trials), epochs_to_train(trials, branches)
    train(trials, branches=branches, keep=kept_epochs(branches), …)

Two trials that differ in schedule and length alone are one training for as long as learning rate and momentum agree in
every step: the order of the batches, augmentation and dropout are functions of seed and step. A digest of an epoch
stands for both tables up to its end (optim/digests.py); None is an epoch that depends on a metric. So trials are a trie
over their digests, and every edge of it is trained once, by the first trial that has it: the sum of trained epochs is
the number of different prefixes, in whatever order the trials stand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ch6dist.catalog.labels import explain, label_all
from ch6dist.catalog.lookup import is_foreign
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.errors import UsageError

Digests = Sequence[str | None]  # of a trial, by epoch
LONGEST = 10_000_000  # steps of a trial that is compared with others: about half a minute of schedules
Branches = Mapping[str, "Branch"]  # by the id of the trial that branches off

# What is no part of a training: what branches differ in, where its files lie, what looks at it, other types' settings.
_APART: dict[str, bool | set[str]] = {
    "schedule": True,
    "epochs": True,
    "capture": True,
    "range_test": True,
    "data": {"root"},
}


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Where a trial leaves another: its first `epoch` epochs are those of `trial`."""

    trial: str  # the id of the other
    epoch: int
    attempt: int = 1  # of the other


def read_digests(trials: Sequence[TrialConfig]) -> list[Digests]:
    """Return the digests of each trial, from `ch6dist digests`: a program of its own, which has torch.

    UsageError where it fails.
    """
    asked = json.dumps([trial.model_dump(mode="json") for trial in trials])
    program = [sys.executable, "-P", "-m", "ch6dist", "digests"]
    done = subprocess.run(program, input=asked, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        why = (done.stderr.strip() or "no word").splitlines()[-1]
        raise UsageError(f"the learning rates of the trials cannot be computed: {why}")
    found: list[Digests] = json.loads(done.stdout)
    return found


def branches_of(trials: Sequence[TrialConfig], digests: Sequence[Digests]) -> dict[str, Branch]:
    """Return where each trial that shares epochs with an earlier one leaves it, by trial id.

    It is the one that trains the last epoch that they share, never one that only inherits it. Trials are compared where
    all but schedule and length is equal, the seed too. A trial that captures is trained whole: of epochs that
    another has trained it would have nothing to show; others may branch off from it.
    """
    trained_by: dict[tuple[str, str], str] = {}  # (what must be equal, prefix) → the first trial that has it
    found: dict[str, Branch] = {}
    for trial, own in zip(trials, digests, strict=True):
        if trial.type != "train":
            continue
        name = trial.trial_id  # hashed once
        group = _group(trial)
        keys = [(group, prefix) for prefix in _prefixes(trial, name, own)]
        shared = 0
        while shared < len(keys) and keys[shared] in trained_by and not trial.capture:
            shared += 1
        if shared:
            found[name] = Branch(trial=trained_by[keys[shared - 1]], epoch=shared)
        for key in keys[shared:]:
            trained_by.setdefault(key, name)
    return found


def alike(trials: Sequence[TrialConfig]) -> list[TrialConfig]:
    """Return the trials that might share epochs: those that differ from another in schedule and length alone.

    Where the schedule is code of the user's own none does: who only reads a run would run it to compare. Nor does a
    trial of more than LONGEST steps: to compare it would take longer than a plan may.
    """
    groups: dict[str, list[TrialConfig]] = defaultdict(list)
    for trial in trials:
        short = trial.epochs * trial.data.steps_per_epoch <= LONGEST
        if trial.type == "train" and short and not _has_own_schedule(trial.schedule):
            groups[_group(trial)].append(trial)
    found = {trial.trial_id for members in groups.values() if len(members) > 1 for trial in members}
    return [trial for trial in trials if trial.type == "train" and trial.trial_id in found]


def _has_own_schedule(schedule: Mapping[str, Any]) -> bool:
    return any(is_foreign("schedule", part["name"]) for part in schedule.get("schedulers", [schedule]))


def kept_epochs(branches: Branches) -> dict[str, list[int]]:
    """Return the epochs, by trial id, at whose end others branch off: `keep` of `train`."""
    found: dict[str, set[int]] = defaultdict(set)
    for branch in branches.values():
        found[branch.trial].add(branch.epoch)
    return {trial: sorted(epochs) for trial, epochs in found.items()}


def epochs_asked(trials: Sequence[TrialConfig]) -> int:
    """Return the epochs of all training runs together; range tests have none."""
    return sum(trial.epochs for trial in trials if trial.type == "train")


def epochs_to_train(trials: Sequence[TrialConfig], branches: Branches) -> int:
    """Return the epochs that are left to train where each shared one is trained once."""
    ids = {trial.trial_id for trial in trials}
    return epochs_asked(trials) - sum(branch.epoch for trial, branch in branches.items() if trial in ids)


def tree_text(trials: Sequence[TrialConfig], branches: Branches) -> str:
    """Return the epochs asked for and to train, and every tree with a branch; equal ones of several seeds once.

    Empty where nothing is shared.
    """
    if not branches:
        return ""
    asked, left = epochs_asked(trials), epochs_to_train(trials, branches)
    found = label_all([trial.model_dump() for trial in trials])
    names = {trial.trial_id: str(label) for trial, label in zip(trials, found.labels, strict=True)}
    tree = _Tree({trial.trial_id: trial.epochs for trial in trials}, names, branches)
    drawn = Counter("\n".join(tree.lines(root)) for root in tree.roots())
    lines = [f"{format_count(asked, 'epoch')} asked for, {left} to train ({100 * left / asked:.0f} %)"]
    for text, count in drawn.items():
        first, *rest = text.splitlines()
        lines += [first + (f", for each of {count} seeds" if count > 1 else ""), *rest]
    lines += [f"{part}: {whole}" for part, whole in explain(lines, found.numbered).items()]
    return "\n".join(lines)


def _group(trial: TrialConfig) -> str:
    """Return what must be equal of two trials that share epochs."""
    return json.dumps(trial.model_dump(mode="json", exclude=_APART), sort_keys=True)


class _Tree:
    """Trials as a tree: those that branch off below the one that they leave, the earliest first."""

    def __init__(self, epochs: Mapping[str, int], names: Mapping[str, str], branches: Branches) -> None:
        self.epochs, self.names, self.branches = epochs, names, branches
        self.leaving: dict[str, list[str]] = defaultdict(list)
        for trial in sorted((t for t in epochs if t in branches), key=lambda trial: branches[trial].epoch):
            self.leaving[branches[trial].trial].append(trial)

    def roots(self) -> list[str]:
        """Return the trials that others leave and that leave none."""
        return [trial for trial in self.epochs if trial not in self.branches and trial in self.leaving]

    def lines(self, trial: str) -> Iterator[str]:
        """Yield the lines of `trial` and of all that branch off below it."""
        name, epochs, branch = self.names[trial], self.epochs[trial], self.branches.get(trial)
        if branch is None:
            yield f"{name}: {format_count(epochs, 'epoch')}"
        elif branch.epoch == epochs:
            yield f"all {epochs}: {name}: nothing to train"
        else:
            yield f"after {branch.epoch}: {name}: {epochs - branch.epoch} of {epochs}"
        below = self.leaving.get(trial, [])
        for other in below:
            first, rest = ("└─ ", "   ") if other == below[-1] else ("├─ ", "│  ")
            for number, line in enumerate(self.lines(other)):
                yield (rest if number else first) + line


def _prefixes(trial: TrialConfig, name: str, digests: Digests) -> Iterator[str]:
    """Yield what an epoch and all before it are known by; each that depends on a metric is the trial's own.

    So is the last epoch of a trial that is tested at its end, unless another is tested there too.
    """
    for epoch, digest in enumerate(digests, start=1):
        tested = " tested" if trial.evaluate_test and epoch == trial.epochs else ""
        yield f"{digest}{tested}" if digest is not None else f"{epoch} of {name}"
