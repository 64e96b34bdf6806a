"""Devices: what may be used here, and how many packs at once fit on it, on one host and on several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.config import parse_section, parse_trial
from ch6dist.distributed.group import Group
from ch6dist.errors import InputError
from ch6dist.host.hardware import Devices, Gpu, parse_gpus, visible_devices
from ch6dist.packs import shares
from sweeps.plan.hosts import describe_devices, describe_hosts, shared_storage_note, total
from sweeps.plan.slots import find_slots
from sweeps.spec.sweep_file import Resources
from tests.support.plans import H200, TWO_CORES


def test_this_machine_has_cores_and_memory() -> None:
    devices = visible_devices()
    assert 1 <= devices.cpus <= len(os.sched_getaffinity(0))
    assert devices.memory_bytes > 10**8
    assert devices.cpu_name


def test_fewer_cores_by_affinity_are_fewer_cores() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert visible_devices().cpus == 1
    finally:
        os.sched_setaffinity(0, before)


ANSWER = "NVIDIA H200, 143771 MiB\nNVIDIA A100-SXM4-40GB, 40960 MiB\nGH200, with a comma, [N/A]\n"


def test_nvidia_smi_is_read_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    gpus = parse_gpus(ANSWER)
    assert [gpu.name for gpu in gpus] == ["NVIDIA H200", "NVIDIA A100-SXM4-40GB"]
    assert gpus[0].memory_bytes == 143771 * 1024 * 1024
    assert "[N/A]" in caplog.text
    assert parse_gpus("") == ()


@pytest.mark.parametrize(
    ("script", "hidden", "count"),
    [
        ("printf 'A, 1 MiB\\nB, 1 MiB\\n'", None, 2),
        ("printf 'A, 1 MiB\\nB, 1 MiB\\n'", "1", 1),
        ("printf 'A, 1 MiB\\nB, 1 MiB\\n'", "", 0),
        ("printf 'A, 1 MiB\\nB, 1 MiB\\n'", "-1", 0),
        ("printf 'A, 1 MiB\\nB, 1 MiB\\n'", "GPU-8f6d", 1),
        ("echo 'no driver' >&2; exit 9", None, 0),
    ],
)
def test_gpus_are_those_that_may_be_used(
    script: str, hidden: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert len(visible_devices().gpus) == count


def cpu_host(cpus: int, *, name: str = "", up: bool = True) -> Devices:
    return Devices(cpus=cpus, memory_bytes=16 * 10**9, cpu_name=f"CPU of {cpus}", name=name, up=up)


def gpu_host(gpus: int, *, cpus: int = 64, gigabytes: int = 16) -> Devices:
    gpu = Gpu(f"GPU of {gigabytes} GB", gigabytes * 10**9)
    return Devices(cpus=cpus, memory_bytes=10**11, gpus=(gpu,) * gpus)


HEAD = cpu_host(0, name="head")
THREE = [HEAD, gpu_host(2), gpu_host(2), gpu_host(2)]


@pytest.mark.parametrize(
    ("resources", "hosts", "text"),
    [
        ({"gpus": 1}, TWO_CORES, "resources.gpus: 1.0.*at most 0, the GPUs available here"),
        ({"gpus": 0.5}, TWO_CORES, "resources.gpus"),
        ({"gpus": 2}, H200, "resources.gpus: 2.0.*at most 1, the GPUs"),
        ({"cpus": 3}, TWO_CORES, "resources.cpus: 3.*at most 2, the cores"),
        ({"gpus": 4}, THREE, "resources.gpus: 4.0.*at most 2, the GPUs of the largest of 4 hosts"),
        ({"cpus": 65}, THREE, "resources.cpus: 65.*at most 64, the cores of the largest of 4 hosts"),
        ({}, [HEAD], "resources.cpus: 1.*at most 0"),
        ({"cpus": 8}, [gpu_host(2, cpus=4), cpu_host(16)], "resources.cpus: 8.*at most 4.*that has the GPUs"),
        ({"workers": 2}, H200, r"at most 1 \(each worker needs a GPU, this host has 1\)"),
        (
            {"workers": 4},
            THREE,
            r"resources.workers: 4 .*at most 2 \(each worker needs a GPU, the largest host has 2; "
            r"span_hosts: true would allow 6\)",
        ),
        ({"workers": 7}, THREE, r"at most 2 \(each worker needs a GPU, the largest host has 2\)$"),
        ({"workers": 7, "span_hosts": True}, THREE, r"at most 6 .*6 fit on the 4 hosts"),
        ({"workers": 3, "cpus": 2}, [cpu_host(5), cpu_host(3)], r"at most 2 \(.*needs 2 cores, .*has 5; span.*allow 3"),
        ({"workers": 3}, [gpu_host(8, cpus=2)], r"at most 2 \(each worker needs a core, this host has 2\)"),
    ],
)
def test_resources_that_no_host_has_are_refused_with_the_reason(
    resources: dict[str, Any], hosts: Any, text: str
) -> None:
    with pytest.raises(InputError, match=text) as caught:
        find_slots(parse_section(Resources, resources), hosts)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("resources", "kind", "count"),
    [
        ({}, "gpu", 4),
        ({"gpus": 0.5}, "gpu", 8),
        ({"gpus": 2}, "gpu", 2),
        ({"gpus": 0}, "cpu", 6),
        ({"cpus": 3}, "gpu", 2),
    ],
)
def test_slots_follow_the_resources_of_a_pack(resources: dict[str, Any], kind: str, count: int) -> None:
    node = Devices(cpus=6 if kind == "cpu" or resources.get("cpus") else 64, memory_bytes=10**11, gpus=H200.gpus * 4)
    slots = find_slots(parse_section(Resources, resources), node)
    assert (slots.kind, slots.count) == (kind, count)


@pytest.mark.parametrize(
    ("resources", "hosts", "count"),
    [
        ({}, THREE, 6),
        ({"workers": 2}, THREE, 3),
        ({"workers": 3, "span_hosts": True}, THREE, 2),
        ({"workers": 2}, [gpu_host(3), gpu_host(3)], 2),
        ({"workers": 2, "span_hosts": True}, [gpu_host(3), gpu_host(3)], 3),
        ({"workers": 2, "gpus": 0}, [HEAD, cpu_host(1), cpu_host(3)], 1),
        ({"workers": 2}, [cpu_host(64), gpu_host(2, cpus=1), gpu_host(2)], 1),
    ],
)
def test_workers_of_a_trial_are_on_one_host_unless_they_may_span_hosts(
    resources: dict[str, Any], hosts: list[Devices], count: int
) -> None:
    slots = find_slots(parse_section(Resources, resources), hosts)
    assert slots.count == count
    assert slots.workers == resources.get("workers", 1)
    assert slots.span_hosts == resources.get("span_hosts", False)


def test_memory_and_device_are_those_of_the_smallest_slot_that_counts() -> None:
    mixed = [gpu_host(1, gigabytes=8), gpu_host(2, gigabytes=80), gpu_host(2, gigabytes=24)]
    assert find_slots(Resources(), mixed).memory_bytes == 8 * 10**9
    both = find_slots(Resources(workers=2), mixed)  # the host with one GPU holds no two workers
    assert (both.memory_bytes, both.device, both.count) == (24 * 10**9, "GPU of 24 GB", 2)
    cores = find_slots(Resources(gpus=0), [cpu_host(2), cpu_host(8)])
    assert (cores.memory_bytes, cores.device) == (2 * 10**9, "CPU of 8")


def greedy(workers: int, fitting: list[int], *, span: bool) -> int:
    """Return how many trials fit, placed one by one on the host with the most free workers (or on any)."""
    left, placed = list(fitting), 0
    while True:
        if span and sum(left) >= workers:
            for _ in range(workers):
                left[left.index(max(left))] -= 1
        elif not span and max(left, default=0) >= workers:
            left[left.index(max(left))] -= workers
        else:
            return placed
        placed += 1


@settings(deadline=None)
@given(
    host_sizes=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6),
    workers=st.integers(1, 6),
    cpus=st.integers(1, 3),
    span=st.booleans(),
)
def test_there_are_as_many_slots_as_trials_placed_one_by_one(
    host_sizes: list[tuple[int, int]], workers: int, cpus: int, span: bool
) -> None:
    hosts = [gpu_host(gpus, cpus=cores) for cores, gpus in host_sizes]
    needs_gpu = any(host.gpus for host in hosts)
    fitting = [min(cores // cpus, gpus) if needs_gpu else cores // cpus for cores, gpus in host_sizes]
    resources = Resources(workers=workers, cpus=cpus, span_hosts=span)
    expected = greedy(workers, fitting, span=span)
    if expected == 0:
        with pytest.raises(InputError):
            find_slots(resources, hosts)
    else:
        assert find_slots(resources, hosts).count == expected


def test_several_hosts_are_described() -> None:
    hosts = [HEAD, gpu_host(2, cpus=4), gpu_host(2, cpus=4), cpu_host(1, up=False)]
    assert describe_hosts(hosts) == "4 hosts, 1 of them not up yet"
    assert describe_devices(hosts) == "1 × (0 cores), 2 × (4 cores, 2 × GPU of 16 GB), 1 × (1 core)"
    assert (total(hosts).cpus, len(total(hosts).gpus)) == (9, 4)
    assert total(TWO_CORES) == TWO_CORES


@settings(deadline=None)
@given(batch_size=st.integers(1, 1000), workers=st.integers(1, 16))
def test_a_batch_is_shared_out_as_the_training_does(batch_size: int, workers: int) -> None:
    groups = [Group(rank, workers).share(0, batch_size) for rank in range(workers)]
    assert shares(batch_size, world_size=workers) == [stop - start for start, stop in groups]


def test_storage_that_hosts_must_share_is_noted_where_there_are_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CH6DIST_DATA", "/mnt/data")
    real, synthetic = parse_trial({}), parse_trial({"data": {"name": "synthetic_cifar100"}})
    elsewhere = parse_trial({"data": {"root": "/mnt/other"}})
    assert shared_storage_note([TWO_CORES], [real], run=tmp_path) == ""
    text = f"2 hosts: the run folder {tmp_path} and the data in /mnt/data must be on storage they share"
    assert shared_storage_note([HEAD, TWO_CORES], [real, real, synthetic], run=tmp_path) == text
    assert "/mnt/data and the data in /mnt/other" in shared_storage_note(
        [HEAD, TWO_CORES], [real, elsewhere], run=tmp_path
    )
    assert "data" not in shared_storage_note([HEAD, TWO_CORES], [synthetic], run=Path("run"))
    assert "run folder" not in shared_storage_note([HEAD, TWO_CORES], [real], run="s3://bucket/runs")
    assert shared_storage_note([HEAD, TWO_CORES], [synthetic], run="s3://bucket/runs") == ""
