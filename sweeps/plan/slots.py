"""Slots: how many packs run at once on one host or on several, and what each gets.

slots = find_slots(spec.resources, [visible_devices()])     # InputError if no pack fits
slots = find_slots(spec.resources, cluster_hosts("auto"))
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ch6dist.errors import InputError
from ch6dist.host.hardware import Devices
from sweeps.spec.sweep_file import Resources

Hosts = Devices | Sequence[Devices]  # one host, or those of a cluster


@dataclass(frozen=True)
class Slots:
    """Slots for packs: `count` run at once, each on `workers` processes with `memory_bytes` of a device's memory."""

    kind: Literal["cpu", "gpu"]
    count: int
    memory_bytes: int
    device: str  # the device's name, part of the key of its calibrations
    cpus: int  # per worker
    gpus: float  # per worker
    workers: int = 1  # processes per pack
    span_hosts: bool = False  # the workers of a pack may be on several hosts


def as_hosts(hosts: Hosts) -> tuple[Devices, ...]:
    """Return one host or several as a tuple."""
    return (hosts,) if isinstance(hosts, Devices) else tuple(hosts)


def find_slots(resources: Resources, hosts: Hosts) -> Slots:
    """Return the slots that `resources` give on `hosts`; raise InputError with the reason if there are none.

    Hosts without what a worker needs do not count. The workers of a pack are on one host unless they may span hosts.
    """
    hosts = as_hosts(hosts)
    gpus = gpus_per_worker(resources, hosts)
    fitting = [workers_on_host(host, cpus=resources.cpus, gpus=gpus) for host in hosts]
    workers, span = resources.workers, resources.span_hosts and resources.workers > 1
    count = sum(fitting) // workers if span else sum(fit // workers for fit in fitting)
    if not count:
        raise _no_slots_error(resources, hosts, gpus, fitting)
    used = [(host, fit) for host, fit in zip(hosts, fitting, strict=True) if fit >= (1 if span else workers)]
    if gpus:
        smallest = min((gpu for host, _ in used for gpu in host.gpus), key=lambda gpu: gpu.memory_bytes)
        name, memory = smallest.name, int(smallest.memory_bytes * min(1.0, gpus))  # a worker trains on one device
    else:
        memory, name = min((host.memory_bytes // fit, host.cpu_name) for host, fit in used)
    return Slots("gpu" if gpus else "cpu", count, memory, name, resources.cpus, gpus, workers, span)


def gpus_per_worker(resources: Resources, hosts: Sequence[Devices]) -> float:
    """Return the GPUs of one worker; `auto` means one if any host has GPUs."""
    return float(any(host.gpus for host in hosts)) if resources.gpus == "auto" else float(resources.gpus)


def workers_on_host(host: Devices, *, cpus: int, gpus: float) -> int:
    """Return how many workers fit on a host at once. A fraction of a GPU is always of one device."""
    by_cpu = host.cpus // cpus
    if not gpus:
        return by_cpu
    return min(by_cpu, math.floor(1 / gpus) * len(host.gpus) if gpus < 1 else len(host.gpus) // int(gpus))


def _no_slots_error(resources: Resources, hosts: Sequence[Devices], gpus: float, fitting: Sequence[int]) -> InputError:
    """Return why no pack fits, in one line: what a worker lacks, or how many workers there could be."""
    if any(fitting):
        return InputError("resources.workers", resources.workers, _fewer_workers(resources, hosts, gpus, fitting))
    where = "available here" if len(hosts) == 1 else f"of the largest of {len(hosts)} hosts"
    most_gpus = max((len(host.gpus) for host in hosts), default=0)
    most_cpus = max((host.cpus for host in hosts), default=0)
    if gpus > most_gpus:
        return InputError("resources.gpus", resources.gpus, f"at most {most_gpus}, the GPUs {where}")
    if resources.cpus > most_cpus:
        return InputError("resources.cpus", resources.cpus, f"at most {most_cpus}, the cores {where}")
    most = max(host.cpus for host in hosts if len(host.gpus) >= gpus)
    allowed = f"at most {most}, the cores of the largest host that has the GPUs"
    return InputError("resources.cpus", resources.cpus, allowed)


def _fewer_workers(resources: Resources, hosts: Sequence[Devices], gpus: float, fitting: Sequence[int]) -> str:
    """Return how many workers a trial could have, what limits them, and what would allow more."""
    largest, total = max(fitting), sum(fitting)
    host = hosts[fitting.index(largest)]
    by_gpu = bool(gpus) and len(host.gpus) == largest
    need = "a GPU" if by_gpu else "a core" if resources.cpus == 1 else f"{resources.cpus} cores"
    if resources.span_hosts:
        return f"at most {total} (each worker needs {need}, {total} fit on the {len(hosts)} hosts)"
    hint = f"; span_hosts: true would allow {total}" if total >= resources.workers else ""
    has = largest if by_gpu else host.cpus
    where = "this host" if len(hosts) == 1 else "the largest host"
    return f"at most {largest} (each worker needs {need}, {where} has {has}{hint})"
