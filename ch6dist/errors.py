"""The two kinds of errors that a person reads as one line, with exit status 2 and without a traceback.

raise InputError("optimizer.momentum", -1, "a number from 0 to 1")     # a value that is not allowed
raise UsageError("no driver is running for demo", "nothing to stop")   # a state: a lock, an outage, a missing package
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import partial
from typing import Any


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
        place = [part for part in (self.file, self.key) if part]
        return ": ".join([*place, f"{_shorten(self.value)} is not allowed; allowed: {self.allowed}"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes: an error of one worker is told by another."""
        return partial(type(self), file=self.file), (self.key, self.value, self.allowed)

    def within(self, prefix: str) -> InputError:
        """The same error, seen from one level further out: `momentum` becomes `optimizer.momentum`."""
        key = f"{prefix}.{self.key}" if self.key else prefix
        return type(self)(key, self.value, self.allowed, file=self.file)

    def in_file(self, file: str) -> InputError:
        """The same error, with the file it was read from."""
        return type(self)(self.key, self.value, self.allowed, file=file)


def unknown_name(key: str, name: object, valid: Iterable[str]) -> InputError:
    """The error for a name that is not in `valid`: says the nearest one and lists them all."""
    valid = list(valid)
    near = [word for word in valid if word.lower() == str(name).lower()][:1]  # 'adamw' is AdamW, not Adam
    near = near or difflib.get_close_matches(str(name), valid, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InputError(key, name, f"{hint}one of {', '.join(valid)}")


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
