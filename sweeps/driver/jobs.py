"""What the driver launches: packs, and the job that all packs of a launch share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ch6dist.config import TrialConfig
from ch6dist.runs.own_code import OwnCode
from ch6dist.runs.schema import EngineName, PackLine
from sweeps.plan.slots import Slots
from sweeps.wire.messages import Address

WORKER = "sweeps.on_ray.pack_worker:train_pack"  # by name: torch is imported where it trains, not in the driver
RANK_WORKER = "sweeps.on_ray.pack_worker:train_rank"


@dataclass(frozen=True)
class PackJob:
    """A pack as it is launched."""

    trials: tuple[str, ...]  # ids
    engine: EngineName = "eager"

    def line(self, time: float) -> PackLine:
        """Make the ledger's line of the pack; the newest one that names a trial says with whom a resume trains it."""
        return {"kind": "pack", "trials": list(self.trials), "engine": self.engine, "time": time}


@dataclass(frozen=True, eq=False)
class Job:
    """What all packs of a launch have in common. Which trials a pack trains, the driver says when it begins."""

    wire: Address  # of the driver
    checkpoints: str  # folder or URL, on storage that driver and workers share
    captures: str  # likewise
    slots: Slots  # in which the packs are trained
    data_root: str = ""  # where the driver finds the data sets, for hosts that do not set CH6DIST_DATA
    checkpoint_seconds: float = 30.0  # between two `last` checkpoints of a running trial
    code: OwnCode = field(default_factory=OwnCode)  # of the user's own: files too, for hosts that do not have them
    worker: str = WORKER  # module:function that trains a pack
    rank_worker: str = RANK_WORKER  # module:function that ranks 1 … N-1 of a pack run


@dataclass(frozen=True)
class RankOrder:
    """What rank 0 of a pack sends to its other ranks: to train this with it."""

    trials: tuple[TrialConfig, ...]
    engine: EngineName
    attempts: Mapping[str, int]
    address: str  # of rank 0
    port: int
    rank: int = 0
