"""How far the running trials of a run are within their epochs, for a `sweeps status` in another process.

    write_pace(run, trials, remaining_seconds=40.0)     # by the driver, every second
    read_pace(run)["trials"]                            # step, steps, images_per_second, remaining_seconds by trial
    remove_pace(run)

It is no part of the record: what it says is true for a second.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ch6dist.runs.names import PACE
from ch6dist.storage.atomic import replace_file

NOTHING: dict[str, Any] = {"remaining_seconds": None, "trials": {}}


def write_pace(run: Path, trials: Mapping[str, Mapping[str, Any]], *, remaining_seconds: float | None) -> None:
    """Write how far the running trials are, and the time to go of the whole run. A disk that is full costs nothing."""
    content = {"remaining_seconds": remaining_seconds, "trials": trials}
    with contextlib.suppress(OSError):
        replace_file(run / PACE, json.dumps(content))


def read_pace(run: Path) -> dict[str, Any]:
    """Return what a driver has written last; nothing where none has, or a damaged file is there."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return NOTHING | dict(json.loads((run / PACE).read_text(encoding="utf-8")))
    return NOTHING


def remove_pace(run: Path) -> None:
    """Remove the file: nothing is running any more."""
    with contextlib.suppress(OSError):
        (run / PACE).unlink(missing_ok=True)
