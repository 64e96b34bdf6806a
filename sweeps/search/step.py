"""What a search answers: what is to be trained, and which trials are to be added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ch6dist.runs.schema import TrialLine


@dataclass(frozen=True)
class Step:
    """Train a trial from where it is up to an epoch."""

    trial: str
    until: int
    say: Callable[[], str] = field(default=str, compare=False, repr=False)  # written only when somebody asks

    @property
    def why(self) -> str:
        """Return why; empty: the sweep begins with it."""
        return self.say()


@dataclass(frozen=True)
class New:
    """A trial that is to be added to the ledger, and why now."""

    line: TrialLine
    why: str = ""  # empty: the sweep begins with it
