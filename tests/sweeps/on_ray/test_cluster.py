"""The hosts of a cluster: read from real raylets on this machine; hosts not up yet from the configuration."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from ch6dist.errors import InputError
from ch6dist.host.hardware import Gpu, visible_devices
from sweeps.on_ray import cluster as cluster_module
from sweeps.on_ray.cluster import cluster_hosts, coming_hosts
from sweeps.on_ray.private import BOOTSTRAP_FILE, HEAD_RESOURCE, NODE_TYPE_LABEL
from sweeps.plan.hosts import total
from sweeps.plan.slots import find_slots
from sweeps.spec.sweep_file import Resources
from tests.support.commands import sweep_file
from tests.support.paths import ROOT
from tests.sweeps.test_main import ask

STORE = {"object_store_memory": 80 * 2**20}
CONFIG: dict[str, Any] = {
    "max_workers": 4,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 0}, "max_workers": 0},
        "large": {"resources": {"CPU": 48, "GPU": 4, "accelerator_type:A10G": 1}, "max_workers": 3},
        "small": {"resources": {"CPU": 4, "GPU": 1, "accelerator_type:T4": 1, "memory": 10**10}, "max_workers": 9},
    },
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A head without cores, two raylets with GPUs that only Ray believes in, one with a core."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # workers inherit it from raylets
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **STORE})
    try:
        made.add_node(num_cpus=2, num_gpus=2, resources={"accelerator_type:T4": 1}, **STORE)
        made.add_node(num_cpus=1, **STORE)
        yield made.address
    finally:
        made.shutdown()
        monkeypatch.undo()


@pytest.fixture(autouse=True)
def home(in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(in_tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp_path))


def test_every_host_has_the_resources_of_ray_and_describes_itself(address: str) -> None:
    hosts = cluster_hosts(address)
    assert (hosts[0].cpus, len(hosts[0].gpus)) == (0, 0)  # the head
    assert Counter((host.cpus, len(host.gpus)) for host in hosts) == {(0, 0): 1, (2, 2): 1, (1, 0): 1}
    assert all(host.up for host in hosts)
    here = visible_devices()
    assert {(host.cpu_name, host.memory_bytes) for host in hosts} == {(here.cpu_name, here.memory_bytes)}
    assert {host.name for host in hosts} == {socket.gethostname()}
    if not here.gpus:
        assert total(hosts).gpus == (Gpu("T4", 16 * 10**9, assumed=True),) * 2
    assert find_slots(Resources(workers=2), hosts).count == 1
    with pytest.raises(InputError, match="at most 2"):
        find_slots(Resources(workers=3), hosts)
    assert not ray.is_initialized()


def test_a_host_that_does_not_answer_is_taken_as_ray_describes_it(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cluster_module, "ASK_SECONDS", 0.0)
    hosts = cluster_hosts(address)
    assert Counter((host.cpus, len(host.gpus)) for host in hosts) == {(0, 0): 1, (2, 2): 1, (1, 0): 1}
    assert all(gpu.assumed for gpu in total(hosts).gpus)
    assert "no answer within 0 s" in caplog.text


def test_hosts_not_up_yet_are_read_from_the_configuration_of_ray_up(address: str, tmp_path: Path) -> None:
    (tmp_path / BOOTSTRAP_FILE).write_text(json.dumps(CONFIG))
    hosts = cluster_hosts(address)
    assert [host.up for host in hosts] == [True] * 3 + [False] * 2  # four workers at most, two are up
    assert {host.name for host in hosts if not host.up} == {"large", "small"}


def test_a_plan_for_a_cluster_shows_its_hosts_slots_and_shared_storage(address: str, tmp_path: Path) -> None:
    (tmp_path / BOOTSTRAP_FILE).write_text(json.dumps(CONFIG))
    spec = sweep_file(tmp_path, resources={"workers": 2})
    status, out, err = ask("plan", spec, "--address", address, "--json")
    assert (status, err) == (0, "")
    plan = json.loads(out)
    assert (len(plan["hosts"]), plan["hosts_not_up"]) == (5, 2)
    assert plan["slots"]["count"] == 1 + 2  # two GPUs here, four on the large host that may come
    assert plan["workers"] == "2 workers train each trial (global batch 64 = 32 + 32), on one host"
    assert any("5 hosts, 2 of them not up yet" in note and "storage they share" in note for note in plan["notes"])
    assert any("assumed" in note for note in plan["notes"])
    status, out, err = ask("plan", spec, "resources.workers=5", "--address", address)
    assert (status, out) == (2, "")
    assert "at most 4 (each worker needs a GPU, the largest host has 4; span_hosts: true would allow 7)" in err


def test_an_address_without_a_ray_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, not listening: nothing answers
        port = silent.getsockname()[1]
        for address in (f"127.0.0.1:{port}", "nonsense", "127.0.0.1:port"):
            status, out, err = ask("plan", sweep_file(tmp_path), "--address", address)
            assert (status, out) == (2, "")
            assert err.startswith(f"sweeps: no Ray answers at --address {address}: ")
            assert err.count("\n") == 1


def test_another_machine_is_not_calibrated_from_here(tmp_path: Path) -> None:
    status, _, err = ask("plan", sweep_file(tmp_path), "--address", "auto", "--calibrate")
    assert (status, err.count("\n")) == (2, 1)
    assert "--calibrate times this machine" in err


def node(cpus: int, gpus: int, *, of: str = "", head: bool = False) -> dict[str, Any]:
    resources = {"CPU": cpus, "GPU": gpus, **({HEAD_RESOURCE: 1.0} if head else {})}
    return {"Resources": resources, "Labels": {NODE_TYPE_LABEL: of} if of else {}}


@pytest.mark.parametrize(
    ("up", "coming"),
    [
        ([], {"large": 2, "small": 2}),
        ([node(0, 0, head=True)], {"large": 2, "small": 2}),
        ([node(48, 4, of="large")] * 3, {"small": 1}),
        ([node(48, 4)] * 3, {"small": 1}),  # by their resources, without a label
        ([node(4, 1, of="small")] * 2, {"large": 1, "small": 1}),
        ([node(4, 1)] * 4, {}),
        ([node(4, 1)] * 5, {}),  # more than the configuration allows: it has been changed
    ],
)
def test_hosts_not_up_yet_are_those_the_configuration_still_allows(
    up: list[dict[str, Any]], coming: dict[str, int]
) -> None:
    hosts = coming_hosts(CONFIG, up)
    assert Counter(host.name for host in hosts) == coming
    assert not any(host.up for host in hosts)
    for host in hosts:
        gpus = {"large": (48, 4, 24), "small": (4, 1, 16)}[host.name]
        assert (host.cpus, len(host.gpus), host.gpus[0].memory_bytes // 10**9) == gpus


def test_a_node_type_of_unknown_resources_promises_nothing() -> None:
    local = {"local.cluster.node": {"resources": {}, "max_workers": 2}}
    assert coming_hosts({"max_workers": 2, "available_node_types": local}, []) == []
    assert coming_hosts({}, []) == []
