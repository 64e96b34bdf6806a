"""Estimates and plans: what a sweep costs, as numbers and as text."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from ch6dist.catalog.models import MODELS
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.host.hardware import Devices
from sweeps.plan.calibration import calibration_key
from sweeps.plan.costs import core_seconds, worker_speed
from sweeps.plan.disk import captured_bytes, running_bytes
from sweeps.plan.estimate import estimate
from sweeps.plan.packs import Pack, make_packs
from sweeps.plan.plan import Plan, make_plan, plan_json
from sweeps.plan.render import render_plan
from sweeps.plan.slots import find_slots
from sweeps.spec.expand import expand, forecast, stand_in
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import Resources
from tests.support.bad_sweeps import searched
from tests.support.own_networks import answer_here, forget, write_networks
from tests.support.plans import H200, TWO_CORES, one_gpu, sizes, trials
from tests.support.sweep_files import CONFIGS, spec_of


def printed(plan: Plan) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(render_plan(plan))
    return console.export_text()


def test_an_uncalibrated_epoch_of_lenet_takes_a_core_6_seconds() -> None:
    config = parse_trial({"epochs": 1, "data": {"train_size": 50_000, "val_size": 0}})
    cost = estimate([Pack((config,))], slots=find_slots(Resources(), TWO_CORES), calibration={})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(6.0, abs=0.1)
    assert not cost.calibrated


@pytest.mark.parametrize(
    ("model", "times"), [("simple_nn", 0.31), ("cnn2", 0.68), ("lenet_like", 1.62), ("convnet", 9.7)]
)
def test_an_image_is_assumed_to_take_what_it_was_measured_to_take_in_times_of_lenet(model: str, times: float) -> None:
    assert core_seconds(MODELS[model].size) / core_seconds(MODELS["lenet5"].size) == pytest.approx(times, rel=0.2)


def test_a_calibrated_estimate_is_images_by_speed() -> None:
    config = parse_trial({"epochs": 10, "data": {"train_size": 9_000, "val_size": 3_000}})
    key = calibration_key(TWO_CORES.cpu_name, "lenet5")
    cost = estimate([Pack((config, config))], slots=find_slots(Resources(), TWO_CORES), calibration={key: 1_000.0})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(2 * 10 * (9_000 + 1_000) / 1_000)
    assert cost.seconds == pytest.approx(15 + cost.pack_seconds[0])
    assert cost.calibrated
    assert cost.epochs == 20


def test_packs_share_the_cores() -> None:
    packs = make_packs(trials(28, seeds=3), devices=TWO_CORES)
    cost = estimate(packs, slots=find_slots(Resources(), TWO_CORES), calibration={})
    assert cost.seconds == pytest.approx(15 + sum(cost.pack_seconds) / 2)


def test_a_range_test_costs_its_steps() -> None:
    config = parse_trial({"type": "range_test", "range_test": {"steps": 100}, "epochs": 500})
    key = calibration_key(TWO_CORES.cpu_name, "lenet5")
    cost = estimate([Pack((config,))], slots=find_slots(Resources(), TWO_CORES), calibration={key: 12_800.0})
    assert cost.pack_seconds[0] - 1.6 == pytest.approx(1.0)
    assert cost.epochs == 0


def test_disk_holds_the_weights_of_every_trial() -> None:
    cost = estimate([Pack(tuple(trials(10)))], slots=find_slots(Resources(), TWO_CORES), calibration={})
    weights = 4 * MODELS["lenet5"].size.parameter_count
    assert 10 * 2 * weights < cost.disk_bytes < 10 * 6 * weights


def test_disk_is_what_is_kept_and_a_limit_is_shown(tmp_path: Path) -> None:
    def plan(**checkpoints: Any) -> Plan:
        return planned(optimizers(tmp_path, "SGD", "Adam", checkpoints=checkpoints), TWO_CORES, packs=1)

    disk = [plan(keep=keep).estimate.disk_bytes for keep in ([], ["best"], ["last", "best"])]
    assert sum(map(running_bytes, plan().trials[:2])) < disk[0] < disk[1] < disk[2]
    assert "checkpoints.total" not in printed(plan())
    enough = 2 * max(map(running_bytes, plan().trials))
    assert re.search(
        r"only the best 1\.0 MB of checkpoints are kept \(checkpoints\.total\)", printed(plan(total=enough + 1_000_000))
    )


def test_checkpoints_that_cannot_fit_are_refused_by_the_plan_as_by_the_run(tmp_path: Path) -> None:
    path = optimizers(tmp_path, "SGD", checkpoints={"total": "1 KB"})
    with pytest.raises(InputError, match=r"checkpoints\.total: '?1.* or more, the checkpoints"):
        planned(path, TWO_CORES)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("devices", [TWO_CORES, H200], ids=["cpu", "gpu"])
def test_every_file_in_configs_is_planned_and_shown(path: Path, devices: Devices) -> None:
    spec = load_spec(path)
    trials = forecast(spec)
    plan = make_plan(spec, trials, devices=devices, calibration={})
    document = json.loads(json.dumps(plan_json(plan), allow_nan=False))
    assert sum(len(pack["trials"]) for pack in document["packs"]) == document["trials"] == len(trials)
    trained = document["configurations"] * len(document["seeds"])
    assert trained + len(document["range_tests"]) == document["trials"]
    text = printed(plan)
    assert "uncalibrated" in text
    assert spec.question in text


def test_the_demo_is_planned_for_about_a_minute_and_a_half_on_two_cores() -> None:
    spec = load_spec(next(path for path in CONFIGS if path.stem == "demo"))
    plan = make_plan(spec, expand(spec), devices=TWO_CORES, calibration={})
    assert sizes(list(plan.packs)) == [6, 6]
    assert 45 < plan.estimate.seconds < 100


def optimizers(folder: Path, *names: str, **changes: Any) -> Path:
    path = folder / "engines.yaml"
    axes = {"optimizer": {"values": list(names)}, "optimizer.lr": {"values": [0.1, 0.01, 0.001]}}
    path.write_text(yaml.safe_dump({"name": "engines", "parameters": axes, **changes}))
    return path


def planned(path: Path, devices: Devices, *, packs: str | int = "auto") -> Plan:
    spec = load_spec(path)
    return make_plan(spec, expand(spec), devices=devices, calibration={}, packs=packs)


def test_one_engine_for_all_is_one_fact_with_its_reason(tmp_path: Path) -> None:
    text = printed(planned(optimizers(tmp_path, "SGD", "Adafactor"), TWO_CORES))
    assert text.count("eager: on a CPU, whose results do not depend on packs") == 1
    assert "fused" not in text
    chosen = optimizers(tmp_path, "SGD", resources={"engine": "eager"})
    assert "eager: asked for" in printed(planned(chosen, H200))
    assert re.search(r"^engine +fused *$", printed(planned(optimizers(tmp_path, "SGD"), H200)), re.MULTILINE)


def test_a_network_that_goes_through_vmap_is_fused_and_the_plan_says_by_what(
    in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_networks(in_tmp_path)
    answer_here(monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_tmp_path / "cache"))
    said = {}
    for name in ("Whole", "Net", "Branching"):
        forget()
        trial = {"model": f"mynets:{name}", "data": {"name": "synthetic_mnist"}}
        plan = planned(optimizers(in_tmp_path, "SGD", trial=trial), H200)
        said[name] = " ".join(re.findall(r"^engine +(.*?) *$", printed(plan), re.MULTILINE))
        form = {pack["lane_form"] for pack in plan_json(plan)["packs"]}
        assert form == {{"Whole": "vmap", "Net": "layers", "Branching": ""}[name]}
    forget()
    assert (said["Whole"], said["Net"]) == ("fused (vmap)", "fused")
    assert said["Branching"].startswith("eager: its model does not fuse: its forward looks at numbers")
    eager = optimizers(in_tmp_path, "SGD", trial={"model": "mynets:Whole"}, resources={"engine": "eager"})
    assert {pack.lane_form for pack in planned(eager, H200).packs} == {""}


def test_a_sweep_that_captures_is_eager_and_the_plan_says_why_and_counts_its_files(tmp_path: Path) -> None:
    fused, captured = (
        planned(optimizers(tmp_path, "SGD", "Adam", trial=trial, resources={"engine": "fused"}), H200)
        for trial in ({}, {"capture": {}})
    )
    assert "eager: it captures, and fused lanes cannot be looked into" in printed(captured)
    assert {pack.engine for pack in fused.packs} == {"fused"}
    plain = planned(optimizers(tmp_path, "SGD", "Adam", resources={"engine": "eager"}), H200)
    more = captured.estimate.disk_bytes - plain.estimate.disk_bytes
    assert more == sum(captured_bytes(trial) for trial in captured.trials) > 6 * 2 * 10 * 4 * 3520
    assert "for checkpoints, captures and ledger" in printed(captured)
    assert "captures" not in printed(plain)


def test_where_packs_differ_each_says_its_engine_and_why_it_does_not_fuse(tmp_path: Path) -> None:
    plan = planned(optimizers(tmp_path, "SGD", "Adafactor"), H200)
    lines = [line for line in printed(plan).splitlines() if "adafactor-" in line or "sgd-" in line]
    assert sorted("eager: Adafactor is not element-wise" in line for line in lines) == [False, True, True, True]
    found = {(pack["engine"], pack["not_fused"], len(pack["trials"])) for pack in plan_json(plan)["packs"]}
    assert found == {("fused", "", 3), ("eager", "Adafactor is not element-wise", 1)}


def test_a_pack_that_had_to_be_split_is_noted_in_text_and_json(tmp_path: Path) -> None:
    small = one_gpu(2 * 10**9)
    plan = planned(optimizers(tmp_path, "Adam", "AdamW", trial={"model": "conv3bn"}), small, packs=6)
    note = "packs of 6 asked for, but 2.0 GB hold 1 lane of conv3bn: using packs of 1"
    assert plan_json(plan)["notes"] == [note]
    assert note in printed(plan)


def test_a_fused_pack_is_estimated_by_its_own_speed(tmp_path: Path) -> None:
    spec = load_spec(optimizers(tmp_path, "SGD"))
    keys = {engine: calibration_key(H200.gpus[0].name, "lenet5", engine) for engine in ("eager", "fused")}
    assert len(set(keys.values())) == 2
    calibration = {keys["eager"]: 1e5, keys["fused"]: 1e6}
    plan = make_plan(spec, expand(spec), devices=H200, calibration=calibration)
    assert plan.estimate.images_per_second == {"lenet5 fused": 1e6}
    assert plan.estimate.calibrated
    assert not make_plan(spec, expand(spec), devices=H200, calibration={keys["eager"]: 1e5}).estimate.calibrated


TWO_GPUS = Devices(cpus=16, memory_bytes=128 * 10**9, gpus=H200.gpus * 2, name="worker")


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ({"workers": 2}, r"2 workers train each trial \(global batch 128 = 64 \+ 64\), on one host"),
        ({"workers": 2, "batch": "per_worker"}, r"\(global batch 256 = 128 \+ 128\), on one host"),
        ({"workers": 3, "span_hosts": True}, r"\(global batch 128 = 42 \+ 43 \+ 43\), on one or several hosts"),
    ],
)
def test_how_workers_share_a_batch_is_shown(tmp_path: Path, resources: dict[str, Any], text: str) -> None:
    spec = load_spec(optimizers(tmp_path, "SGD", resources=resources))
    plan = make_plan(spec, expand(spec), devices=[TWO_GPUS, TWO_GPUS], calibration={})
    assert re.search(text, printed(plan))
    assert re.search(text, plan_json(plan)["workers"])
    assert "eager: several processes train one trial" in printed(plan)
    assert "2 hosts: 2 × (16 cores, 2 × NVIDIA H200)" in printed(plan)
    assert f"{resources['workers']} workers: estimated" in printed(plan)


def test_the_json_of_one_host_is_that_of_the_host_and_of_several_their_sum(tmp_path: Path) -> None:
    path = optimizers(tmp_path, "SGD")
    assert plan_json(planned(path, H200))["devices"]["cpus"] == 16
    spec = load_spec(path)
    both = plan_json(make_plan(spec, expand(spec), devices=[H200, TWO_CORES], calibration={}))
    assert both["devices"]["cpus"] == 18
    assert [host["cpus"] for host in both["hosts"]] == [16, 2]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("link", ["cpu", "gpu", "hosts"])
def test_workers_never_gain_more_than_their_number(model: str, link: str) -> None:
    trial = parse_trial({"model": {"name": model}})
    speeds = [worker_speed(trial, 1000.0, workers=workers, link=link) for workers in (1, 2, 4, 8)]
    assert speeds[0] == 1000.0
    assert all(speed < 1000.0 * workers for speed, workers in zip(speeds[1:], (2, 4, 8), strict=True))


def test_the_fixed_cost_of_a_step_is_not_shared_out() -> None:
    trial = parse_trial({})
    step = 128 / 1e5
    assert worker_speed(trial, 1e5, workers=2, link="gpu", step_seconds=step) < 1e5  # nothing gained, an exchange paid
    assert worker_speed(trial, 1e5, workers=2, link="gpu") > 1e5


def test_markup_in_a_question_is_text() -> None:
    spec = load_spec(CONFIGS[0], ["question='[/red] which [bold]?'", "seeds=1"])
    plan = make_plan(spec, expand(spec), devices=TWO_CORES, calibration={})
    assert "[/red] which [bold]?" in printed(plan)


def test_a_plan_warns_of_what_cannot_act_once_for_all_seeds_and_names_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    steps = [{"name": "StepLR", "step_size": n} for n in (2, 3, 100)]
    trial = {"epochs": 3, "data": {"name": "synthetic_mnist", "train_size": 500}}
    axes = {"schedule": {"values": steps}, "optimizer.lr": {"values": [0.1, 0.2]}}
    path.write_text(yaml.safe_dump({"name": "late", "trial": trial, "parameters": axes, "seeds": 2}))
    plan = planned(path, TWO_CORES)
    late = plan_json(plan)["warnings"]
    assert late == [
        "StepLR: step_size 3 is never reached: training ends after 3 epochs (SGD · StepLR 3 ×0.1 · lr 0.1, and 1 more "
        "configuration)",
        "StepLR: step_size 100 is never reached: training ends after 3 epochs (SGD · StepLR 100 ×0.1 · lr 0.1, and 1 "
        "more configuration)",
    ]
    assert all(f"warning: {warning}" in " ".join(printed(plan).split()) for warning in late)


def test_a_plan_warns_of_what_is_odd_about_an_optimizer(tmp_path: Path) -> None:
    axes = {"optimizer": {"values": ["Adam", "Rprop"]}}
    [warning] = plan_json(planned(optimizers(tmp_path, parameters=axes, seeds=2), TWO_CORES))["warnings"]
    assert warning.startswith("Rprop expects the gradient over all images")
    assert "Rprop · lr 0.01" in warning


def test_a_range_test_and_a_schedule_that_acts_have_no_warning(tmp_path: Path) -> None:
    axes = {"optimizer": {"values": ["SGD", "Adam"]}}
    for trial in (
        {"type": "range_test", "schedule": {"name": "StepLR", "step_size": 100}},
        {"schedule": {"name": "StepLR", "step_size": 2}},
    ):
        path = optimizers(tmp_path, trial=trial, parameters=axes)
        assert plan_json(planned(path, TWO_CORES))["warnings"] == []


@pytest.mark.parametrize(
    ("devices", "seeds", "note"),
    [
        (H200, {"count": 3, "vary": ["split"]}, "moves with the seed, so that the trials of a pack have one seed"),
        (H200, {"count": 1, "vary": ["split"]}, "the validation split moves with the seed"),
        (TWO_CORES, {"count": 3, "vary": ["split"]}, "the validation split moves with the seed"),
        (TWO_CORES, 3, ""),
    ],
)
def test_a_split_that_moves_is_noted_and_so_are_the_smaller_packs(
    devices: Devices, seeds: Any, note: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({"parameters": {"optimizer.lr": [0.1, 0.01]}, "seeds": seeds}))
    spec = load_spec(path)
    plan = make_plan(spec, expand(spec), devices=devices, calibration={})
    notes = [text for text in plan_json(plan)["notes"] if "split" in text]
    assert [text.endswith(note) for text in notes] == ([True] if note else [])
    assert plan_json(plan)["vary"] == (["split"] if note else [])


def test_a_plan_says_what_each_case_sets(tmp_path: Path) -> None:
    schedules = [{"name": "LinearLR", "epochs": 1}, "CosineAnnealingLR"]
    odd = {"schedule": schedules, "optimizer": {"name": "SGD", "lr": 1e-3}}
    cases = {"base": {}, "an [i]odd[/i] name": odd}
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump({"name": "cases", "parameters": {"change": {"cases": cases}}}))
    plan = planned(path, TWO_CORES)
    text = printed(plan)
    assert "Cases of change" in text
    assert re.search(r"base +│ nothing: the trial as it stands", text)
    assert "an [i]odd[/i] name" in text
    assert "optimizer.lr=1e-3" in text
    flat = {"schedule": schedules, "optimizer.name": "SGD", "optimizer.lr": 1e-3}
    assert plan_json(plan)["cases"] == {"change": {"base": {}, "an [i]odd[/i] name": flat}}


def test_a_search_is_planned_with_stand_ins_and_says_so() -> None:
    axes = {
        "change": {"cases": {"a": {}, "b": {"schedule": {"name": "StepLR", "step_size": 50}}}},
        "optimizer.lr": {"distribution": "log_uniform", "min": 1e-3, "max": 0.1},
    }
    spec = spec_of(searched("optuna", trials=12, batch=4, seeds=2, parameters=axes))
    plan = make_plan(spec, expand(stand_in(spec)), devices=TWO_CORES, calibration={})
    assert (plan_json(plan)["configurations"], len(plan.trials)) == (12, 24)
    text = " ".join(printed(plan).split())
    assert "sampler tpe draws the configurations in batches of 4" in text
    assert "evenly spread ones in their place" in text
    assert "StepLR: step_size 50 is never reached: training ends after 10 epochs (b · SGD" in text
