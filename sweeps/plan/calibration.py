"""How fast this machine trained before: images per second of a device and model, in the user's cache.

    record_calibration(calibration_key("AMD EPYC", "lenet5"), 9_800)
    read_calibration()      # {'AMD EPYC/lenet5': 9800.0}

The file is `${XDG_CACHE_HOME:-~/.cache}/ch6dist/calibration.json`. Losing it costs an estimate, never a run.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from ch6dist.catalog.parameters import as_number
from ch6dist.storage.atomic import replace_file

log = logging.getLogger(__name__)


def calibration_file() -> Path:
    """Where this person's measured speeds are kept; it need not be there."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ch6dist" / "calibration.json"


def calibration_key(device: str, model: str, engine: str = "eager") -> str:
    """By a device's name (a core's, for CPUs), a model's, and an engine's where it is not the eager one."""
    return f"{device}/{model}" if engine == "eager" else f"{device}/{model}/{engine}"


def read_calibration() -> dict[str, float]:
    """Images per second of one process by `calibration_key`; empty, with a logged word, if the file is damaged."""
    path = calibration_file()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("%s is ignored: %s", path, error)
        return {}
    entries = content.items() if isinstance(content, dict) else ()
    speeds = {key: number for key, value in entries if (number := as_number(value)) is not None and number > 0}
    if not isinstance(content, dict) or len(speeds) < len(content):
        log.warning("%s: entries that are no speed are ignored", path)
    return speeds


def record_calibration(key: str, images_per_second: float) -> None:
    """Keep a measured speed, replacing the file in one step. A cache that cannot be written is only logged."""
    path = calibration_file()
    speeds = read_calibration() | {key: images_per_second}
    try:
        replace_file(path, json.dumps(speeds, indent=1, sort_keys=True))
    except OSError as error:
        log.warning("the speed is not kept for the next plan: %s", error)
