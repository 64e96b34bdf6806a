"""Packs: every trial once, in company it may keep, with every device busy."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.catalog.models import MODELS
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from sweeps.devices import Devices, Gpu
from sweeps.packs import MAX_LANES, Pack, make_packs, makespan, shared
from sweeps.spec import Resources

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


@pytest.mark.parametrize("lanes", [0, -1, "0", "-3", "two", "²", "", 33, 1.5])
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
    mixed = (
        trials(6, seeds=2) + trials(3, epochs=2) + trials(1, seeds=3, type="range_test") + trials(2, precision="fp64")
    )
    for devices in (TWO_CORES, H200):
        for pack in make_packs(mixed, devices=devices):
            train.check_shared(pack.trials)
