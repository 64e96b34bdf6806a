"""Find what a running Ray consists of: its hosts, and those that its autoscaler can still start.

    hosts = cluster_hosts("auto")
    slots = find_slots(spec.resources, hosts)

Ray says how many cores and GPUs it gives out; a task on each host says what they are. Hosts that are not up yet are in
the cluster file, which `ray up` leaves on the head.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ch6dist.errors import UsageError
from ch6dist.host.hardware import Devices, Gpu, visible_devices
from ch6dist.storage.files import first_line
from ch6dist.yamlfile import read_mapping
from sweeps.on_ray import private
from sweeps.on_ray.session import ray_session

REACH_SECONDS = 10.0  # Ray itself would try for minutes
ASK_SECONDS = 60.0  # for the answers of all hosts, the start of a worker process on each included
GB = 10**9
# GB of a GPU that is not up yet, by Ray's name of its type: the smallest that is sold under it
GPU_GB = {"P4": 8, "T4": 16, "P100": 12, "V100": 16, "A10G": 24, "L4": 24, "L40S": 48, "A100": 40, "H100": 80}
GPU_GB |= {"H200": 141, "B200": 180, "B300": 270}
UNKNOWN_GPU_GB = 8
CORE_GB = 2  # memory per core, where the cluster file does not say

log = logging.getLogger(__name__)


def cluster_hosts(address: str) -> list[Devices]:
    """Return the hosts of the Ray at `address`, then those that its autoscaler can still start (`up` is False).

    The latter are known on the head alone, where the cluster file lies.
    Raises UsageError where no Ray answers, or it refuses.
    """
    try:
        with ray_session(address=_reached(address), cpus=0, gpus=0):
            nodes = sorted((node for node in ray.nodes() if node["Alive"]), key=_head_first)
            hosts = [_host(node, answer) for node, answer in zip(nodes, _ask(nodes), strict=True)]
            here = ray.get_runtime_context().get_node_id()
    except AuthenticationError as error:
        hint = "use the token of the cluster: ~/.ray/auth_token, or RAY_AUTH_TOKEN_PATH"
        raise UsageError(f"the Ray at {address} refuses this token: {first_line(error)}", hint) from None
    except (OSError, ValueError, RuntimeError, RayError) as error:
        hint = "`ray status` on a host of the cluster says whether it is running"
        raise UsageError(f"no Ray answers at --address {address}: {first_line(error)}", hint) from None
    leads = any(node["NodeID"] == here and private.HEAD_RESOURCE in node["Resources"] for node in nodes)
    file = Path(os.path.expanduser("~"), private.BOOTSTRAP_FILE)
    return hosts + (coming_hosts(read_mapping(file), nodes) if leads and file.is_file() else [])


def coming_hosts(config: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> list[Devices]:
    """Return the hosts that an autoscaler can start besides `nodes`.

    Args:
        config: the cluster file.
        nodes: as `ray.nodes()` gives them.

    One of each node type comes first: where `max_workers` ends the list before all types are used up, the largest host
    is still in it. A type whose resources are not in the file is left out.
    """
    up = [node for node in nodes if private.HEAD_RESOURCE not in node["Resources"]]
    free: dict[str, int] = {}
    types = config.get("available_node_types") or {}
    for name, entry in types.items():
        head_only = 0 if name == config.get("head_node_type") else config.get("max_workers", 0)
        running = sum(_is_of(node, name, entry.get("resources") or {}) for node in up)
        free[name] = entry.get("max_workers", head_only) - running if "CPU" in (entry.get("resources") or {}) else 0
    rounds = [name for turn in range(max(free.values(), default=0)) for name in free if free[name] > turn]
    chosen = rounds[: max(0, config.get("max_workers", 0) - len(up))]
    return [_coming(name, types[name]["resources"]) for name in chosen]


def _head_first(node: Mapping[str, Any]) -> tuple[bool, str]:
    return private.HEAD_RESOURCE not in node["Resources"], node["NodeManagerHostname"]


def _reached(address: str) -> str:
    """Return `address` as host:port, at which something listens."""
    found = private.canonical_address(address)
    host, _, port = found.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS):
        return found


def _ask(nodes: Sequence[Mapping[str, Any]]) -> list[Devices | None]:
    """Ask each host for its devices; None, and a warning, where it does not answer."""
    task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(devices_of_host)
    pins = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    asked = [task.options(scheduling_strategy=pin).remote() for pin in pins]
    answered, _ = ray.wait(asked, num_returns=len(asked), timeout=ASK_SECONDS)
    return [
        _answer(reference, node) if reference in answered else _silent(node, f"no answer within {ASK_SECONDS:.0f} s")
        for reference, node in zip(asked, nodes, strict=True)
    ]


def devices_of_host() -> Devices:
    """Return the devices of the host that runs this task, those included that Ray hides from a task without GPUs."""
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    return visible_devices()


def _answer(reference: Any, node: Mapping[str, Any]) -> Devices | None:
    try:
        devices: Devices = ray.get(reference)
        return devices
    except RayError as error:
        return _silent(node, str(error).strip().splitlines()[-1])  # above it stands where it was raised


def _silent(node: Mapping[str, Any], why: str) -> Devices | None:
    log.warning("the devices of %s are unknown: %s", node["NodeManagerHostname"], why)
    return None


def _host(node: Mapping[str, Any], answer: Devices | None) -> Devices:
    """Return a host that is up: as much as Ray gives out of it, described as the host describes itself."""
    given = node["Resources"]
    assumed = _assumed(given)
    host = replace(assumed, name=node["NodeManagerHostname"], up=True)
    if answer is None:
        return host
    known = answer.gpus[: len(assumed.gpus)]
    gpus = known + assumed.gpus[len(known) :]
    return replace(host, memory_bytes=answer.memory_bytes, cpu_name=answer.cpu_name, gpus=gpus)


def _coming(name: str, resources: Mapping[str, Any]) -> Devices:
    return replace(_assumed(resources), name=name, up=False)


def _assumed(resources: Mapping[str, Any]) -> Devices:
    """Return a host as Ray's resources describe it; the memory of its GPUs by their type."""
    cpus = int(resources.get("CPU", 0))
    kinds = [key.partition(":")[2] for key in resources if key.startswith("accelerator_type:")]
    kind = kinds[0] if kinds else "GPU"
    gpu = Gpu(kind, GPU_GB.get(kind, UNKNOWN_GPU_GB) * GB, assumed=True)
    memory = int(resources.get("memory") or max(1, cpus) * CORE_GB * GB)
    return Devices(cpus=cpus, memory_bytes=memory, gpus=(gpu,) * int(resources.get("GPU", 0)))


def _is_of(node: Mapping[str, Any], name: str, resources: Mapping[str, Any]) -> bool:
    """Return whether a host is of a node type: by its label, or by its cores and GPUs where it has none."""
    label = node.get("Labels", {}).get(private.NODE_TYPE_LABEL)
    if label:
        return bool(label == name)
    return all(node["Resources"].get(key, 0) == resources.get(key, 0) for key in ("CPU", "GPU"))
