"""The messages between a worker and the driver. The driver replies to each but Pace with what the pack is to do next.

Begin → Reply          a pack's worker is there: the trials that it trains
Lines → Reply          ledger lines of a pack; on the disk when the answer comes
Failed → Reply         why a pack ends before its trials do
Pace                   how far a pack is within its epoch; not answered
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ch6dist.branches import Branch
from ch6dist.packs import Leave
from ch6dist.runs.schema import Line


@dataclass(frozen=True)
class Begin:
    """A pack's worker is there."""


@dataclass(frozen=True)
class Lines:
    """Ledger lines of a pack, to be written before it continues."""

    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Failed:
    """A pack cannot be trained to its end."""

    kind: str  # failed, out_of_memory, data or storage: the driver decides by it
    reason: str  # one line
    traceback: str = ""
    host: str = ""


@dataclass(frozen=True)
class Pace:
    """How far a pack is within its epoch."""

    trials: tuple[str, ...]  # ids of those that are trained by now
    step: int
    steps: int  # of the epoch
    images_per_second: float  # over the lanes together

    @property
    def part(self) -> float:
        """Return the part of the epoch that is done, from 0 to 1."""
        return self.step / self.steps


Message = Begin | Lines | Failed | Pace


@dataclass(frozen=True)
class Reply:
    """What a pack is to do next."""

    leave: Mapping[str, Leave] = field(default_factory=dict)  # trials that are to stop or to wait from now on, by id
    admit: tuple[Mapping[str, Any], ...] = ()  # configurations, as data, of trials that it trains from now on
    attempts: Mapping[str, int] = field(default_factory=dict)  # of these, by id
    branches: Mapping[str, Branch] = field(default_factory=dict)  # of these, where they leave another trial, by id
    keep: Mapping[str, Sequence[int]] = field(default_factory=dict)  # of these, epochs at which others leave them
    variants: Mapping[str, str] = field(default_factory=dict)  # kernel variants of the run, by key
    halt: bool = False  # it is to save its trials and end: the driver was asked to stop


@dataclass(frozen=True)
class Address:
    """Where the driver listens, and what a worker has to know to be heard."""

    host: str
    port: int
    key: bytes
