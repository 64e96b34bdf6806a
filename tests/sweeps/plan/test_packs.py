"""Packs: every trial once, among trials that may share a pack, no device idle."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.host.hardware import Devices
from ch6dist.packs import check_shared, engine_for, shared
from sweeps.plan.balance import makespan
from sweeps.plan.costs import CORE_MFLOPS, work
from sweeps.plan.packs import MAX_LANES, make_packs, pack_notes
from sweeps.spec.sweep_file import Resources
from tests.support.plans import H200, TWO_CORES, one_gpu, sizes, trials

TINY = trials(300, data={"name": "mnist", "train_size": 1000, "val_size": 100})


def test_28_configurations_of_3_seeds_on_2_cores_are_6_packs_of_14() -> None:
    packs = make_packs(trials(28, seeds=3), devices=TWO_CORES)
    assert sizes(packs) == [14] * 6
    assert all(len({trial.seed for trial in pack.trials}) == 1 for pack in packs)


@pytest.mark.parametrize(
    ("given", "cpus", "expected"),
    [
        pytest.param(trials(16), 2, [8, 8], id="16-of-one-seed-on-2-cores"),
        pytest.param(trials(10, seeds=2), 2, [10, 10], id="as-many-groups-as-cores-are-not-split"),
        pytest.param(trials(65), 2, [17, 16, 16, 16], id="a-split-lets-the-cores-end-together"),
        pytest.param(trials(20), 1, [20], id="one-core-has-the-fewest-packs"),
        pytest.param(trials(7), 64, [1] * 7, id="many-cores-get-a-trial-each"),
        pytest.param(TINY, 1, [150, 150], id="tiny-trials-make-large-packs"),
        pytest.param([], 2, [], id="no-trials-are-no-packs"),
    ],
)
def test_packs_fill_the_cores(given: list[TrialConfig], cpus: int, expected: list[int]) -> None:
    assert sizes(make_packs(given, devices=Devices(cpus=cpus, memory_bytes=10**12))) == expected


def test_packs_off_trains_each_trial_alone_and_a_number_is_the_largest_pack() -> None:
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs="off")) == [1] * 5
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs=2)) == [2, 2, 1]
    assert sizes(make_packs(trials(5), devices=TWO_CORES, packs=5)) == [5]


def with_optimizers(*names: str, seeds: int = 1, **fields: Any) -> list[TrialConfig]:
    made = [parse_trial({"epochs": 30, "optimizer": {"name": name}, **fields}) for name in names]
    return [trial.model_copy(update={"seed": seed}) for trial in made for seed in range(seeds)]


def test_a_fused_pack_shares_a_family_of_optimizers_and_not_the_seed() -> None:
    packs = make_packs(with_optimizers("SGD", "Adam", "AdamW", seeds=3), devices=H200)
    assert [{trial.optimizer["name"] for trial in pack.trials} for pack in packs] == [{"Adam", "AdamW"}, {"SGD"}]
    assert [[trial.seed for trial in pack.trials] for pack in packs] == [[0, 0, 1, 1, 2, 2], [0, 1, 2]]
    assert [pack.why for pack in packs] == ["optimizer family Adam", "optimizer family SGD"]
    assert {(pack.engine, pack.not_fused) for pack in packs} == {("fused", "")}


def test_lanes_of_a_pack_have_one_seed_where_the_split_moves_with_it() -> None:
    for devices in (TWO_CORES, H200):
        packs = make_packs(with_optimizers("SGD", "Adam", "AdamW", seeds=3, vary=["split"]), devices=devices)
        assert all(len({trial.seed for trial in pack.trials}) == 1 for pack in packs)
        for pack in packs:
            check_shared(pack.trials, engine=pack.engine)
    assert packs[0].why == "optimizer family Adam, split of seed 0"


def test_a_trial_of_a_ledger_from_before_the_key_joins_its_like() -> None:
    old = {key: value for key, value in trials(1)[0].model_dump().items() if key != "vary"}
    for engine in ("eager", "fused"):
        assert shared(old, engine=engine) == shared(trials(1)[0].model_dump(), engine=engine)  # type: ignore[arg-type]


def test_an_optimizer_not_element_wise_trains_alone_on_a_gpu_and_in_eager_lanes_on_a_cpu() -> None:
    mixed = [*trials(4), *trials(2, data={"name": "mnist"})]
    mixed += [parse_trial({"epochs": 30, "optimizer": {"name": "Adafactor", "lr": lr}}) for lr in (0.1, 0.01)]
    packs = make_packs(mixed, devices=H200, packs=4)
    assert sorted(sizes(packs)) == [1, 1, 2, 4]
    assert {pack.engine for pack in packs if len(pack.trials) > 1} == {"fused"}
    assert {pack.not_fused for pack in packs if len(pack.trials) == 1} == {"Adafactor is not element-wise"}
    assert {pack.why for pack in packs if pack.engine == "eager"} == {"part 1 of 2", "part 2 of 2"}

    fused = make_packs(mixed, devices=TWO_CORES, resources=Resources(engine="fused"), packs=4)
    assert sorted((pack.engine, len(pack.trials)) for pack in fused) == [("eager", 2), ("fused", 2), ("fused", 4)]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("wanted", ["auto", "eager", "fused"])
def test_only_optimizers_of_a_family_are_fused_and_others_have_a_reason(name: str, kind: str, wanted: str) -> None:
    engine, why = engine_for({"name": name}, kind=kind, wanted=wanted)
    assert (engine == "fused") == (not why)
    if engine == "fused":
        assert OPTIMIZERS[name].family
        assert (kind, wanted) != ("cpu", "auto")
        assert wanted != "eager"


@pytest.mark.parametrize("wanted", ["auto", "fused", "eager"])
@pytest.mark.parametrize("packs", ["auto", "off", 8])
def test_trials_of_several_workers_are_packs_of_one_in_the_eager_engine(wanted: Any, packs: Any) -> None:
    hosts = [TWO_CORES, Devices(cpus=16, memory_bytes=10**11, gpus=H200.gpus * 2)]
    made = make_packs(trials(4, seeds=2), devices=hosts, packs=packs, resources=Resources(workers=2, engine=wanted))
    assert sizes(made) == [1] * 8
    reason = "asked for" if wanted == "eager" else "several processes train one trial"
    assert {(pack.engine, pack.not_fused) for pack in made} == {("eager", reason)}
    notes = ["packs of 8 asked for, but several processes train one trial: using packs of one"]
    assert pack_notes(made) == (notes if packs == 8 else [])


def test_packs_are_laid_out_for_all_hosts_together() -> None:
    assert sizes(make_packs(trials(16), devices=[TWO_CORES, TWO_CORES])) == [4] * 4


def test_an_engine_asked_for_is_used_on_either_device() -> None:
    for devices in (TWO_CORES, H200):
        for engine in ("eager", "fused"):
            packs = make_packs(trials(4, seeds=2), devices=devices, resources=Resources(engine=engine))
            assert {pack.engine for pack in packs} == {engine}
    assert sizes(make_packs(trials(4), devices=H200, resources=Resources(engine="eager"))) == [1] * 4


def test_packs_that_memory_cannot_hold_are_split_and_it_is_noted() -> None:
    small = one_gpu(12 * 10**9)
    packs = make_packs(trials(64, model={"name": "conv3bn"}), devices=small, packs=64)
    assert sizes(packs) == [32, 32]
    assert pack_notes(packs) == ["packs of 64 asked for, but 12 GB hold 38 lanes of conv3bn: using packs of 32"]
    for fitting in (make_packs(trials(64), devices=small, packs=64), make_packs(trials(9), devices=small, packs=256)):
        assert (len(fitting), pack_notes(fitting)) == (1, [])


@pytest.mark.parametrize("model", MODELS)
def test_a_core_ends_an_epoch_of_a_pack_within_two_minutes(model: str) -> None:
    one_core = Devices(cpus=1, memory_bytes=10**12)
    packs = make_packs(trials(300, model={"name": model}), devices=one_core)
    for pack in packs:
        seconds = sum(work(trial) / trial.epochs for trial in pack.trials) / CORE_MFLOPS
        assert len(pack.trials) == 1 or seconds <= 120


def test_many_packs_of_one_are_laid_out_at_once() -> None:
    many = [parse_trial({"optimizer": {"name": "Adafactor", "lr": 1e-6 * (n + 1)}, "epochs": 1}) for n in range(3000)]
    assert sizes(make_packs([*many, *trials(3)], devices=H200)).count(1) == 3000


def test_no_gpus_asked_for_means_packs_for_cores() -> None:
    packs = make_packs(trials(4, seeds=2), devices=H200, resources=Resources(gpus=0, cpus=8))
    assert all(len({trial.seed for trial in pack.trials}) == 1 for pack in packs)


def test_a_large_model_has_fewer_lanes_on_a_small_gpu() -> None:
    small = one_gpu(8 * 10**9)
    large = trials(64, model={"name": "resnet18"})
    lanes = max(sizes(make_packs(large, devices=small)))
    per_lane = MODELS["resnet18"].activation_bytes_per_image * 128 + 5 * 4 * MODELS["resnet18"].parameter_count
    assert 1 < lanes <= 0.8 * 8e9 / (per_lane * 0.8)
    assert max(sizes(make_packs(trials(64), devices=small))) == 64


@pytest.mark.parametrize("lanes", [0, -1, "0", "-3", "two", "²", "", 257, 1.5])
def test_a_wrong_number_of_lanes_is_refused(lanes: Any) -> None:
    with pytest.raises(InputError, match=r"--packs.*1 to 256"):
        make_packs(trials(2), devices=TWO_CORES, packs=lanes)


def test_longer_packs_begin_first() -> None:
    packs = make_packs(trials(4) + trials(4, model={"name": "resnet18"}), devices=TWO_CORES)
    names = [pack.trials[0].model["name"] for pack in packs]
    assert names == sorted(names, key=["resnet18", "lenet5"].index)
    assert "model resnet18" in packs[0].why


ANY_TRIAL = st.fixed_dictionaries(
    {
        "lr": st.floats(1e-5, 1.0),
        "optimizer": st.sampled_from(["SGD", "Adam", "AdamW", "Adafactor"]),
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
    wanted=st.sampled_from(["auto", "eager", "fused"]),
)
def test_every_trial_is_in_one_pack_of_its_kind_and_parts_differ_by_one(
    drawn: list[dict[str, Any]], devices: Devices, packs: Any, wanted: Any
) -> None:
    given_trials = list({trial.trial_id: trial for trial in map(any_trial, drawn)}.values())
    made = make_packs(given_trials, devices=devices, packs=packs, resources=Resources(engine=wanted))
    assert Counter(t.trial_id for pack in made for t in pack.trials) == Counter(t.trial_id for t in given_trials)
    parts: dict[str, list[int]] = {}
    for pack in made:
        keys = {json.dumps(shared(t.model_dump(), engine=pack.engine), sort_keys=True) for t in pack.trials}
        assert len(keys) == 1
        parts.setdefault(keys.pop(), []).append(len(pack.trials))
    limit = {"auto": MAX_LANES, "off": 1}.get(packs, packs)
    assert all(max(lengths) - min(lengths) <= 1 and max(lengths) <= limit for lengths in parts.values())


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 200), seeds=st.integers(1, 4), cpus=st.integers(1, 16))
def test_cores_end_within_one_trial_of_the_best_possible(count: int, seeds: int, cpus: int) -> None:
    packs = make_packs(trials(count, seeds=seeds), devices=Devices(cpus=cpus, memory_bytes=10**12))
    ideal = -(-count * seeds // cpus)
    assert makespan(sizes(packs), cpus) <= 1.1 * ideal + 1


def test_a_pack_shares_what_the_training_loop_demands() -> None:
    mixed = (
        trials(6, seeds=2) + trials(3, epochs=2) + trials(1, seeds=3, type="range_test") + trials(2, precision="fp64")
    )
    mixed += with_optimizers(*OPTIMIZERS, seeds=2)
    for devices in (TWO_CORES, H200):
        for pack in make_packs(list({trial.trial_id: trial for trial in mixed}.values()), devices=devices):
            check_shared(pack.trials, engine=pack.engine)
