"""Devices: what may be used here, and how many packs at once fit on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ch6dist.config import parse_section
from ch6dist.errors import InputError
from ch6dist.machine import Devices, Gpu, parse_gpus, visible_devices
from sweeps.devices import place
from sweeps.spec import Resources

TWO_CORES = Devices(cpus=2, memory_bytes=24 * 10**9)
H200 = Devices(cpus=16, memory_bytes=128 * 10**9, gpus=(Gpu("NVIDIA H200", 139 * 2**30),))


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


@pytest.mark.parametrize(
    ("resources", "devices", "words"),
    [
        ({"gpus": 1}, TWO_CORES, "resources.gpus: 1.0.*the 0 GPUs"),
        ({"gpus": 0.5}, TWO_CORES, "resources.gpus"),
        ({"gpus": 2}, H200, "resources.gpus: 2.0.*the 1 GPUs"),
        ({"cpus": 3}, TWO_CORES, "resources.cpus: 3.*the 2 cores"),
        ({"workers": 2}, H200, "resources.workers: 2.*torchrun"),
    ],
)
def test_what_can_never_be_placed_is_refused(resources: dict[str, Any], devices: Devices, words: str) -> None:
    with pytest.raises(InputError, match=words):
        place(parse_section(Resources, resources), devices)


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
def test_places_follow_the_resources_of_a_pack(resources: dict[str, Any], kind: str, count: int) -> None:
    node = Devices(cpus=6 if kind == "cpu" or resources.get("cpus") else 64, memory_bytes=10**11, gpus=H200.gpus * 4)
    slots = place(parse_section(Resources, resources), node)
    assert (slots.kind, slots.count) == (kind, count)
