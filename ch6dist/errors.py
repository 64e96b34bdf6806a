"""The two kinds of errors that a person reads as one line, with exit status 2 and without a traceback.

raise InputError("optimizer.momentum", -1, "a number from 0 to 1")     # a value that is not allowed
raise InputError("name", MISSING, "the name of the run folder")        # a value that is not there
raise UsageError("no driver is running for demo", "nothing to stop")   # a state: a lock, an outage, a missing package
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import Enum
from functools import partial
from itertools import takewhile
from typing import Any, Final

SHORTEST_PREFIX = 3  # characters from which on a name counts as the beginning of a longer one
SUGGESTION = "did you mean"
CUTOFF = 0.5  # similarity from which on a name is suggested


class _Missing(Enum):  # an enum, so that `is MISSING` also holds after pickling
    MISSING = "missing"


MISSING: Final = _Missing.MISSING  # the value of a key that has to be given and was not


class UsageError(Exception):
    """What was asked cannot be done now: says why, and what to do instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(message, hint)  # both, so that it survives pickling

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(ValueError):
    """Wrong input: names the key, the value and what is allowed; `file` is added where the file is known."""

    def __init__(self, key: str, value: object, allowed: str, *, file: str | None = None) -> None:
        self.key, self.value, self.allowed, self.file = key, value, allowed, file
        super().__init__(str(self))

    def __str__(self) -> str:
        file = f"{self.file}: " if self.file else ""
        if self.value is MISSING:
            return f"{file}{self.key} is required" + (f": {self.allowed}" if self.allowed else "")
        key = f"{self.key}: " if self.key else ""
        allowed = self.allowed if self.allowed.startswith(SUGGESTION) else f"allowed: {self.allowed}"
        return f"{file}{key}{_shorten(self.value)} is not allowed; {allowed}"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts: a worker's error is reported by the driver."""
        return partial(type(self), file=self.file), (self.key, self.value, self.allowed)

    def within(self, prefix: str) -> InputError:
        """Return the same error, seen from one level further out: `momentum` becomes `optimizer.momentum`."""
        key = f"{prefix}.{self.key}" if self.key else prefix
        return type(self)(key, self.value, self.allowed, file=self.file)

    def in_file(self, file: str) -> InputError:
        """Return the same error, with the file it was read from."""
        return type(self)(self.key, self.value, self.allowed, file=file)


def unknown_name(key: str, name: object, valid: Iterable[str]) -> InputError:
    """Return the error for a name that is not in `valid`: suggests the nearest one and lists them all."""
    valid = list(valid)
    return InputError(key, name, f"{suggestion(name, valid)}one of {', '.join(valid)}")


def suggestion(name: object, valid: Iterable[str]) -> str:
    """Return how the text about what is allowed begins: with the name that was probably meant, if there is one."""
    near = nearest_name(str(name), valid)
    return f"{SUGGESTION} {near!r}? allowed: " if near else ""


def nearest_name(name: str, valid: Iterable[str]) -> str | None:
    """Return the name in `valid` that was probably meant, or None.

    Upper and lower case count as equal, so `adamw` is AdamW, not Adam; and a common beginning counts as much as an
    equal name, so `Cosine` is CosineAnnealingLR. Of several the most similar one is returned.
    """
    scores = {known: _similarity(name.lower(), known.lower()) for known in valid}
    best = max(scores, key=lambda known: scores[known], default=None)
    return best if best is not None and scores[best][0] >= CUTOFF else None


def _similarity(name: str, known: str) -> tuple[float, float]:
    ratio = difflib.SequenceMatcher(None, known, name).ratio()
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, known, strict=False)))
    return max(ratio, common / len(name) if common >= SHORTEST_PREFIX else 0), ratio


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
