"""Answers that the user's cache keeps, each under what it depends on. Losing one costs time, never a run.

SIZES = Answers("sizes")
SIZES.keep({"parameter_count": 69656}, "lenet5", "torch 2.15.0")
SIZES.read("lenet5", "torch 2.15.0")    # the same again; None for another key, and where it is damaged
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ch6dist.paths import cache_folder
from ch6dist.storage.atomic import replace_file

DIGITS = 24


@dataclass(frozen=True)
class Answers:
    """The answers of one kind: a folder of the cache, with a file of JSON for each."""

    kind: str

    def read(self, *key: str) -> dict[str, Any] | None:
        """Return the answer that was kept under a key; None where there is none that can be read."""
        try:
            content = json.loads(self.place(*key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def keep(self, content: dict[str, Any], *key: str) -> None:
        """Keep an answer; a cache that cannot be written keeps none."""
        with contextlib.suppress(OSError):
            replace_file(self.place(*key), json.dumps(content, indent=1))

    def place(self, *key: str) -> Path:
        """Return the file of an answer."""
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()[:DIGITS]
        return cache_folder() / self.kind / f"{name}.json"
