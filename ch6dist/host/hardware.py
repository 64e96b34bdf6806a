"""The cores, memory and GPUs that a process may use on this machine. No torch: nvidia-smi lists the GPUs.

    devices = visible_devices()
    devices.cpus, devices.cpu_name, devices.gpus

Cores are those of the process's affinity and its control group's quota.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader")
QUERY_SECONDS = 20
MIB = 2**20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gpu:
    """A GPU as nvidia-smi lists it."""

    name: str
    memory_bytes: int
    assumed: bool = False  # nvidia-smi could not run: name and memory are typical of its type


@dataclass(frozen=True)
class Devices:
    """The cores, the memory and the GPUs of one host that this process, or a cluster, may use."""

    cpus: int  # 0 on a head that trains nothing
    memory_bytes: int
    cpu_name: str = "CPU"
    gpus: tuple[Gpu, ...] = ()
    name: str = ""  # name of the host in a cluster
    up: bool = True  # False: an autoscaler starts it when it is needed


def visible_devices() -> Devices:
    """Return the devices of this machine. A GPU hidden by CUDA_VISIBLE_DEVICES does not count."""
    return Devices(cpus=_cpus(), memory_bytes=_memory_bytes(), cpu_name=cpu_name(), gpus=_gpus())


def parse_gpus(text: str) -> tuple[Gpu, ...]:
    """Parse the output of nvidia-smi, a line `NAME, N MiB` per GPU; a line without the memory is left out."""
    gpus = []
    for line in text.splitlines():
        name, _, memory = line.rpartition(",")
        amount = memory.split()[0] if memory.split() else ""
        if name.strip() and amount.isdecimal():
            gpus.append(Gpu(name.strip(), int(amount) * MIB))
        elif line.strip():
            log.warning("nvidia-smi printed %r: this GPU is not counted", line.strip())
    return tuple(gpus)


def _gpus() -> tuple[Gpu, ...]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        answer = subprocess.run([program, *QUERY], capture_output=True, timeout=QUERY_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("no GPU is counted: %s", error)
        return ()
    gpus, chosen = parse_gpus(answer.stdout.decode(errors="replace")), os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return gpus
    entries = [entry.strip() for entry in chosen.split(",") if entry.strip() and not entry.strip().startswith("-")]
    if all(entry.isdecimal() for entry in entries):
        return tuple(gpus[int(entry)] for entry in entries if int(entry) < len(gpus))
    return gpus[: len(entries)]  # named by UUID: as many as are named


def _cpus() -> int:
    quotas = [_quota("/sys/fs/cgroup/cpu.max"), _quota_v1(Path("/sys/fs/cgroup/cpu"))]
    return max(1, int(min([len(os.sched_getaffinity(0)), *(quota for quota in quotas if quota)])))


def _quota(path: str) -> float | None:
    """Return the cores that a control group (version 2) may use; None without a limit."""
    quota, period = [*_read(path).split(), "max", "100000"][:2]
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float | None:
    quota = _number(folder / "cpu.cfs_quota_us")
    period = _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 else None


def _memory_bytes() -> int:
    limits = (_number(Path("/sys/fs/cgroup/memory.max")), _number(Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *(limit for limit in limits if limit)])


def cpu_name() -> str:
    """Return the processor's name, or its architecture where it has none."""
    lines = _read("/proc/cpuinfo").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.machine())


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.lstrip("-").isdecimal() else None


def _read(path: Path | str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
