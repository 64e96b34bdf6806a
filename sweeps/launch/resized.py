"""What becomes of a schedule in a final training: longer than in the sweep, perhaps without a validation split.

schedule, changed = without_validation(trial.schedule)
notes = kept_counts(chosen, resized)        # ["step_size stays 5 though the training goes from 10 to 60 epochs; …"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.config import TrialConfig

LENGTHS = {
    parameter.name
    for entry in (*SCHEDULES.values(), *LAMBDA_PRESETS.values())
    for parameter in entry.parameters
    if parameter.kind in ("duration", "durations")
}


def without_validation(schedule: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a schedule that watches the training metric in place of the validation metric, and whether it did."""
    monitor = str(schedule.get("monitor", ""))
    if not monitor.startswith("val_"):
        return schedule, False
    return schedule | {"monitor": "train_" + monitor.removeprefix("val_")}, True


def kept_counts(chosen: TrialConfig, resized: TrialConfig) -> list[str]:
    """Return notes on whole epoch counts, which stay as they are when the training gets longer."""
    kept = [f"{key} stays {value}" for key, value in _counts(chosen.schedule)]
    if not kept or chosen.epochs == resized.epochs:
        return []
    change = f"from {chosen.epochs} to {resized.epochs} epochs"
    return [f"{', '.join(kept)} though the training goes {change}; fractions such as 0.5 would follow it"]


def _counts(schedule: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the lengths of a resolved schedule that do not follow the training, by dotted key."""
    for key, value in schedule.items():
        if key in LENGTHS and value is not None and not isinstance(value, float):
            yield key, value
        elif key == "warmup":
            yield "warmup.epochs", value["epochs"]
        elif key == "schedulers":
            for number, inner in enumerate(value):
                yield from ((f"schedulers.{number}.{name}", count) for name, count in _counts(inner))
