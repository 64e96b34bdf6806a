"""A trial's configuration is complete, checked by key, and its identity is what it trains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.schedules import SCHEDULES
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError

NUMBERS = [
    ("epochs", 3),
    ("seed", 3),
    ("label_smoothing", 0.5),
    ("divergence_factor", 2),
    ("data.train_size", 100),
    ("data.val_size", 100),
    ("data.batch_size", 100),
    ("data.seed", 3),
    ("optimizer.lr", 0.5),
    ("optimizer.weight_decay", 0.5),
    ("range_test.start_lr", 0.001),
    ("range_test.end_lr", 0.5),
    ("range_test.steps", 50),
    ("range_test.smoothing", 0.5),
    ("schedule.patience", 3),
    ("model.dropout", 0.5),
]


def trial_with(key: str, value: Any) -> TrialConfig:
    content: dict[str, Any] = {
        "model": {"name": "lenet5"},
        "optimizer": {"name": "SGD"},
        "schedule": {"name": "ReduceLROnPlateau"},
    }
    *sections, name = key.split(".")
    section = content.setdefault(sections[0], {}) if sections else content
    section[name] = value
    return parse_trial(content)


def refusal(content: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_trial(content)
    assert "\n" not in str(caught.value)
    return caught.value


def test_empty_content_is_a_complete_trial() -> None:
    trial = parse_trial({})
    assert (trial.data.name, trial.data.train_size, trial.data.val_size) == ("cifar100", 45_000, 5_000)
    assert (trial.data.augment, trial.data.batch_size, trial.epochs, trial.seed) == ("crop_flip", 128, 10, 0)
    assert trial.model["name"] == "lenet5"
    assert trial.optimizer == {
        "name": "SGD",
        "lr": 0.001,
        "momentum": 0.0,
        "dampening": 0.0,
        "weight_decay": 0.0,
        "nesterov": False,
    }
    assert trial.schedule == {"name": "none"}


def test_sizes_follow_the_data_set_and_each_other() -> None:
    assert parse_trial({"data": {"name": "mnist"}}).data.train_size == 54_000
    assert parse_trial({"data": {"val_size": 0}}).data.train_size == 50_000
    assert parse_trial({"data": {"val_size": "5e2"}}).data.train_size == 49_500
    assert parse_trial({"data": {"train_size": 45_000, "val_size": 5_000}}).data.val_size == 5_000


@pytest.mark.parametrize(("key", "number"), NUMBERS)
def test_text_that_reads_as_a_number_is_that_number(key: str, number: float) -> None:
    trial, same = trial_with(key, f"{number:e}"), trial_with(key, number)
    assert trial == same
    assert trial.trial_id == same.trial_id


def test_yaml_1_1_exponents_are_numbers() -> None:
    trial = parse_trial({"optimizer": {"name": "SGD", "lr": "1e-3"}, "range_test": {"start_lr": "1e-5"}})
    assert (trial.optimizer["lr"], trial.range_test.start_lr) == (1e-3, 1e-5)


@pytest.mark.parametrize(("key", "number"), NUMBERS)
@pytest.mark.parametrize("bad", [-1, "many", float("nan"), float("inf"), "-inf", "nan", True, None, [], {}, 10**400])
def test_what_is_no_sensible_number_is_refused_by_its_key(key: str, number: float, bad: object) -> None:
    with pytest.raises(InputError) as caught:
        trial_with(key, bad)
    assert caught.value.key == key
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["epochs", "seed", "data.batch_size", "schedule.patience"])
def test_half_a_thing_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="whole number"):
        trial_with(key, 2.5)


@pytest.mark.parametrize(
    ("content", "key", "allowed"),
    [
        ({"epocs": 3}, "epocs", "did you mean 'epochs'"),
        ({"data": {"batchsize": 3}}, "data.batchsize", "did you mean 'batch_size'"),
        ({"range_test": {"step": 30}}, "range_test.step", "did you mean 'steps'"),
        ({"model": {"name": "lenet5", "droput": 0.1}}, "model.droput", "did you mean 'dropout'"),
        ({"model": "lenet"}, "model.name", "did you mean 'lenet5'"),
        ({"data": {"name": "cifar"}}, "data.name", "did you mean 'cifar10'"),
        ({"data": {"name": ["mnist"]}}, "data.name", "one of cifar10, cifar100"),
        ({"model": {"name": {}}}, "model.name", "one of lenet5"),
        ({"data": {"val_size": 50_000}}, "data.val_size", "less than the 50000 training images"),
        ({"data": {"val_size": 60_000}}, "data.val_size", "less than the 50000 training images"),
        ({"data": {"train_size": 45_001}}, "data.train_size", "at most 45000"),
        ({"data": {"augment": "rotate"}}, "data.augment", "crop_flip"),
        ({"range_test": {"start_lr": 1, "end_lr": 0.1}}, "range_test.end_lr", "> start_lr"),
        ({"precision": "fp16"}, "precision", "bf16"),
        ({"type": "test"}, "type", "range_test"),
        ({"data": 3}, "data", ""),
        ({"optimizer": None}, "optimizer.name", "one of SGD"),
    ],
)
def test_bad_content_is_refused_by_its_key(content: Any, key: str, allowed: str) -> None:
    error = refusal(content)
    assert error.key == key
    assert allowed in error.allowed


@pytest.mark.parametrize("content", [None, [], "SGD", 3])
def test_content_that_is_no_mapping_is_refused(content: object) -> None:
    refusal(content)


def test_error_names_the_file() -> None:
    with pytest.raises(InputError, match=r"^trial\.yaml: epochs: 0 is not allowed"):
        parse_trial({"epochs": 0}, file="trial.yaml")


def test_explicit_defaults_have_the_same_identity() -> None:
    trial = parse_trial({})
    full = trial.model_dump()
    assert parse_trial(full).trial_id == trial.trial_id
    assert parse_trial({"optimizer": "SGD", "schedule": "none", "model": "lenet5"}).trial_id == trial.trial_id
    assert parse_trial({"optimizer": {"name": "SGD", "momentum": 0}}).trial_id == trial.trial_id
    plateau = {"name": "ReduceLROnPlateau"}
    assert trial_with("schedule", plateau).trial_id == trial_with("schedule", {**plateau, "mode": "min"}).trial_id
    cycle = {"optimizer": "Adam", "schedule": {"name": "OneCycleLR"}}
    explicit = {"optimizer": "Adam", "schedule": {"name": "OneCycleLR", "cycle_momentum": True}}
    assert parse_trial(cycle).trial_id == parse_trial(explicit).trial_id


@pytest.mark.parametrize("name", [*OPTIMIZERS, *MODELS])
def test_dumped_trial_is_the_same_trial(name: str) -> None:
    trial = parse_trial({"optimizer" if name in OPTIMIZERS else "model": name})
    assert parse_trial(trial.model_dump()) == trial


def test_where_the_files_are_is_not_part_of_the_identity() -> None:
    assert parse_trial({"data": {"root": "/elsewhere"}}).trial_id == parse_trial({}).trial_id


def test_seeds_are_trials_of_one_configuration() -> None:
    trials = [parse_trial({"seed": seed}) for seed in range(3)]
    assert len({trial.trial_id for trial in trials}) == 3
    assert len({trial.configuration_id for trial in trials}) == 1
    assert [f"-s{trial.seed}-" in trial.trial_id for trial in trials] == [True] * 3


def test_a_split_that_varies_is_one_configuration_for_all_seeds_and_another_than_without() -> None:
    fixed, varied = parse_trial({}), [parse_trial({"vary": ["split"], "seed": seed}) for seed in range(3)]
    assert len({trial.configuration_id for trial in varied}) == 1
    assert len({trial.trial_id for trial in varied}) == 3
    assert fixed.configuration_id != varied[0].configuration_id
    assert fixed.trial_id == parse_trial({"vary": []}).trial_id == "sgd-lr0.001-s0-aba2f00e", (
        "as before there was the key"
    )
    assert [trial.split_seed for trial in (fixed, *varied)] == [None, 0, 1, 2]
    assert parse_trial({"vary": "split"}) == varied[0]


@pytest.mark.parametrize("vary", ["splits", ["split", "split"], ["seed"], 3, {"split": True}, None])
def test_only_what_can_vary_is_taken(vary: Any) -> None:
    with pytest.raises(InputError, match=r"vary: .* is not allowed; .*split"):
        parse_trial({"vary": vary})


def test_what_changes_the_training_changes_the_identity() -> None:
    contents: list[dict[str, Any]] = [
        {},
        {"epochs": 11},
        {"label_smoothing": 0.1},
        {"data": {"seed": 1}},
        {"data": {"batch_size": 64}},
        {"data": {"name": "synthetic_cifar100"}},
        {"model": {"name": "lenet5", "dropout": 0.3}},
        {"optimizer": {"name": "SGD", "momentum": 0.9}},
        {"precision": "bf16"},
        {"type": "range_test"},
    ]
    trials = [parse_trial(content) for content in contents]
    assert len({trial.configuration_id for trial in trials}) == len(contents)


def test_identity_of_a_range_test_has_no_epochs_and_of_a_training_no_range() -> None:
    ranged = [parse_trial({"type": "range_test", "epochs": epochs}).trial_id for epochs in (1, 5)]
    trained = [parse_trial({"range_test": {"steps": steps}}).trial_id for steps in (50, 100)]
    assert (ranged[0], trained[0]) == (ranged[1], trained[1])


def test_identity_is_stable() -> None:
    """Ids of an older release must still find their checkpoints: change these only with a note to the users."""
    assert parse_trial({}).trial_id == "sgd-lr0.001-s0-aba2f00e"
    adam = {"optimizer": "Adam", "schedule": {"name": "CosineAnnealingLR", "warmup": {"epochs": 5}}, "epochs": 50}
    assert parse_trial(adam).trial_id == "adam-lr0.001-warmup5-cosine-s0-8d60c3f4"


def test_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_trial({}).epochs = 3


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text("1e-.∞ x", max_size=5)
JSON = st.recursive(
    LEAVES | st.sampled_from(sorted([*SCHEDULES, *OPTIMIZERS, *MODELS])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "lr", "epochs"]), inner),
    max_leaves=8,
)


@settings(deadline=None, database=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(TrialConfig.model_fields)), JSON, max_size=3))
def test_nonsense_is_refused_in_one_line_or_is_a_trial(content: dict[str, Any]) -> None:
    try:
        message = parse_trial(content).trial_id
    except InputError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("data", "steps"),
    [({"val_size": 0}, 391), ({}, 352), ({"val_size": 0, "batch_size": 50_000}, 1), ({"batch_size": 50}, 900)],
)
def test_an_epoch_has_a_step_for_every_batch_and_the_last_may_be_smaller(data: dict[str, Any], steps: int) -> None:
    """All 50,000 images of CIFAR-100, and the 45,000 beside the validation split, in batches of 128."""
    found = parse_trial({"data": {"name": "cifar100", "batch_size": 128, **data}}).data
    assert found.steps_per_epoch == steps
