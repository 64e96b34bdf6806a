"""What a sweep records: the columns of a row and the statuses of a trial, defined here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

EngineName = Literal["eager", "fused"]  # what trains a pack: its lanes one after another, or all as one model


@dataclass(frozen=True)
class Column:
    """One column of a row. `volatile` columns say how fast, not what: they differ between two equal runs."""

    name: str
    dtype: Literal["string", "int64", "float64"]
    meaning: str
    volatile: bool = False


ROW_COLUMNS = (
    Column("trial", "string", "trial id"),
    Column("attempt", "int64", "1 for the first; a rerun or a restart from zero opens the next"),
    Column("epoch", "int64", "epochs completed when the row was made (from 1); range test: epoch of the step"),
    Column("step", "int64", "optimizer step after which the row was made (from 1)"),
    Column("lr", "float64", "rate used in that step"),
    Column("momentum", "float64", "momentum (or beta1) used in that step; empty if the optimizer has none"),
    Column("train_loss", "float64", "mean over the samples really seen in the epoch (range test: in the step)"),
    Column("train_accuracy", "float64", "fraction, same samples, in training mode"),
    Column("val_loss", "float64", "mean over the validation split, evaluation mode"),
    Column("val_accuracy", "float64", "fraction"),
    Column("seconds", "float64", "training time of the epoch divided by the lanes alive, evaluation excluded", True),
    Column("eval_seconds", "float64", "validation time divided by the lanes alive", True),
    Column("lanes", "int64", "trials that shared the device during the epoch: the condition of the seconds", True),
    Column("images_per_second", "float64", "training images per second of this trial's share of the time", True),
    Column("peak_memory_bytes", "int64", "peak memory of the pack's process (CPU) or device (GPU)", True),
    Column("test_loss", "float64", "mean over the test set, once, at the end of a final training"),
    Column("test_accuracy", "float64", "fraction, once, at the end of a final training"),
)

KEY_COLUMNS = ("trial", "attempt", "step")
VOLATILE_COLUMNS = frozenset(column.name for column in ROW_COLUMNS if column.volatile)


class Status(StrEnum):
    """The states of a trial. `interrupted` is never written: it is `running` without a live driver."""

    PLANNED = "planned"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"
    STOPPED = "stopped"  # early, by a scheduler or a person
    DIVERGED = "diverged"  # a result: non-finite loss, or above a stated multiple of its start
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"  # infrastructure or a bug


ENDED = frozenset({Status.FINISHED, Status.STOPPED, Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED})
BROKEN = frozenset({Status.OUT_OF_MEMORY, Status.FAILED})
