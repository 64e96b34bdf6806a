"""A lane as the loop sees it: a trial's progress, its best weights and its status."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ch6dist.branches import Branch, Branches
from ch6dist.config import TrialConfig
from ch6dist.distributed.group import Group
from ch6dist.engines.engine import EngineLane, LrMomentum
from ch6dist.runs.captures import Captured
from ch6dist.runs.names import epoch_checkpoint
from ch6dist.runs.schema import Status
from ch6dist.training.checkpoint import Checkpoints

SCHEDULED = ("lr", "initial_lr", "max_lr", "min_lr", "momentum", "base_momentum", "max_momentum", "betas")  # in a group


@dataclass
class EpochRecord:
    """What an epoch (or the part of one that a range test takes) left of one lane."""

    losses: list[float]  # mean of each step's batch, over all ranks
    accuracies: list[float]
    counts: list[int]  # images of each step's batch
    lr_momentum: list[LrMomentum]  # used in each step
    seconds: float  # training time divided by the lanes that shared it
    lanes: int
    eval_seconds: float | None = None
    val: Mapping[str, float] | None = None  # loss, accuracy, and the metrics that the trial asks for
    test: Mapping[str, float] | None = None
    captured: Captured | None = None  # on rank 0

    def mean(self, values: list[float]) -> float:
        """Return the mean over the samples really seen: the last batch of an epoch is smaller."""
        return sum(v * n for v, n in zip(values, self.counts, strict=True)) / sum(self.counts)

    def metrics(self) -> dict[str, float]:
        """Return the epoch's means by row column; `val_*` only where there was a validation."""
        found = {"train_loss": self.mean(self.losses), "train_accuracy": self.mean(self.accuracies)}
        return found | {f"val_{name}": value for name, value in (self.val or {}).items()}


@dataclass
class Lane:
    """One trial in a pack."""

    trial: TrialConfig
    engine: EngineLane
    attempt: int = 1
    epoch: int = 0  # completed
    start_loss: float | None = None  # the first step's, against which divergence is measured
    curve: list[tuple[float, float]] = field(default_factory=list)  # range test: lr and loss of each step
    metrics: list[dict[str, float]] = field(default_factory=list)  # of each epoch; a branch's plateau has to see them
    best: dict[str, Any] | None = None  # {trial, epoch, val_accuracy, model}
    best_unsaved: bool = False
    status: Status = Status.RUNNING
    reason: str = ""
    rule: bool = False  # stopped by the sweep's own rule
    bad_step: int | None = None
    notes: list[str] = field(default_factory=list)  # for the log: what is not as it was, or as it was to be

    @property
    def trial_id(self) -> str:
        """Return the trial's id, hashed once."""
        return self._id

    def __post_init__(self) -> None:
        self._id = self.trial.trial_id

    @property
    def step(self) -> int:
        """Return the optimizer steps done."""
        return self.engine.step

    @property
    def complete(self) -> bool:
        """Return whether all epochs (range test: steps) are done."""
        if self.trial.type == "train":
            return self.epoch >= self.trial.epochs
        return self.step >= self.trial.range_test.steps

    @property
    def next_steps(self) -> int:
        """Return the steps of the next epoch; a range test ends inside one."""
        steps = self.trial.data.steps_per_epoch
        if self.trial.type == "train":
            return steps
        return min(steps, self.trial.range_test.steps - self.epoch * steps)

    @property
    def next_images(self) -> int:
        """Return the images of the next epoch's steps."""
        return min(self.next_steps * self.trial.data.batch_size, self.trial.data.train_size)

    @property
    def closing(self) -> bool:
        """Return whether to evaluate the test set: at the end of a final training that has not diverged."""
        at_end = self.trial.evaluate_test and self.epoch == self.trial.epochs
        return at_end and self.status == Status.RUNNING

    def line(self, kind: str, **content: Any) -> dict[str, Any]:
        """Return a ledger line of this trial."""
        return {"kind": kind, "trial": self.trial_id, "attempt": self.attempt, **content}

    def end(self, status: Status, reason: str = "", *, step: int | None = None, rule: bool = False) -> None:
        """End the lane; `step` is the step that caused it, where there is one; `rule`: the sweep's own rule did."""
        self.status, self.reason, self.bad_step, self.rule = status, reason, step, rule

    def check_divergence(self, record: EpochRecord) -> None:
        """End the lane as diverged if a loss is not finite, or an epoch's mean above a multiple of its start."""
        if self.start_loss is None:
            self.start_loss = record.losses[0]
        first = self.step - len(record.losses) + 1
        for offset, loss in enumerate(record.losses):
            if not math.isfinite(loss):
                return self.end(Status.DIVERGED, f"loss not finite at step {first + offset}", step=first + offset)
        mean, limit = record.mean(record.losses), self.trial.divergence_factor * self.start_loss
        if mean > limit:
            why = (
                f"mean loss {mean:.4g} above {self.trial.divergence_factor:g} × the first step's {self.start_loss:.4g}"
            )
            self.end(Status.DIVERGED, why, step=self.step)
        return None

    def check_validation(self, loss: float) -> None:
        """End the lane as diverged if the validation loss is not finite: no training loss shows the last step."""
        if not math.isfinite(loss):
            self.end(Status.DIVERGED, f"validation loss not finite after step {self.step}", step=self.step)

    def keep_best(self, val_accuracy: float) -> None:
        """Copy the weights when `val_accuracy` beats every epoch before; a tie keeps the earlier ones."""
        if self.best is None or val_accuracy > self.best["val_accuracy"]:
            self.best = {
                "trial": self.trial_id,
                "epoch": self.epoch,
                "val_accuracy": val_accuracy,
                "model": self.engine.weights(),
            }
            self.best_unsaved = True

    def save(self, store: Checkpoints, *, made_with: Mapping[str, Any]) -> None:
        """Save `best`, then `last`: if only one is written, replaying from `last` finds the same best again.

        `made_with` is kept beside the state: what a resume has to use again to compute the same bits.
        """
        if self.best is not None and self.best_unsaved:
            store.save(self.trial_id, "best", self.best)
            self.best_unsaved = False
        store.save(self.trial_id, "last", self._state(made_with))

    def save_epoch(self, store: Checkpoints, *, made_with: Mapping[str, Any]) -> None:
        """Save the checkpoint from which others branch off at this epoch: what `save` writes, in one file."""
        store.save(self.trial_id, epoch_checkpoint(self.epoch), {**self._state(made_with), "best": self.best})

    def _state(self, made_with: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "trial": self.trial_id,
            "epoch": self.epoch,
            "start_loss": self.start_loss,
            "curve": self.curve,
            "metrics": self.metrics,
            "lane": self.engine.state_dict(),
            "made_with": {"torch": str(torch.__version__), **made_with},
        }

    def restore(self, store: Checkpoints | None, group: Group) -> dict[str, Any] | None:
        """Resume from `last` if there is one; return what it was made with, else None.

        Rank 0 alone reads: another host may see an older file in the folder they share, or none. It sends
        tensors on the CPU, since each rank has its own GPU; the engine moves them to its device.
        """
        names = ("last", "best")
        state, best = group.on_rank_zero(lambda: [store.load(self.trial_id, name) if store else None for name in names])
        if state is None:
            return None
        self.epoch, self.start_loss, self.best = state["epoch"], state["start_loss"], best
        self.curve = [(lr, loss) for lr, loss in state["curve"]]
        self.metrics = list(state.get("metrics", ()))  # runs made before trials branched off have none
        self.engine.load_state_dict(state["lane"])
        return dict(state["made_with"])

    def branch_off(self, store: Checkpoints | None, group: Group, branches: Branches) -> dict[str, Any] | None:
        """Start where the trial leaves another, if it does; return what that checkpoint was made with, else None.

        Rank 0 alone knows and reads. Where the checkpoint is gone, the trial trains from the start.
        """

        def find() -> tuple[Branch | None, dict[str, Any] | None]:
            branch = branches.get(self.trial_id)
            return branch, store.load_branch(branch) if store and branch else None

        branch, state = group.on_rank_zero(find)
        if branch is None:
            return None
        if state is None:
            self.notes.append(f"no checkpoint of epoch {branch.epoch} of {branch.trial}: trained from the start")
            return None
        self._continue(state)
        return dict(state["made_with"])

    def _continue(self, state: Mapping[str, Any]) -> None:
        """Take over what another trial has trained; learning rates and momentum are its own schedule's.

        The schedule is stepped as in a training, not computed: the floats of torch's depend on their path.
        """
        metrics = list(state["metrics"])
        self.engine.schedule.run_ahead(metrics, steps_per_epoch=self.trial.data.steps_per_epoch)
        own, shared = self.engine.state_dict(), state["lane"]
        groups = zip(own["optimizer"]["param_groups"], shared["optimizer"]["param_groups"], strict=True)
        optimizer = {**shared["optimizer"], "param_groups": [_with_own_schedule(*pair) for pair in groups]}
        self.engine.load_state_dict({**shared, "optimizer": optimizer, "schedule": own["schedule"]})
        self.epoch, self.start_loss, self.metrics = state["epoch"], state["start_loss"], metrics
        if state["best"] is not None:
            self.best, self.best_unsaved = {**state["best"], "trial": self.trial_id}, True


def _with_own_schedule(own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parameter group as another trial left it, libraries count steps in it, with what one's schedule set."""
    kept = {key: value for key, value in shared.items() if key not in SCHEDULED}
    return {**kept, **{key: value for key, value in own.items() if key in SCHEDULED}}


def batch_groups(lanes: Sequence[Lane], key: Callable[[Lane], Hashable]) -> list[list[Lane]]:
    """Return the batch groups of lanes by `key`; lanes of one seed stand side by side."""
    groups: dict[Hashable, list[Lane]] = {}
    for lane in lanes:
        groups.setdefault(key(lane), []).append(lane)
    return [sorted(group, key=lambda lane: (lane.trial.seed, lane.epoch)) for group in groups.values()]
