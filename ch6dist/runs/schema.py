"""What a run records, defined here and nowhere else: kinds of ledger lines, statuses of a trial.

The columns of a row: columns.py.

A run written by this version says `format: 3` in the head line of each driver and in each checkpoint. A reader takes
every format up to its own; runs made before there was a number are format 0. Format 2 has confirmations: a reader that
does not know them would rank by seeds that are kept apart. Format 3 has trials that are paused, and decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic can check lines by these types, on Python 3.11 only so

from ch6dist.catalog.metrics import DEFAULT_METRIC, check_goal, goal_of
from ch6dist.errors import UsageError

FORMAT = 3  # of ledgers and checkpoints that are written
EngineName = Literal["eager", "fused"]  # what trains a pack: its lanes one after another, or all as one model


@dataclass(frozen=True)
class Metric:
    """What configurations are ranked by: a column of the rows; which end of it is best follows from its name."""

    name: str = DEFAULT_METRIC
    goal: str = ""  # left out: that of the metric; InputError for another one

    def __post_init__(self) -> None:
        object.__setattr__(self, "goal", check_goal(self.name, self.goal or goal_of(self.name)))

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Metric:
        """Return the metric of a sweep as its head line or sweep.yaml has it."""
        return cls(spec.get("metric", {}).get("name", DEFAULT_METRIC))

    @classmethod
    def note(cls, spec: Mapping[str, Any]) -> str:
        """Return that a sweep gives its metric another goal, as older versions allowed; empty for all others."""
        metric, given = cls.of(spec), spec.get("metric", {}).get("goal")
        if given in (None, metric.goal):
            return ""
        better = "smaller" if metric.goal == "minimize" else "larger"
        return f"a {better} {metric.name} is better, although the sweep says goal: {given}"


class Status(StrEnum):
    """The states of a trial. `interrupted` is never written: it is `running` without a live driver."""

    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"  # has a checkpoint and waits for a decision: of its rung, or on a larger budget
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    STOPPED = "stopped"  # early, by a scheduler or a person
    DIVERGED = "diverged"  # a result: non-finite loss, or above a stated multiple of its start
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"  # infrastructure or a bug


ENDED = frozenset({Status.FINISHED, Status.STOPPED, Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED})
UNFINISHED = (Status.RUNNING, Status.INTERRUPTED, Status.PAUSED, Status.PLANNED)  # all others
BROKEN = frozenset({Status.OUT_OF_MEMORY, Status.FAILED})
HALTED = "halted"  # `broken` of the event that a driver halted: no failure of a pack


Line = Mapping[str, Any]  # a line of any kind


class ConfirmationPlan(TypedDict):
    """A confirmation: `set` and `default` hold configurations, each trained with all of the `seeds`."""

    number: int  # from 1
    set: list[str]
    default: list[str]
    seeds: list[int]


class SweepLine(TypedDict):
    """The head line of a driver: the sweep as resolved, and where it is trained."""

    kind: Literal["sweep"]
    format: NotRequired[int]  # missing: 0
    name: str | None
    question: str
    spec: dict[str, Any]
    command: str
    git_commit: str | None
    versions: dict[str, str | None]
    hardware: dict[str, Any]
    time: float
    trials: NotRequired[int]  # how many the run has: one that was cut off at its start has fewer lines of them
    address: NotRequired[str | None]  # of the Ray that the driver joined; None: it started its own
    described: NotRequired[
        list[dict[str, Any]]
    ]  # what is not of the catalog: a Description each (catalog/described.py)
    inexact: NotRequired[list[str]]  # kinds of trials of which it was known that they do not go on exactly
    confirmation: NotRequired[ConfirmationPlan]  # begins here: what its lines of trials say, should they be cut off


class BranchPoint(TypedDict):
    """Where a trial leaves another: its first `epoch` epochs are those of `trial`."""

    trial: str
    epoch: int


class TrialLine(TypedDict):
    """A trial that the run will train."""

    kind: Literal["trial"]
    trial: str
    configuration: str
    name: str
    config: dict[str, Any]  # the resolved TrialConfig
    seed: int
    case: NotRequired[dict[str, str]]  # where the sweep has axes of cases: of each the name of the case
    point: NotRequired[dict[str, Any]]  # where a model has drawn it: its values by axis
    branch: NotRequired[BranchPoint]  # its first epochs are those of another trial, and trained once
    confirms: NotRequired[Literal["set", "default"]]  # a fresh seed: of the set of the best, or of a default beside it
    confirmation: NotRequired[int]  # of which confirmation, from 1


class PackLine(TypedDict):
    """Trials that are trained together; a resume trains them together again."""

    kind: Literal["pack"]
    trials: list[str]
    engine: EngineName
    time: float


class RowLine(TypedDict):
    """Measurements of an epoch (range test: of a step); what each means stands in ROW_COLUMNS."""

    kind: Literal["row"]
    trial: str
    attempt: int
    epoch: int
    step: int
    lr: float
    momentum: float | None
    train_loss: float | None  # null where it was not finite
    train_accuracy: float | None
    val_loss: NotRequired[float | None]
    val_accuracy: NotRequired[float | None]
    exploding_steps: NotRequired[int]  # these three where it captured
    vanishing_gradients: NotRequired[int]
    saturated_layers: NotRequired[int]
    val_top5_accuracy: NotRequired[float | None]  # these where the trial asks for them
    val_coarse_accuracy: NotRequired[float | None]
    test_loss: NotRequired[float | None]
    test_accuracy: NotRequired[float | None]
    test_top5_accuracy: NotRequired[float | None]
    test_coarse_accuracy: NotRequired[float | None]
    shared: NotRequired[str]  # the trial that has trained this epoch, for this one too
    time: NotRequired[float]  # missing: format 0
    seconds: float
    eval_seconds: NotRequired[float | None]
    lanes: int
    images_per_second: float
    peak_memory_bytes: int


class StatusLine(TypedDict):
    """A trial's status from here on, and why."""

    kind: Literal["status"]
    trial: str
    attempt: int
    status: str
    epoch: int  # completed
    time: float
    step: NotRequired[int]
    reason: NotRequired[str]
    rule: NotRequired[bool]  # stopped by the sweep's own rule, not by a person: it may go on if the sweep is extended
    traceback: NotRequired[str]
    host: NotRequired[str]
    device: NotRequired[str]
    engine: NotRequired[EngineName]
    workers: NotRequired[int]
    batch_size: NotRequired[int]  # global
    rows_per_worker: NotRequired[list[int]]
    notes: NotRequired[list[str]]  # such as settings that torch overrides


class DecisionLine(TypedDict):
    """A decision of the search that no status says: that a trial begins later than the sweep, or goes on."""

    kind: Literal["decision"]
    trial: str
    what: Literal["begin", "go_on"]
    until: int  # epochs that it may train by now
    why: str
    time: float


class VariantLine(TypedDict):
    """A kernel variant that was measured, before its first use. Of several lines with one key the first counts."""

    kind: Literal["variant"]
    key: str  # all that it depends on: processor, precision, batch size, shape, lanes
    variant: str
    time: float


class EventLine(TypedDict):
    """A pack that failed, or a driver that halted, and what followed."""

    kind: Literal["event"]
    trials: list[str]
    epochs: list[int]
    host: str
    broken: str  # failed, out_of_memory, data, storage or halted
    reason: str
    what: str
    time: float


class ArtifactLine(TypedDict):
    """What a trial left: a file of the run folder (path None: it was removed), or a value."""

    kind: Literal["artifact"]
    trial: str
    attempt: int
    name: str
    path: NotRequired[str | None]
    bytes: NotRequired[int]
    epoch: NotRequired[int]
    value: NotRequired[Any]
    reason: NotRequired[str]
    time: NotRequired[float]


LINES: dict[str, type] = {
    "sweep": SweepLine,
    "trial": TrialLine,
    "pack": PackLine,
    "row": RowLine,
    "status": StatusLine,
    "decision": DecisionLine,
    "variant": VariantLine,
    "event": EventLine,
    "artifact": ArtifactLine,
}


def check_format(found: int, place: object) -> None:
    """Raise UsageError if a ledger or checkpoint was written by a newer version than this one."""
    if found > FORMAT:
        message = f"{place} has format {found}, written by a newer ch6dist; this one reads formats up to {FORMAT}"
        raise UsageError(message, "update ch6dist")
