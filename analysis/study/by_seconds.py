"""Which training runs may be compared by their seconds: those of equal lanes on one device.

kept = comparable_by_seconds(study, trials)         # ids, in order; empty: none are comparable
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from analysis.study.load import Run, Study


def comparable_by_seconds(study: Study, trials: Sequence[str]) -> list[str]:
    """Return the trials, in order, whose seconds mean the same: the largest group of equal lanes and device.

    A trial whose lanes changed on the way is in no group: its epochs differ among themselves. Nor is one of a run that
    went on with other hardware, or one without seconds.
    """
    devices = {run.name: _device(run) for run in study.runs}
    names = study.trials.set_index("trial")["run"]
    conditions: dict[str, tuple[str, int]] = {}
    for trial in trials:
        rows, device = study.rows[trial], devices[str(names[trial])]
        lanes = {row.get("lanes") for row in rows}
        if len(lanes) == 1 and device is not None and all(row.get("seconds") is not None for row in rows):
            conditions[trial] = (device, int(lanes.pop() or 1))
    if not conditions:
        return []
    counts = Counter(conditions.values())
    common = max(counts, key=lambda condition: (counts[condition], -condition[1], condition[0]))
    return [trial for trial in trials if conditions.get(trial) == common]


def _device(run: Run) -> str | None:
    """Return the kind of device that a run was trained on; None if a driver found another one than those before."""
    found = set()
    for head in run.ledger.sweeps:
        hardware = head.get("hardware") or {}
        gpus = {gpu if isinstance(gpu, str) else str(gpu.get("name", gpu)) for gpu in hardware.get("gpus") or []}
        found.add(", ".join(sorted(gpus)) or str(hardware.get("cpu") or ""))
    return found.pop() if len(found) == 1 else None if found else ""
