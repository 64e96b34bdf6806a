"""What two ledgers differ in: of trainings that were to be the same."""

from __future__ import annotations

from ch6dist.runs.columns import ROW_COLUMNS, VOLATILE_COLUMNS
from ch6dist.runs.ledger import Ledger


def differences(a: Ledger, b: Ledger) -> list[str]:
    """Return why two ledgers are not equal (times, speeds, memory and attempts aside); empty when they are."""
    columns = [c.name for c in ROW_COLUMNS if c.name not in VOLATILE_COLUMNS | {"attempt"}]
    left = {(row["trial"], row["step"]): row for row in a.rows}
    right = {(row["trial"], row["step"]): row for row in b.rows}
    found = [f"only in the first: {key}" for key in sorted(left.keys() - right.keys())]
    found += [f"only in the second: {key}" for key in sorted(right.keys() - left.keys())]
    for key in sorted(left.keys() & right.keys()):
        for name in (name for name in columns if left[key].get(name) != right[key].get(name)):
            found.append(f"{key} {name}: {left[key].get(name)} and {right[key].get(name)}")
    found += [f"{trial} only in one of the two" for trial in sorted(a.trials.keys() ^ b.trials.keys())]
    for trial in sorted(a.trials.keys() & b.trials.keys()):
        if a.status(trial) != b.status(trial):
            found.append(f"{trial} status: {a.status(trial)} and {b.status(trial)}")
    return found
