"""A real Ray of two cores that outlives the drivers which join it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray
from ray._private.state import actors
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from tests.support.commands import QUIET


@contextmanager
def two_cores() -> Iterator[str]:
    """Its address. Its raylet, and all that the raylet starts, are below this process."""
    monkeypatch = pytest.MonkeyPatch()
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    node = {"num_cpus": 2, "num_gpus": 0, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    made = Cluster(initialize_head=True, head_node_args=node)
    try:
        yield made.address
    finally:
        made.shutdown()
        monkeypatch.undo()


def left_in(address: str) -> list[str]:
    """The actors, placement groups and used cores of a Ray on which nothing should run."""
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        found = [actor["ActorClassName"] for actor in actors().values() if actor["State"] != "DEAD"]
        found += [
            group["name"] or "a group" for group in placement_group_table().values() if group["state"] != "REMOVED"
        ]
        return found + ([] if ray.available_resources()["CPU"] == 2 else ["cores in use"])
    finally:
        ray.shutdown()
