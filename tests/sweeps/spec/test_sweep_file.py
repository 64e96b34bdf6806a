"""Sweep files: what they mean, what is refused, and with which message."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from sweeps.spec.axes import PRESETS
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import dump
from tests.support.bad_sweeps import BAD, DAMAGED, DRAWN, YAML_1_1
from tests.support.sweep_files import CONFIGS, axes, refusal, spec_of, sweep, write


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_file_in_configs_expands_and_opens_with_question_and_cost(path: Path) -> None:
    assert expand(load_spec(path), file=str(path))
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# yaml-language-server: ")
    assert lines[1].startswith("# Question: ")
    assert lines[2].startswith("# Cost: ")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_dumped_spec_loads_back_equal(path: Path, tmp_path: Path) -> None:
    spec = load_spec(path)
    again = load_spec(write(tmp_path, dump(spec)))
    assert again == spec
    assert [t.trial_id for t in expand(again)] == [t.trial_id for t in expand(spec)]


def test_a_dumped_random_spec_with_nulls_loads_back_equal(tmp_path: Path) -> None:
    optimizers = [{"name": "Adafactor", "eps": [None, "1e-3"]}, {"name": "Adam"}]
    content = sweep(method="random", trials=5, seed=0, parameters={**DRAWN, "optimizer": {"values": optimizers}})
    spec = spec_of(content)
    assert load_spec(write(tmp_path, dump(spec))) == spec


def test_the_optimizer_sweep_has_four_optimizers_seven_lrs_and_three_seeds() -> None:
    path = next(path for path in CONFIGS if path.stem == "optimizer_lr")
    trials = expand(load_spec(path))
    assert len(trials) == 4 * 7 * 3
    assert len({trial.configuration_id for trial in trials}) == 28
    assert Counter(trial.seed for trial in trials) == {0: 28, 1: 28, 2: 28}
    assert {trial.optimizer["lr"] for trial in trials} == {0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4}


def test_the_last_axis_changes_fastest_and_seeds_stay_together() -> None:
    trials = expand(spec_of({**axes(epochs=[1, 2], optimizer__lr=[0.1, 0.2]), "seeds": [7, 3]}))
    found = [(trial.epochs, trial.optimizer["lr"], trial.seed) for trial in trials]
    assert found == [(e, lr, s) for e in (1, 2) for lr in (0.1, 0.2) for s in (7, 3)]


@pytest.mark.parametrize("keys", [("optimizer", "optimizer.lr"), ("optimizer.lr", "optimizer")])
def test_an_inner_axis_comes_after_the_mapping_around_it_whatever_the_order(keys: tuple[str, str]) -> None:
    values = {"optimizer": [{"name": "SGD", "momentum": 0.9}, "Adam"], "optimizer.lr": [0.5, 0.25]}
    trials = expand(spec_of(sweep(parameters={key: {"values": values[key]} for key in keys})))
    found = {(trial.optimizer["name"], trial.optimizer.get("momentum"), trial.optimizer["lr"]) for trial in trials}
    assert found == {("SGD", 0.9, 0.5), ("SGD", 0.9, 0.25), ("Adam", None, 0.5), ("Adam", None, 0.25)}


def test_presets_are_the_grids_of_the_chapter() -> None:
    assert PRESETS["factor3"] == (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
    assert PRESETS["factor10"] == (0.1, 0.01, 1e-3, 1e-4, 1e-5)
    assert len(expand(spec_of(axes(optimizer__lr="factor10")))) == 5


def test_goal_follows_the_metric() -> None:
    assert spec_of(sweep(metric={"name": "val_loss"})).metric.goal == "minimize"
    assert spec_of(sweep(metric={"name": "train_accuracy"})).metric.goal == "maximize"
    assert spec_of(sweep(metric="train_loss")).metric.goal == "minimize"


@pytest.mark.parametrize("override", ["metric.name=val_loss", "metric=val_loss", "metric={name: val_loss}"])
def test_a_metric_of_the_command_line_brings_its_goal(override: str, tmp_path: Path) -> None:
    written = write(tmp_path, sweep(metric={"name": "val_accuracy", "goal": "maximize"}))
    metric = load_spec(written, [override]).metric
    assert (metric.name, metric.goal) == ("val_loss", "minimize")
    assert "metric.goal: 'maximize'" in refusal(written, override, "metric.goal=maximize")


def test_a_sweep_without_a_name_is_called_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "my_sweep.yaml"
    path.write_text("parameters: {optimizer.lr: [0.1]}\n")
    assert load_spec(path).name == "my_sweep"
    assert load_spec(path.rename(tmp_path / "größe 2.yaml")).name == "gro-e-2"


SHORT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"optimizer.lr": [0.1, 0.01]}, {"optimizer.lr": [0.1, 0.01]}),
    ({"optimizer.lr": 0.1}, {"optimizer.lr": [0.1]}),
    ({"optimizer.lr": {"values": 0.1}}, {"optimizer.lr": [0.1]}),
    ({"optimizer.lr": "factor10"}, {"optimizer.lr": "factor10"}),
    ({"optimizer": {"values": {"name": "Adam"}}}, {"optimizer": [{"name": "Adam"}]}),
    ({"optimizer": {"lr": [0.1, 0.2], "momentum": 0.9}}, {"optimizer.lr": [0.1, 0.2], "optimizer.momentum": [0.9]}),
    ({"optimizer": {"name": ["SGD", "Adam"]}}, {"optimizer.name": ["SGD", "Adam"]}),
    ({"data": {"batch_size": {"values": [32, 64]}}, "epochs": 2}, {"data.batch_size": [32, 64], "epochs": [2]}),
]


@pytest.mark.parametrize(("short", "full"), SHORT)
def test_a_short_form_of_an_axis_means_the_long_one(short: dict[str, Any], full: dict[str, Any]) -> None:
    written_out = sweep(parameters={key: {"values": values} for key, values in full.items()})
    assert spec_of(sweep(parameters=short)) == spec_of(written_out)


@pytest.mark.parametrize("text", YAML_1_1)
def test_what_only_yaml_1_1_reads_as_a_number_is_refused_with_its_meaning(text: str, tmp_path: Path) -> None:
    plain = {"name": "demo", "parameters": "{optimizer.lr: [0.1]}"}
    rest = text.strip("{}").split(", ") if text.startswith("{") else [text]
    lines = [f"{key}: {value}" for key, value in plain.items()] + rest
    message = refusal(write(tmp_path, "\n".join(lines)))
    for part in YAML_1_1[text]:
        assert part in message


def test_text_may_be_what_yaml_1_1_reads_as_truth(tmp_path: Path) -> None:
    spec = load_spec(write(tmp_path, "name: on\nquestion: yes\nparameters: {optimizer.lr: [0.1]}"))
    assert (spec.name, spec.question) == ("on", "yes")
    assert load_spec(write(tmp_path, dump(spec))) == spec


def test_the_whole_training_is_written_1_0_and_one_step_1_in_files_and_on_the_command_line(tmp_path: Path) -> None:
    text = "name: t\ntrial: {epochs: 8, schedule: {name: CosineAnnealingLR, T_max: 1.0}}\nparameters: {optimizer.lr: 1}"
    spec = load_spec(write(tmp_path, text))
    again = load_spec(write(tmp_path, dump(spec)))  # as sweep.yaml
    overridden = load_spec(write(tmp_path, text), ["schedule.T_max=1", "schedule.T_max=1.0", "epochs=8"])
    for found in (spec, again, overridden):
        whole = expand(found)[0].schedule["T_max"]
        assert (whole, type(whole)) == (1.0, float)
    axis = expand(load_spec(write(tmp_path, text), ["parameters.schedule.T_max=[1, 1.0]"]))
    assert [type(trial.schedule["T_max"]) for trial in axis] == [int, float]
    in_ledger = [json.loads(json.dumps(trial.model_dump())) for trial in axis]
    assert [parse_trial(config).trial_id for config in in_ledger] == [trial.trial_id for trial in axis]


def test_a_text_number_makes_the_trial_of_the_number() -> None:
    as_text, as_number = (expand(spec_of(axes(optimizer__lr=[value])))[0] for value in ("1e-3", 0.001))
    assert as_text.trial_id == as_number.trial_id


def test_seeds_are_a_number_or_a_list() -> None:
    assert spec_of(sweep(seeds=3)).seeds.values == (0, 1, 2)
    assert spec_of(sweep(seeds=[4, 2])).seeds.values == (4, 2)
    assert spec_of({key: value for key, value in sweep().items() if key != "seeds"}).seeds.values == (0,)


@pytest.mark.parametrize(
    ("given", "values", "vary"),
    [
        ({"count": 3, "vary": ["split"]}, (0, 1, 2), ("split",)),
        ({"values": [4, 2], "vary": "split"}, (4, 2), ("split",)),
        ({"count": 2}, (0, 1), ()),
        ({"values": [7]}, (7,), ()),
        ({"vary": ["split"]}, (0,), ("split",)),
    ],
)
def test_seeds_say_what_varies_with_them_and_dump_to_the_same(
    given: Any, values: tuple[int, ...], vary: tuple[str, ...], tmp_path: Path
) -> None:
    spec = spec_of(sweep(seeds=given))
    assert (spec.seeds.values, spec.seeds.vary) == (values, vary)
    assert load_spec(write(tmp_path, dump(spec))) == spec
    assert dump(spec)["seeds"] == ({"values": list(values), "vary": list(vary)} if vary else list(values))
    assert {tuple(trial.vary) for trial in expand(spec)} == {vary}


WHOLE = "a whole number from 1 to 100000"
LIST = "a list of different whole numbers ≥ 0"


@pytest.mark.parametrize(
    ("given", "key", "allowed"),
    [
        *(({"count": count}, "count", f"{WHOLE} (values takes a list)") for count in ([1, 2], [], True, 0, 2.5, "3")),
        ({"count": 100_001}, "count", f"{WHOLE} (values takes a list)"),
        *(
            ({"values": values}, "values", f"{LIST} (count takes a number of seeds)")
            for values in (3, True, None, "ab", [], [3, 3], [1, True], [-1])
        ),
        ({"count": 2, "values": [1]}, "count", "nothing beside values"),
        *((given, "", f"{WHOLE}, or {LIST}") for given in (True, 0, 2.5, [], [3, 3], 100_001)),
    ],
)
def test_seeds_that_are_none_are_refused_with_what_is_allowed_there(given: Any, key: str, allowed: str) -> None:
    with pytest.raises(InputError) as refused:
        spec_of(sweep(seeds=given))
    assert (refused.value.key, refused.value.allowed) == (f"seeds.{key}".rstrip("."), allowed)


def test_a_margin_is_part_of_the_sweep(tmp_path: Path) -> None:
    spec = spec_of(sweep(margin="5e-3"))
    assert spec.margin == 0.005
    assert load_spec(write(tmp_path, dump(spec))) == spec
    assert "margin" not in dump(spec_of(sweep()))
    assert spec_of(sweep(margin=2, metric="val_loss")).margin == 2


def test_a_seed_changes_only_the_seed() -> None:
    first, second = expand(spec_of({**axes(optimizer__lr=[0.1]), "seeds": 2}))
    again = parse_trial({**second.model_dump(), "seed": 0})
    assert again == first
    assert again.trial_id == first.trial_id != second.trial_id


def test_a_batch_per_worker_makes_the_trial_that_is_really_trained(tmp_path: Path) -> None:
    content = axes(data__batch_size=[32, 64])
    per_worker = {**content, "resources": {"workers": 2, "batch": "per_worker"}}
    trials = expand(spec_of(per_worker))
    assert trials == expand(spec_of(axes(data__batch_size=[64, 128])))
    shared_out = expand(spec_of({**content, "resources": {"workers": 2}}))
    assert shared_out == expand(spec_of(content))  # a global batch: the same trials, on any number of workers

    spec = load_spec(write(tmp_path, dump(spec_of(per_worker))))
    assert expand(spec) == trials
    again = load_spec(write(tmp_path, dump(load_spec(write(tmp_path, dump(spec)), ["seeds=1"]))))
    assert expand(again) == trials


# Method random


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(2, 30))
def test_random_points_are_different_in_range_and_a_longer_sweep_begins_with_them(seed: int, count: int) -> None:
    parameters = {**DRAWN, "epochs": {"distribution": "int_uniform", "min": 1, "max": 4}}
    content = sweep(method="random", trials=count, seed=seed, parameters=parameters)
    trials, more = expand(spec_of(content)), expand(spec_of({**content, "trials": count + 5}))
    assert len({trial.trial_id for trial in trials}) == count
    assert all(1e-4 <= trial.optimizer["lr"] <= 0.1 and 1 <= trial.epochs <= 4 for trial in trials)
    assert more[:count] == trials


def test_log_uniform_lrs_fill_each_decade_alike() -> None:
    trials = expand(spec_of(sweep(method="random", trials=3000, seed=1, parameters=DRAWN)))
    decades = Counter(math.floor(math.log10(trial.optimizer["lr"])) for trial in trials)
    assert all(abs(decades[decade] - 1000) < 4 * math.sqrt(3000 * 2 / 9) for decade in (-4, -3, -2))


def test_more_random_points_than_there_are_is_refused() -> None:
    content = sweep(method="random", trials=3, seed=0)
    with pytest.raises(InputError, match="at most 2"):
        expand(spec_of(content))


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("auto", "auto"),
        ("20 GB", 20 * 10**9),
        ("500 MB", 5 * 10**8),
        ("1.5TB", 15 * 10**11),
        ("2 g", 2 * 10**9),
        ("2T", 2 * 10**12),
        ("1.5kB", 1500),
        (" 7 kB ", 7000),
        ("3 GiB", 3 * 2**30),
        ("12", 12),
        (12, 12),
        (12.7, 12),
        ("1e9", 10**9),
        (0, 0),
    ],
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(written: Any, count: Any, tmp_path: Path) -> None:
    spec = spec_of(sweep(checkpoints={"total": written}))
    assert spec.checkpoints.total == count
    assert load_spec(write(tmp_path, dump(spec))) == spec


@pytest.mark.parametrize(
    "bad",
    ["1,5 TB", "1.5.5 GB", "20 GB or so", "many", "GB", "20 QB", "-3 GB", "-1", -3, "nan", "", True, None, [], [1], {}],
)
def test_what_is_no_size_is_refused_in_one_line(bad: Any, tmp_path: Path) -> None:
    message = refusal(write(tmp_path, sweep(checkpoints={"total": bad})))
    assert f"checkpoints.total: {bad!r} is not allowed; allowed: auto, or a size such as 20 GB" in message


# What is refused


@pytest.mark.parametrize("name", BAD)
def test_wrong_input_is_one_line_with_file_key_value_and_what_is_allowed(name: str, tmp_path: Path) -> None:
    content, parts = BAD[name]
    message = refusal(write(tmp_path, content))
    for part in parts:
        assert part in message


def test_a_relative_cycle_under_an_lr_axis_is_allowed() -> None:
    content = {**axes(optimizer__lr=[0.1, 0.2]), "trial": {"schedule": "OneCycleLR"}}
    assert len(expand(spec_of(content))) == 2


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_and_dangerous_yaml_is_refused_in_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, expected = DAMAGED[case]
    monkeypatch.chdir(tmp_path)
    kind = InputError if expected in ("a mapping", "sweep takes") else UsageError
    assert expected in refusal(write(tmp_path, text), kind=kind)
    assert not (tmp_path / "evil").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(UsageError, match=f"cannot read {path}"):
            load_spec(path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(UsageError, match="UTF-8"):
        load_spec(tmp_path / "binary.yaml")


def test_ten_thousand_trials_expand_in_order() -> None:
    lrs = [1e-3 * (1 + number / 1000) for number in range(1000)]
    trials = expand(spec_of({**axes(optimizer__lr=lrs), "seeds": 10}))
    assert len({trial.trial_id for trial in trials}) == 10_000
    assert [trial.optimizer["lr"] for trial in trials[::10]] == lrs


def test_a_metric_that_a_trial_has_to_ask_for_needs_it_to(tmp_path: Path) -> None:
    assert spec_of(sweep(metric="val_top5_accuracy", trial={"metrics": ["top5"]})).metric.goal == "maximize"
    assert "metrics: [top5]" in refusal(write(tmp_path, sweep(metric="val_top5_accuracy")))
    assert "no axis" in refusal(write(tmp_path, sweep(parameters={"metrics": [[], ["top5"]]})))
