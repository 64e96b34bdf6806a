"""The columns of a row, defined here and nowhere else: what each means, and which say how fast instead of what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    Column("lr", "float64", "learning rate used in that step"),
    Column("momentum", "float64", "momentum (or beta1) used in that step; empty if the optimizer has none"),
    Column("train_loss", "float64", "mean over the samples really seen in the epoch (range test: in the step)"),
    Column("train_accuracy", "float64", "fraction, same samples, in training mode"),
    Column("val_loss", "float64", "mean over the validation split, evaluation mode"),
    Column("val_accuracy", "float64", "fraction"),
    Column("shared", "string", "trial that has trained this epoch for this one too; empty: it was trained here", True),
    Column("time", "float64", "wall-clock time when the row was made, in unix seconds", True),
    Column("seconds", "float64", "training time of the epoch divided by the lanes alive, evaluation excluded", True),
    Column("eval_seconds", "float64", "validation time divided by the lanes alive", True),
    Column("lanes", "int64", "trials that shared the device during the epoch: the condition of the seconds", True),
    Column("images_per_second", "float64", "training images per second of this trial's share of the time", True),
    Column("peak_memory_bytes", "int64", "peak memory of the pack's process (CPU) or device (GPU)", True),
    Column("exploding_steps", "int64", "captured steps of the epoch that exploded (capture_signs.py)"),
    Column("vanishing_gradients", "int64", "captured gradients that vanished in the epoch"),
    Column("saturated_layers", "int64", "captured layers that were saturated in the epoch"),
    Column(
        "val_top5_accuracy", "float64", "fraction whose class is among the five largest outputs (`metrics: [top5]`)"
    ),
    Column("val_coarse_accuracy", "float64", "fraction taken for a class of their superclass (`metrics: [coarse]`)"),
    Column("test_loss", "float64", "mean over the test set, once, at the end of a final training"),
    Column("test_accuracy", "float64", "fraction, once, at the end of a final training"),
    Column("test_top5_accuracy", "float64", "as val_top5_accuracy, once, at the end of a final training"),
    Column("test_coarse_accuracy", "float64", "as val_coarse_accuracy, once, at the end of a final training"),
)

SIGNS = ("exploding_steps", "vanishing_gradients", "saturated_layers")  # columns of rows whose trial captures
ASKED = tuple(column.name for column in ROW_COLUMNS if column.name.endswith(("_top5_accuracy", "_coarse_accuracy")))
VOLATILE_COLUMNS = frozenset(column.name for column in ROW_COLUMNS if column.volatile)
