"""Whatever differs between two configurations stands in their labels, which stay short."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.labels import LIMIT, label_all
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.naming import optimizer_label, schedule_label
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import REQUIRED, Parameter
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import LAMBDA_PRESETS
from ch6dist.catalog.schedules import resolve_schedule
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError

COSINE = {"name": "CosineAnnealingLR", "eta_min": 1e-5}


def texts(*contents: dict[str, Any]) -> list[str]:
    return [str(label) for label in label_all([parse_trial(content).model_dump() for content in contents]).labels]


def test_labels_read_as_documented() -> None:
    sgd = parse_trial({"optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": True}}).optimizer
    labels = [
        ("none", "none"),
        ({"name": "StepLR", "step_size": 15}, "StepLR 15 ×0.1"),
        ({"name": "StepLR", "step_size": {"epochs": 2.5}}, "StepLR 2.5 epochs ×0.1"),
        ({"name": "MultiStepLR", "milestones": [30, 80], "interval": "batch"}, "MultiStepLR 30-80 ×0.1 per batch"),
        ({"name": "CosineAnnealingLR", "T_max": 1}, "CosineAnnealingLR 1"),
        ({"name": "CosineAnnealingLR", "T_max": 1.0}, "CosineAnnealingLR 1.0"),
        ({"name": "CosineAnnealingLR", "warmup": {"epochs": 5}}, "warm-up 5, CosineAnnealingLR"),
        ({"name": "CyclicLR", "mode": "triangular2"}, "CyclicLR triangular2"),
        ({"name": "ReduceLROnPlateau", "patience": 4}, "ReduceLROnPlateau patience 4 ×0.1"),
        ({"name": "LambdaLR", "recipe": "inverse_sqrt"}, "LambdaLR inverse_sqrt timescale 1"),
        ([{"name": "LinearLR", "epochs": 5}, "CosineAnnealingLR"], "LinearLR to 5 → CosineAnnealingLR"),
        (
            {"name": "ChainedScheduler", "schedulers": ["LinearLR", COSINE]},
            "LinearLR and CosineAnnealingLR eta_min 1e-5",
        ),
    ]
    assert optimizer_label(sgd) == "SGD nesterov 0.9"
    assert [schedule_label(resolve_schedule(given, optimizer=sgd)) for given, _ in labels] == [
        text for _, text in labels
    ]
    assert texts({"schedule": "ConstantLR"}) == ["SGD · ConstantLR ×0.333 · lr 1e-3"]


def test_flavours_of_sgd_are_different_optimizers() -> None:
    momentum = {"name": "SGD", "momentum": 0.9, "lr": 0.1}
    given = [{"name": "SGD", "lr": 0.1}, momentum, {**momentum, "nesterov": True}, {"name": "Adam", "lr": 0.1}]
    optimizers = ["SGD", "SGD momentum 0.9", "SGD nesterov 0.9", "Adam"]
    assert texts(*({"optimizer": section} for section in given)) == [f"{name} · lr 0.1" for name in optimizers]


def test_a_default_is_said_beside_other_values_unless_it_is_off() -> None:
    decays = [{"optimizer": {"name": name, "weight_decay": w}} for name in ("AdamW", "Adam") for w in (0, 1e-4, 0.01)]
    betas = [{"optimizer": {"name": "NAdam", "betas": pair}} for pair in ([0.9, 0.999], [0.9, 0.99])]
    assert texts(*decays, *betas) == [
        *("AdamW wd 0 · lr 1e-3", "AdamW wd 1e-4 · lr 1e-3", "AdamW wd 0.01 · lr 1e-3"),
        *("Adam · lr 1e-3", "Adam wd 1e-4 · lr 1e-3", "Adam wd 0.01 · lr 1e-3"),
        *("NAdam betas 0.9-0.999 · lr 2e-3", "NAdam betas 0.9-0.99 · lr 2e-3"),
    ]
    assert texts(decays[2], decays[3]) == ["AdamW · lr 1e-3", "Adam · lr 1e-3"]  # nothing of one name differs


def test_batch_sizes_and_schedules_crossed_are_four_names() -> None:
    steps = [{"name": "StepLR", "step_size": 1}, {"name": "StepLR", "step_size": 2, "gamma": 0.5}]
    assert texts(*({"data": {"batch_size": b}, "schedule": s} for b in (50, 100) for s in steps)) == [
        "SGD · StepLR 1 ×0.1 · batch 50 · lr 1e-3",
        "SGD · StepLR 2 ×0.5 · batch 50 · lr 1e-3",
        "SGD · StepLR 1 ×0.1 · batch 100 · lr 1e-3",
        "SGD · StepLR 2 ×0.5 · batch 100 · lr 1e-3",
    ]


def test_a_split_that_varies_is_in_the_label_and_one_that_does_not_is_in_none() -> None:
    fixed, varied = parse_trial({}).model_dump(), parse_trial({"vary": "split"}).model_dump()
    old = {key: value for key, value in fixed.items() if key != "vary"}
    for given in (fixed, old):
        labels = [str(label) for label in label_all([given, varied]).labels]
        assert labels == ["SGD · lr 1e-3", "SGD · varying split · lr 1e-3"]
    assert len({str(label) for label in label_all([old, fixed]).labels}) == 1


def test_what_all_share_is_in_no_label_and_seeds_never_are() -> None:
    assert texts(*({"data": {"batch_size": 64}, "precision": "bf16", "seed": seed} for seed in (0, 1))) == [
        "SGD · lr 1e-3",
        "SGD · lr 1e-3",
    ]


@pytest.mark.parametrize("extra", [{}, {"nesterov": True}])
def test_a_searched_momentum_names_the_point_and_not_the_optimizer(extra: dict[str, Any]) -> None:
    configs = [
        parse_trial({"optimizer": {"name": "SGD", "momentum": m / 20, **extra}}).model_dump() for m in range(1, 20)
    ]
    labels = label_all(configs).labels
    assert {label.optimizer for label in labels} == {"SGD nesterov" if extra else "SGD"}
    assert [label.drawn for label in labels][:2] == ["momentum 0.05", "momentum 0.1"]
    assert len(set(labels)) == 19


def test_searched_lengths_of_a_schedule_name_the_point_and_not_the_panel() -> None:
    given = [{"name": "StepLR", "step_size": n, "warmup": {"epochs": 1}} for n in range(1, 12)]
    labels = label_all([parse_trial({"schedule": schedule}).model_dump() for schedule in given]).labels
    assert {label.schedule for label in labels} == {"warm-up 1, StepLR ×0.1"}
    assert [label.drawn for label in labels][:2] == ["step_size 1", "step_size 2"]


def test_range_tests_and_final_trainings_are_compared_among_themselves() -> None:
    contents: list[dict[str, Any]] = [
        {"optimizer": "Adam"},
        {"type": "range_test", "data": {"batch_size": 512}},
        {"type": "range_test", "data": {"batch_size": 512}, "range_test": {"steps": 200}},
        {"evaluate_test": True, "epochs": 60, "optimizer": "Adam"},
    ]
    assert texts(*contents) == ["Adam · lr 1e-3", "SGD · steps 300", "SGD · steps 200", "Adam · lr 1e-3"]


def test_runs_that_are_shown_together_are_named_and_what_differs_between_them_too() -> None:
    configs = [parse_trial({"epochs": epochs}).model_dump() for epochs in (5, 8)]
    assert [str(label) for label in label_all(configs, runs=["a", "b"]).labels] == [
        "a · SGD · epochs 5 · lr 1e-3",
        "b · SGD · epochs 8 · lr 1e-3",
    ]


def test_what_is_too_long_is_numbered_and_explained() -> None:
    long = [
        [
            {"name": "LinearLR", "epochs": 2, "start_factor": 0.1},
            {"name": "StepLR", "step_size": 2, "epochs": n},
            COSINE,
        ]
        for n in (3, 4)
    ]
    found = label_all([parse_trial({"schedule": s}).model_dump() for s in ("CosineAnnealingLR", *long)])
    assert [label.schedule for label in found.labels] == ["CosineAnnealingLR", "schedule 1", "schedule 2"]
    assert found.numbered["schedule 2"] == (
        "LinearLR start_factor 0.1 to 2 → StepLR 2 ×0.1 to 6 → CosineAnnealingLR eta_min 1e-5"
    )


# Sets of configurations over the whole catalog


def value_of(parameter: Parameter, draw: random.Random) -> Any:
    """A value that the parameter may take; configurations that do not fit together are drawn again."""
    low = parameter.low if parameter.low is not None else parameter.above if parameter.above is not None else -1
    high = next(bound for bound in (parameter.high, parameter.below, low + 4) if bound is not None)
    number = draw.choice([draw.uniform(low, high), low + (high - low) * draw.choice([0.25, 0.5, 0.500001])])
    return {
        "float": lambda: number,
        "int": lambda: draw.randint(int(low), int(low) + 12),
        "bool": lambda: draw.choice([True, False]),
        "choice": lambda: draw.choice(parameter.choices),
        "floats": lambda: sorted(draw.uniform(low, high) for _ in range(parameter.length or 2)),
        "duration": lambda: draw.choice([draw.randint(1, 20), draw.random(), {"epochs": draw.randint(1, 9)}]),
        "durations": lambda: sorted(draw.sample(range(1, 20), 2)),
    }[parameter.kind]()


def section_of(name: str, parameters: tuple[Parameter, ...], draw: random.Random, *, share: float) -> dict[str, Any]:
    given = [p for p in parameters if p.default is REQUIRED or draw.random() < share]
    return {"name": name, **{p.name: value_of(p, draw) for p in given}}


def schedule_of(draw: random.Random, *, share: float, within: str = "") -> Any:
    names = [name for name, entry in SCHEDULES.items() if not within or within in entry.within]
    name = draw.choice(names)
    if name in ("SequentialLR", "ChainedScheduler"):
        children = [schedule_of(draw, share=share, within=name) for _ in range(draw.randint(2, 3))]
        if name == "ChainedScheduler":
            return {"name": name, "schedulers": children}
        return [*({**child, "epochs": draw.randint(1, 9)} for child in children[:-1]), children[-1]]
    section = section_of(name, SCHEDULES[name].parameters, draw, share=share)
    if "recipe" in section:
        section |= section_of(name, LAMBDA_PRESETS[section["recipe"]].parameters, draw, share=share)
    warmup = {"epochs": draw.randint(1, 9), "start_factor": draw.choice([0.1, 0.25])}
    return {**section, "warmup": warmup} if not within and draw.random() < share else section


def changed(content: dict[str, Any], draw: random.Random, share: float) -> dict[str, Any]:
    """The content of a trial with one section drawn anew."""
    model, optimizer = draw.choice(list(MODELS)), draw.choice(list(OPTIMIZERS))
    data = content.get("data", {})
    drawn: dict[str, Callable[[], Any]] = {
        "model": lambda: section_of(model, MODELS[model].parameters, draw, share=share),
        "optimizer": lambda: section_of(optimizer, OPTIMIZERS[optimizer].parameters, draw, share=share),
        "schedule": lambda: schedule_of(draw, share=share),
        "data": lambda: {
            **data,
            **draw.choice(
                [
                    {"batch_size": draw.randint(1, 300)},
                    {"train_size": draw.randint(100, 4000), "val_size": draw.randint(1, 900)},
                    {"augment": draw.choice(["none", "flip", "crop"])},
                    {"name": draw.choice(list(DATASETS))},
                    {"seed": draw.randint(0, 3)},
                ]
            ),
        },
        "epochs": lambda: draw.randint(20, 40),
        "label_smoothing": lambda: draw.choice([0.1, 0.1000001, draw.random()]),
        "clip_norm": lambda: draw.choice([None, 1.0, draw.random()]),
        "no_weight_decay_on": lambda: draw.choice([[], ["norm"], ["norm", "bias"]]),
        "precision": lambda: draw.choice(["fp32", "bf16", "fp64"]),
        "deterministic": lambda: draw.choice([True, False]),
        "divergence_factor": lambda: draw.uniform(1.5, 9),
        "type": lambda: draw.choice(["train", "range_test"]),
        "range_test": lambda: {"steps": draw.randint(10, 300), "smoothing": draw.choice([0.5, 0.9])},
        "seed": lambda: draw.randint(0, 2),
    }
    key = draw.choice(list(drawn))
    return {**content, key: drawn[key]()}


def configurations(seed: int) -> list[TrialConfig]:
    """Neighbours: each differs from an earlier one in one section, of which few or many parameters are given."""
    draw = random.Random(seed)
    share, contents = draw.choice([0.1, 0.5, 1.0]), [{"epochs": 30}]
    found = [parse_trial(contents[0])]
    for _ in range(draw.choice([3, 30, 150])):
        content = changed(draw.choice(contents), draw, share)
        try:
            found.append(parse_trial(content))
        except InputError:
            continue
        contents.append(content)
    return found


@pytest.mark.parametrize("seed", range(60))
def test_labels_are_equal_where_configurations_are(seed: int) -> None:
    trials = configurations(seed)
    found = label_all([trial.model_dump() for trial in trials])
    names = {}
    for trial, label in zip(trials, found.labels, strict=True):
        names.setdefault((trial.type, str(label)), set()).add(trial.configuration_id)
    shared = {name: ids for name, ids in names.items() if len(ids) > 1}
    assert not shared
    assert len(names) == len({trial.configuration_id for trial in trials})
    assert max(len(str(label)) for label in found.labels) <= LIMIT
    assert all("\n" not in text for text in map(str, found.labels))
    assert found == label_all([trial.model_dump() for trial in trials])


@pytest.mark.parametrize("seed", range(20))
def test_a_numbered_part_stands_for_one_text(seed: int) -> None:
    trials = configurations(seed)
    found = label_all([trial.model_dump() for trial in trials])
    assert len(set(found.numbered.values())) == len(found.numbered)
    whole = {
        (t.type, *(found.numbered.get(part, part) for part in label.parts()), label.lr)
        for t, label in zip(trials, found.labels, strict=True)
    }
    assert len(whole) == len({trial.configuration_id for trial in trials})


# Cases


def test_a_case_stands_first_in_a_label_and_is_never_numbered() -> None:
    several = [{"name": "LinearLR", "epochs": 2}] * 4 + [{"name": "CosineAnnealingLR", "eta_min": 1e-5}]
    configs = [parse_trial(content).model_dump() for content in ({"epochs": 9}, {"schedule": several, "epochs": 9})]
    name = "a name of forty characters, as many as may"[:40]
    found = label_all(configs, runs=["one", "one"], cases=[None, {"change": name}])
    assert [label.case for label in found.labels] == ["", name]
    assert str(found.labels[1]).startswith(f"one · {name} · SGD · schedule 1")
    assert "case" not in str(list(found.numbered))


def test_of_two_axes_each_case_is_named_with_its_axis() -> None:
    config = parse_trial({}).model_dump()
    (label,) = label_all([config], cases=[{"width": "on", "depth": "on"}]).labels
    assert str(label).startswith("width on, depth on · SGD")


def test_the_name_of_a_case_from_outside_is_a_line_of_text() -> None:
    (label,) = label_all([parse_trial({}).model_dump()], cases=[{"change": "a\nb\x1b[31m"}]).labels
    assert label.case == "a b�[31m"
