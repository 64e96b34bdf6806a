"""Describe hosts and workers: what a cluster consists of, how workers share a batch, what hosts must share.

describe_hosts(cluster_hosts("auto"))      # "3 hosts, 2 of them not up yet"
note = shared_storage_note(hosts, trials, run=folder)
if note:
    console.print(note)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.wording import format_count
from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.packs import shares
from ch6dist.trial_sections import DataConfig
from sweeps.plan.slots import Hosts, Slots, as_hosts


def total(hosts: Hosts) -> Devices:
    """Return all hosts as one: their cores, memory and GPUs added up."""
    every = as_hosts(hosts)
    if len(every) == 1:
        return every[0]
    return Devices(
        cpus=sum(host.cpus for host in every),
        memory_bytes=sum(host.memory_bytes for host in every),
        cpu_name=", ".join(dict.fromkeys(host.cpu_name for host in every if host.cpus)),
        gpus=tuple(gpu for host in every for gpu in host.gpus),
        up=all(host.up for host in every),
    )


def describe_hosts(hosts: Hosts) -> str:
    """Return how many hosts there are, and how many of them are not up yet."""
    every = as_hosts(hosts)
    coming = sum(not host.up for host in every)
    return format_count(len(every), "host") + (f", {coming} of them not up yet" if coming else "")


def describe_devices(hosts: Hosts) -> str:
    """Return what the hosts consist of, equal ones counted: `2 × (4 cores, 1 × Tesla T4), 1 × (2 cores)`."""
    kinds = Counter((host.cpus, tuple(gpu.name for gpu in host.gpus)) for host in as_hosts(hosts))
    made = []
    for (cpus, gpus), count in kinds.items():
        devices = [f"{number} × {name}" for name, number in Counter(gpus).items()]
        made.append(f"{count} × ({', '.join([format_count(cpus, 'core'), *devices])})")
    return ", ".join(made)


def describe_workers(trials: Sequence[TrialConfig], slots: Slots) -> str:
    """Return how workers train a trial: `2 workers train each trial (global batch 128 = 64 + 64), on one host`."""
    sizes = sorted({trial.data.batch_size for trial in trials})
    if len(sizes) == 1:
        batch = f"global batch {sizes[0]} = {' + '.join(map(str, shares(sizes[0], world_size=slots.workers)))}"
    else:
        batch = f"global batches {', '.join(map(str, sizes))}, each split between them"
    where = "on one or several hosts" if slots.span_hosts else "on one host"
    return f"{slots.workers} workers train each trial ({batch}), {where}"


def _place_of_data(data: DataConfig) -> str:
    """Return the folder or file that every host reads; empty for what is generated, or that a library has."""
    if data.source is not None:
        return data.source.place if data.source.kind in ("folder", "npz") else ""
    return str(data_root(data.root)) if data.entry.train_files else ""


def shared_storage_note(hosts: Hosts, trials: Iterable[TrialConfig], *, run: Path | str) -> str:
    """Return which folders several hosts must share, which cannot be checked from here; empty if there are none.

    Args:
        run: the run folder, or the URL that replaces it and that every host reaches.
    """
    every = as_hosts(hosts)
    needed = [] if "://" in str(run) else [f"the run folder {Path(run).absolute()}"]
    needed += sorted({f"the data in {place}" for trial in trials if (place := _place_of_data(trial.data))})
    if len(every) == 1 or not needed:
        return ""
    return f"{describe_hosts(every)}: {' and '.join(needed)} must be on storage they share"
