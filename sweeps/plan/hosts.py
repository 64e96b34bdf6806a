"""Hosts and workers in words: what a cluster is made of, how a trial's batch is shared, what hosts must share.

describe(cluster_hosts("auto"))      # "3 hosts, 2 of them not up yet"
note = shared_storage_note(hosts, trials, run=folder)
if note:
    console.print(note)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import TrialConfig
from ch6dist.host.hardware import Devices
from ch6dist.packs import shares
from sweeps.plan.slots import Hosts, Slots, as_hosts


def total(hosts: Hosts) -> Devices:
    """All hosts as one: their cores, memory and GPUs together. One host is itself."""
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


def describe(hosts: Hosts) -> str:
    """How many hosts there are, and how many of them are still to come."""
    every = as_hosts(hosts)
    coming = sum(not host.up for host in every)
    count = "1 host" if len(every) == 1 else f"{len(every)} hosts"
    return count + (f", {coming} of them not up yet" if coming else "")


def parts(hosts: Hosts) -> str:
    """What the hosts are made of, equal ones counted: `2 × (4 cores, 1 × Tesla T4), 1 × (2 cores)`."""
    kinds = Counter((host.cpus, tuple(gpu.name for gpu in host.gpus)) for host in as_hosts(hosts))
    made = []
    for (cpus, gpus), count in kinds.items():
        devices = [f"{number} × {name}" for name, number in Counter(gpus).items()]
        made.append(f"{count} × ({', '.join(['1 core' if cpus == 1 else f'{cpus} cores', *devices])})")
    return ", ".join(made)


def describe_workers(trials: Sequence[TrialConfig], slots: Slots) -> str:
    """How several workers train a trial: `each trial by 2 workers (global batch 128 = 64 + 64), on one host`."""
    sizes = sorted({trial.data.batch_size for trial in trials})
    if len(sizes) == 1:
        batch = f"global batch {sizes[0]} = {' + '.join(map(str, shares(sizes[0], world_size=slots.workers)))}"
    else:
        batch = f"global batches {', '.join(map(str, sizes))}, each shared out"
    where = "that may be on several hosts" if slots.span_hosts else "on one host"
    return f"each trial by {slots.workers} workers ({batch}), {where}"


def shared_storage_note(hosts: Hosts, trials: Iterable[TrialConfig], *, run: Path | str) -> str:
    """What several hosts must share, which nobody can check from here; empty where nothing must be shared.

    Args:
        run: the run folder, or the URL of what is kept in its stead, which every host reaches.
    """
    every = as_hosts(hosts)
    needed = [] if "://" in str(run) else [f"the run folder {Path(run).absolute()}"]
    from_files = {trial.data.root for trial in trials if DATASETS[trial.data.name].train_files}
    needed += sorted({f"the data in {data_root(root).absolute()}" for root in from_files})
    if len(every) == 1 or not needed:
        return ""
    return f"{describe(every)}: {' and '.join(needed)} must be on storage they share"
