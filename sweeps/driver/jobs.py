"""What the driver hands to its workers: packs, and the job that all packs of a launch share."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ch6dist.runs.schema import EngineName
from sweeps.plan.slots import Slots

WORKER = "sweeps.on_ray.pack_worker:train_pack"  # by name: torch is imported where it trains, not in the driver
MEMBER = "sweeps.on_ray.pack_worker:train_member"
DEAD = "its worker process died"  # why a pack broke that said nothing itself
HOST_LOST = "its host was lost"


@dataclass(frozen=True)
class PackJob:
    """A pack as it is launched."""

    trials: tuple[str, ...]  # ids
    engine: EngineName = "eager"


@dataclass(frozen=True, eq=False)
class Job:
    """What every pack of a launch has in common, and the packs."""

    packs: tuple[PackJob, ...]
    trials: Mapping[str, dict[str, Any]]  # configurations by id: a trial may join another pack than its own
    attempts: Mapping[str, int]
    checkpoints: str  # folder, on storage that driver and workers share
    slots: Slots  # the places the packs are trained in
    data_root: str = ""  # where the driver finds the data sets, for hosts whose CH6DIST_DATA says nothing
    checkpoint_seconds: float = 30.0  # how often a running trial's `last` is written
    worker: str = WORKER  # module:function that trains a pack
    member: str = MEMBER  # module:function of the other workers of a pack, where there are several
    mailbox: str = field(default_factory=lambda: f"ch6dist-orders-{uuid.uuid4().hex}")  # actor that holds the orders


@dataclass(frozen=True)
class MemberOrder:
    """What the process of a pack asks of its other workers: to train this with it."""

    pack: PackJob
    attempts: Mapping[str, int]
    address: str  # of rank 0
    port: int
    rank: int = 0
