"""Measured training speeds, kept in the user's cache: images per second by device, model and engine.

    record_calibration(calibration_key("AMD EPYC", "lenet5"), 9_800)
    read_calibration()      # {'AMD EPYC/lenet5': 9800.0}

The file is `${XDG_CACHE_HOME:-~/.cache}/ch6dist/calibration.json`, below TMPDIR for a user without a home. Losing it
costs an estimate, never a run.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ch6dist.catalog.parameters import as_number
from ch6dist.paths import cache_folder
from ch6dist.storage.atomic import replace_file

log = logging.getLogger(__name__)


def calibration_file() -> Path:
    """Return the path of the user's measured speeds; the file may be missing."""
    return cache_folder() / "calibration.json"


def calibration_key(device: str, model: str, engine: str = "eager") -> str:
    """Return the key of a speed: names of the device (for CPUs, of one core), the model and any engine but eager."""
    return f"{device}/{model}" if engine == "eager" else f"{device}/{model}/{engine}"


def read_calibration() -> dict[str, float]:
    """Return images per second of one process by `calibration_key`; ignore damaged entries with a logged warning."""
    path = calibration_file()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("ignored %s: %s", path, error)
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    speeds = {key: number for key, value in entries if (number := as_number(value)) is not None and number > 0}
    if not isinstance(content, dict) or len(speeds) < len(content):
        log.warning("%s: ignored entries that are not speeds", path)
    return speeds


def record_calibration(key: str, images_per_second: float) -> None:
    """Save a measured speed, replacing the file in one step; log a warning if the cache cannot be written."""
    path = calibration_file()
    speeds = read_calibration() | {key: images_per_second}
    try:
        replace_file(path, json.dumps(speeds, indent=1, sort_keys=True))
    except OSError as error:
        log.warning("the measured speed is not kept for the next plan: %s", error)
