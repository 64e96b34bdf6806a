"""Write-ahead lines: what a trial has reported, beside its checkpoint in an object store.

The driver's ledger reaches the store some seconds after it was written, a checkpoint at once. So each `last` is
preceded by the lines that its trial has reported, and a resume after the loss of the driver's disk first takes those
that its ledger lacks: no checkpoint is ever ahead of the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ch6dist.errors import UsageError
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import LINES
from ch6dist.runs.schema import ENDED, Line
from ch6dist.storage.files import Folder


def encode_lines(lines: Iterable[Mapping[str, Any]]) -> bytes:
    """Encode lines as JSON, NaN as it is: the ledger's writer turns it into null."""
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


def decode_lines(content: bytes, *, place: str) -> list[Line]:
    """Decode the lines that `encode_lines` wrote. UsageError for anything else, naming `place`."""
    try:
        return [dict(json.loads(line)) for line in content.splitlines()]
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place} is damaged ({type(error).__name__}): each line must be a JSON object") from error


def lost_lines(checkpoints: Folder, ledger: Ledger) -> list[Line]:
    """Return the lines that unfinished trials have reported and `ledger` lacks.

    Raises OSError when `checkpoints` cannot be read.
    """
    steps: dict[str, set[int]] = {}
    for row in ledger.rows:
        steps.setdefault(row["trial"], set()).add(row["step"])
    lost: list[Line] = []
    for name in sorted(checkpoints.sizes()):
        trial = name.partition("/")[0]
        if name.endswith(f"/{LINES}.jsonl") and trial in ledger.trials and ledger.status(trial) not in ENDED:
            lines = decode_lines(checkpoints.read(name) or b"", place=f"{checkpoints}/{name}")
            lost += [line for line in lines if _is_lost(line, ledger, steps.get(trial, set()))]
    return lost


def _is_lost(line: Line, ledger: Ledger, steps: set[int]) -> bool:
    """Return whether a line is missing: one of a newer attempt, or a row; statuses of this attempt are only history."""
    known = ledger.attempt(line["trial"]) if line["trial"] in ledger.statuses else 0
    if line["attempt"] != known:
        return bool(line["attempt"] > known)
    return line["kind"] == "row" and line["step"] not in steps
