"""Packs, devices and estimates: every trial once, in company it may keep, with every device busy."""

from __future__ import annotations

import io
import json
import logging
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ch6dist.catalog.models import MODELS
from ch6dist.config import TrialConfig, parse_section, parse_trial
from ch6dist.errors import InputError
from sweeps.calibration import calibration_file, calibration_key, read_calibration, record_calibration
from sweeps.devices import Devices, Gpu, parse_gpus, place, visible_devices
from sweeps.expand import expand
from sweeps.packs import MAX_LANES, Pack, make_packs, makespan, shared
from sweeps.plan import Plan, duration, estimate, make_plan, plan_json, render_plan, size
from sweeps.spec import Resources, load_spec

CONFIGS = sorted((Path(__file__).parents[1] / "sweeps" / "configs").glob("*.yaml"))
TWO_CORES = Devices(cpus=2, memory_bytes=24 * 10**9)
H200 = Devices(cpus=16, memory_bytes=128 * 10**9, gpus=(Gpu("NVIDIA H200", 139 * 2**30),))


def trials(configurations: int, *, seeds: int = 1, **fields: Any) -> list[TrialConfig]:
    made = [
        parse_trial({"epochs": 30, **fields, "optimizer": {"name": "SGD", "lr": 0.001 * (number + 1)}})
        for number in range(configurations)
    ]
    return [trial.model_copy(update={"seed": seed}) for trial in made for seed in range(seeds)]


def sizes(packs: list[Pack]) -> list[int]:
    return [len(pack.trials) for pack in packs]


def printed(plan: Plan) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(render_plan(plan))
    return console.export_text()


# Packs


def test_28_configurations_of_3_seeds_on_2_cores_are_6_packs_of_14() -> None:
    packs = make_packs(trials(28, seeds=3), devices=TWO_CORES)
    assert sizes(packs) == [14] * 6
    assert all(len({trial.seed for trial in pack.trials}) == 1 for pack in packs)


def test_16_trials_of_one_seed_on_2_cores_are_2_packs_of_8() -> None:
    assert sizes(make_packs(trials(16), devices=TWO_CORES)) == [8, 8]


def test_as_many_groups_as_cores_are_not_split() -> None:
    assert sizes(make_packs(trials(10, seeds=2), devices=TWO_CORES)) == [10, 10]


def test_what_fits_no_pack_is_split_so_that_the_cores_end_together() -> None:
    assert sizes(make_packs(trials(65), devices=TWO_CORES)) == [17, 16, 16, 16]


def test_one_core_has_the_fewest_packs() -> None:
    assert sizes(make_packs(trials(20), devices=Devices(cpus=1, memory_bytes=10**10))) == [20]


def test_many_cores_get_a_trial_each() -> None:
    assert sizes(make_packs(trials(7), devices=Devices(cpus=64, memory_bytes=10**12))) == [1] * 7


def test_packs_off_trains_each_trial_alone_and_a_number_is_the_largest_pack() -> None:
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs="off")) == [1] * 5
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs=2)) == [2, 2, 1]
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs=5)) == [5]


def test_a_gpu_shares_seeds_but_not_optimizers() -> None:
    mixed = [*trials(4, seeds=3), parse_trial({"epochs": 30, "optimizer": {"name": "Adam"}})]
    packs = make_packs(mixed, devices=H200)
    assert sizes(packs) == [12, 1]
    assert {pack.why for pack in packs} == {"optimizer SGD", "optimizer Adam"}


def test_no_gpus_asked_for_means_packs_for_cores() -> None:
    packs = make_packs(trials(4, seeds=2), devices=H200, resources=Resources(gpus=0, cpus=8))
    assert all(len({trial.seed for trial in pack.trials}) == 1 for pack in packs)


def test_a_large_model_has_fewer_lanes_on_a_small_gpu() -> None:
    small = Devices(cpus=16, memory_bytes=128 * 10**9, gpus=(Gpu("small", 8 * 10**9),))
    large = trials(64, model={"name": "resnet18"})
    lanes = max(sizes(make_packs(large, devices=small)))
    per_lane = MODELS["resnet18"].activation_bytes_per_image * 128 + 5 * 4 * MODELS["resnet18"].parameter_count
    assert 1 < lanes <= 0.8 * 8e9 / (per_lane * 0.8)
    assert max(sizes(make_packs(trials(64), devices=small))) == 64


@pytest.mark.parametrize("lanes", [0, -1, "0", "-3", "two", "", 33, 1.5])
def test_a_wrong_number_of_lanes_is_refused(lanes: Any) -> None:
    with pytest.raises(InputError, match=r"--packs.*1 to 32"):
        make_packs(trials(2), devices=TWO_CORES, packs=lanes)


def test_longer_packs_begin_first() -> None:
    packs = make_packs(trials(4) + trials(4, model={"name": "resnet18"}), devices=TWO_CORES)
    names = [pack.trials[0].model["name"] for pack in packs]
    assert names == sorted(names, key=["resnet18", "lenet5"].index)
    assert "model resnet18" in packs[0].why


def test_no_trials_are_no_packs() -> None:
    assert make_packs([], devices=TWO_CORES) == []


ANY_TRIAL = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-5, 1.0),
        "optimizer": st.sampled_from(["SGD", "Adam"]),
        "seed": st.integers(0, 2),
        "epochs": st.sampled_from([1, 3]),
        "batch_size": st.sampled_from([32, 128]),
        "type": st.sampled_from(["train", "train", "range_test"]),
        "model": st.sampled_from(["lenet5", "lenet5", "conv3bn"]),
    }
)


def any_trial(drawn: dict[str, Any]) -> TrialConfig:
    content = {key: drawn[key] for key in ("seed", "epochs", "type", "model")}
    optimizer = {"name": drawn["optimizer"], "lr": drawn["lr"]}
    return parse_trial({**content, "optimizer": optimizer, "data": {"batch_size": drawn["batch_size"]}})


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(ANY_TRIAL, max_size=60),
    devices=st.sampled_from([TWO_CORES, H200, Devices(cpus=5, memory_bytes=10**11)]),
    packs=st.sampled_from(["auto", "off", 1, 3, 32]),
)
def test_every_trial_is_in_one_pack_of_its_kind_and_parts_differ_by_one(
    drawn: list[dict[str, Any]], devices: Devices, packs: Any
) -> None:
    given_trials = list({trial.trial_id: trial for trial in map(any_trial, drawn)}.values())
    made = make_packs(given_trials, devices=devices, packs=packs)
    assert Counter(t.trial_id for pack in made for t in pack.trials) == Counter(t.trial_id for t in given_trials)
    kind = "gpu" if devices.gpus else "cpu"
    parts: dict[str, list[int]] = {}
    for pack in made:
        keys = {json.dumps(shared(trial, kind=kind), sort_keys=True) for trial in pack.trials}
        assert len(keys) == 1
        parts.setdefault(keys.pop(), []).append(len(pack.trials))
    limit = {"auto": MAX_LANES[kind], "off": 1}.get(packs, packs)
    assert all(max(lengths) - min(lengths) <= 1 and max(lengths) <= limit for lengths in parts.values())


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 200), seeds=st.integers(1, 4), cpus=st.integers(1, 16))
def test_cores_end_within_one_trial_of_the_best_possible(count: int, seeds: int, cpus: int) -> None:
    packs = make_packs(trials(count, seeds=seeds), devices=Devices(cpus=cpus, memory_bytes=10**12))
    ideal = -(-count * seeds // cpus)
    assert makespan(sizes(packs), cpus) <= 1.1 * ideal + 1


def test_a_pack_shares_what_the_training_loop_demands() -> None:
    train = pytest.importorskip("ch6dist.train")
    mixed = trials(6, seeds=2) + trials(3, epochs=2) + trials(3, type="range_test") + trials(2, precision="fp64")
    for devices in (TWO_CORES, H200):
        for pack in make_packs(mixed, devices=devices):
            train.check_shared(pack.trials)


# Devices


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
        make_packs(trials(1), devices=devices, resources=parse_section(Resources, resources))


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


# Estimates


def test_an_uncalibrated_epoch_of_lenet_takes_a_core_4_3_seconds() -> None:
    config = parse_trial({"epochs": 1, "data": {"train_size": 50_000, "val_size": 0}})
    cost = estimate([Pack((config,))], devices=TWO_CORES, calibration={})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(4.3, abs=0.1)
    assert not cost.calibrated


def test_a_calibrated_estimate_is_images_by_speed() -> None:
    config = parse_trial({"epochs": 10, "data": {"train_size": 9_000, "val_size": 3_000}})
    key = calibration_key(TWO_CORES.cpu_name, "lenet5")
    cost = estimate([Pack((config, config))], devices=TWO_CORES, calibration={key: 1_000.0})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(2 * 10 * (9_000 + 1_000) / 1_000)
    assert cost.seconds == pytest.approx(15 + cost.pack_seconds[0])
    assert cost.calibrated
    assert cost.epochs == 20


def test_packs_share_the_cores() -> None:
    packs = make_packs(trials(28, seeds=3), devices=TWO_CORES)
    cost = estimate(packs, devices=TWO_CORES, calibration={})
    assert cost.seconds == pytest.approx(15 + sum(cost.pack_seconds) / 2)


def test_a_range_test_costs_its_steps() -> None:
    config = parse_trial({"type": "range_test", "range_test": {"steps": 100}, "epochs": 500})
    key = calibration_key(TWO_CORES.cpu_name, "lenet5")
    cost = estimate([Pack((config,))], devices=TWO_CORES, calibration={key: 12_800.0})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(1.0)
    assert cost.epochs == 0


def test_disk_holds_the_weights_of_every_trial() -> None:
    cost = estimate([Pack(tuple(trials(10)))], devices=TWO_CORES, calibration={})
    weights = 4 * MODELS["lenet5"].parameter_count
    assert 10 * 2 * weights < cost.disk_bytes < 10 * 6 * weights


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("devices", [TWO_CORES, H200], ids=["cpu", "gpu"])
def test_every_file_in_configs_is_planned_and_shown(path: Path, devices: Devices) -> None:
    spec = load_spec(path)
    plan = make_plan(spec, expand(spec), devices=devices, calibration={})
    document = json.loads(json.dumps(plan_json(plan), allow_nan=False))
    assert sum(len(pack["trials"]) for pack in document["packs"]) == document["trials"] == len(expand(spec))
    assert document["configurations"] * len(document["seeds"]) == document["trials"]
    text = printed(plan)
    assert "uncalibrated" in text
    assert spec.question in text


def test_the_demo_is_planned_for_about_a_minute_and_a_half_on_two_cores() -> None:
    spec = load_spec(next(path for path in CONFIGS if path.stem == "demo"))
    plan = make_plan(spec, expand(spec), devices=TWO_CORES, calibration={})
    assert sizes(list(plan.packs)) == [6, 6]
    assert 45 < plan.estimate.seconds < 100


def test_markup_in_a_question_is_text() -> None:
    spec = load_spec(CONFIGS[0], ["question='[/red] which [bold]?'", "seeds=1"])
    plan = make_plan(spec, expand(spec), devices=TWO_CORES, calibration={})
    assert "[/red] which [bold]?" in printed(plan)


def test_a_plan_imports_neither_torch_nor_ray() -> None:
    folder = Path(__file__).parents[1]
    modules = ("axes", "overrides", "spec", "expand", "devices", "packs", "calibration", "plan", "queries", "views")
    for name in modules:
        text = (folder / "sweeps" / f"{name}.py").read_text()
        assert not re.search(r"^\s*(import|from) (torch|ray|pandas)\b", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "61 s"), (600, "10 min"), (7200, "2.0 h"), (5 * 86400, "5.0 days"), (0, "0 s")]
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_sizes_read_as_people_say_them() -> None:
    assert [size(n) for n in (12, 1500, 2.5e6, 1.41e11, 3e15)] == [
        "12 bytes",
        "1.5 kB",
        "2.5 MB",
        "141 GB",
        "3000.0 TB",
    ]


# Calibration


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return calibration_file()


def test_speeds_are_kept_by_device_and_model(cache: Path) -> None:
    assert read_calibration() == {}
    record_calibration("CPU/lenet5", 9000)
    record_calibration("H200/lenet5", 1e6)
    record_calibration("CPU/lenet5", 9500)
    assert read_calibration() == {"CPU/lenet5": 9500.0, "H200/lenet5": 1e6}
    assert [path.name for path in cache.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"a": "quick"}', '{"a": -1}', '{"a": NaN}', "\x00"])
def test_a_damaged_file_is_ignored_with_a_word_and_replaced(
    cache: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert read_calibration() == {}
    assert "ignored" in caplog.text
    record_calibration("CPU/lenet5", 9000)
    assert read_calibration() == {"CPU/lenet5": 9000.0}


def test_a_cache_that_cannot_be_written_costs_a_word_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    record_calibration("CPU/lenet5", 9000)
    assert "not kept" in caplog.text
