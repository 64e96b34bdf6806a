"""A lane of a family is its solo run under torch.optim, or a library: weights, state, whatever its neighbours do."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ch6dist.catalog.fused_forms import FUSED_FORMS
from ch6dist.catalog.lookup import optimizer_of, parse_named
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.engines.families.family import Family
from ch6dist.engines.families.registry import FAMILIES, OF_LIBRARIES, OF_TORCH, family_of
from ch6dist.optim.optimizers import build_optimizer
from tests.support.libraries import known_here

torch.set_num_threads(1)
SHAPES = [torch.Size(s) for s in [(8, 5), (8,), (2, 4, 8), (8,), (3, 8), (3,)]]
LENGTH = sum(shape.numel() for shape in SHAPES)
STEPS, EPOCH = 100, 20

# Packs of lanes as unlike as their family allows. The learning rates keep 100 steps finite.
PACKS: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"name": "SGD", "lr": 0.1},
        {"name": "SGD", "lr": 0.05, "momentum": 0.9},
        {"name": "SGD", "lr": 0.03, "momentum": 0.95, "nesterov": True, "weight_decay": 5e-3},
        {"name": "SGD", "lr": 0.2, "momentum": 0.5, "dampening": 0.3, "weight_decay": 1e-2},
        {"name": "SGD", "lr": 0.02, "momentum": 0.8, "dampening": 1.0},
        {"name": "SGD", "lr": 0.3, "weight_decay": 1e-2},
    ],
    "Adam": [
        {"name": "Adam", "lr": 1e-2},
        {"name": "AdamW", "lr": 3e-3, "amsgrad": True, "weight_decay": 0.1},
        {"name": "Adam", "lr": 2e-2, "betas": [0.5, 0.9], "eps": 1e-3, "amsgrad": True},
        {"name": "Adam", "lr": 1e-3, "weight_decay": 1e-2, "decoupled_weight_decay": True},
        {"name": "Adam", "lr": 5e-3, "weight_decay": 1e-2, "betas": [0.0, 0.99]},
        {"name": "AdamW", "lr": 1e-2, "weight_decay": 0.0, "betas": [0.95, 0.5], "eps": 1e-5},
    ],
    "NAdam": [
        {"name": "NAdam"},
        {"name": "NAdam", "lr": 1e-2, "momentum_decay": 0.05, "weight_decay": 1e-2},
        {"name": "NAdam", "lr": 5e-3, "betas": [0.7, 0.9], "eps": 1e-4, "momentum_decay": 0.0},
        {"name": "NAdam", "lr": 1e-3, "weight_decay": 0.1, "decoupled_weight_decay": True, "momentum_decay": 1.0},
    ],
    "RAdam": [
        {"name": "RAdam"},
        {"name": "RAdam", "lr": 1e-2, "weight_decay": 1e-2, "betas": [0.8, 0.99]},
        {"name": "RAdam", "lr": 1e-2, "weight_decay": 0.1, "decoupled_weight_decay": True, "eps": 1e-4},
        {"name": "RAdam", "lr": 2e-2, "betas": [0.9, 0.5]},  # its variance is never known
    ],
    "Adamax": [
        {"name": "Adamax"},
        {"name": "Adamax", "lr": 1e-2, "weight_decay": 1e-2, "betas": [0.5, 0.9]},
        {"name": "Adamax", "lr": 5e-3, "eps": 1e-3},
    ],
    "RMSprop": [
        {"name": "RMSprop", "lr": 1e-3},
        {"name": "RMSprop", "lr": 1e-3, "momentum": 0.9, "eps": 1e-4},
        {"name": "RMSprop", "lr": 2e-3, "centered": True, "eps": 1e-3, "alpha": 0.9},
        {"name": "RMSprop", "lr": 1e-3, "momentum": 0.5, "centered": True, "weight_decay": 1e-2, "eps": 1e-3},
    ],
    "Adagrad": [
        {"name": "Adagrad"},
        {"name": "Adagrad", "lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5},
        {"name": "Adagrad", "lr": 0.05, "weight_decay": 1e-2, "eps": 1e-3},
    ],
    "Adadelta": [
        {"name": "Adadelta"},
        {"name": "Adadelta", "lr": 0.5, "rho": 0.5, "weight_decay": 1e-2},
        {"name": "Adadelta", "lr": 2.0, "eps": 1e-3, "rho": 0.99},
    ],
    "ASGD": [
        {"name": "ASGD"},
        {"name": "ASGD", "lr": 0.1, "t0": 5, "lambd": 1e-2, "weight_decay": 1e-2},
        {"name": "ASGD", "lr": 0.05, "t0": 30.5, "alpha": 0.5},
        {"name": "ASGD", "lr": 0.2, "t0": -10, "lambd": 0.0},
    ],
    "Rprop": [
        {"name": "Rprop", "lr": 1e-3},
        {"name": "Rprop", "lr": 1e-2, "etas": [0.3, 1.5], "step_sizes": [1e-4, 1e-2]},
        {"name": "Rprop", "lr": 1.0, "step_sizes": [1e-6, 0.02]},
    ],
    "Lion of timm": [
        {"name": "timm/lion", "lr": 1e-3},
        {"name": "timm/lion", "lr": 3e-3, "betas": [0.5, 0.9], "weight_decay": 0.1},
        {"name": "timm/lion", "lr": 2e-3, "weight_decay": 0.2, "corrected_weight_decay": True},
    ],
    "Lion of pytorch_optimizer": [
        {"name": "pytorch_optimizer/lion", "lr": 1e-3},
        {"name": "pytorch_optimizer/lion", "lr": 3e-3, "betas": [0.5, 0.9], "weight_decay": 0.1},
        {"name": "pytorch_optimizer/lion", "lr": 2e-3, "weight_decay": 1e-2, "weight_decouple": False},
        {"name": "pytorch_optimizer/lion", "lr": 1e-3, "weight_decay": 1e-3, "fixed_decay": True},
    ],
    "AdaBelief of timm": [
        {"name": "timm/adabelief", "lr": 3e-3},
        {"name": "timm/adabelief", "lr": 1e-2, "betas": [0.5, 0.9], "eps": 1e-3, "amsgrad": True, "weight_decay": 0.1},
        {"name": "timm/adabelief", "lr": 1e-2, "weight_decay": 1e-2, "decoupled_decay": False, "betas": [0.8, 0.5]},
        {"name": "timm/adabelief", "lr": 5e-3, "weight_decay": 1e-3, "fixed_decay": True, "rectify": True},
        {"name": "timm/adabelief", "lr": 5e-3, "rectify": True, "degenerated_to_sgd": False, "amsgrad": True},
        {"name": "timm/radabelief", "lr": 1e-2, "weight_decay": 0.1, "betas": [0.9, 0.95]},
        {"name": "timm/radabelief", "lr": 1e-2, "degenerated_to_sgd": False, "betas": [0.7, 0.99]},
        {"name": "timm/radabelief", "lr": 1e-2, "amsgrad": True, "betas": [0.9, 0.9], "eps": 1e-8},
        {"name": "timm/radabelief", "lr": 1e-2, "rectify": False, "weight_decay": 1e-2, "decoupled_decay": False},
        {"name": "timm/radabelief", "lr": 5e-3, "weight_decay": 1e-3, "fixed_decay": True},
    ],
    "AdaBelief of pytorch_optimizer": [
        {"name": "pytorch_optimizer/adabelief", "lr": 3e-3},
        {"name": "pytorch_optimizer/adabelief", "lr": 1e-2, "betas": [0.5, 0.9], "eps": 1e-3, "ams_bound": True},
        {"name": "pytorch_optimizer/adabelief", "lr": 1e-2, "weight_decay": 1e-2, "weight_decouple": False},
        {"name": "pytorch_optimizer/adabelief", "lr": 5e-3, "weight_decay": 1e-3, "fixed_decay": True},
        {"name": "pytorch_optimizer/adabelief", "lr": 1e-2, "rectify": True, "weight_decay": 0.1},
        {"name": "pytorch_optimizer/adabelief", "lr": 1e-2, "rectify": True, "degenerated_to_sgd": False},
        {"name": "pytorch_optimizer/adabelief", "lr": 1e-2, "rectify": True, "ams_bound": True, "betas": [0.9, 0.9]},
    ],
    "ADOPT of timm": [
        {"name": "timm/adopt", "lr": 3e-3},
        {"name": "timm/adopt", "lr": 1e-2, "betas": [0.5, 0.9], "eps": 1e-3, "clip_exp": 0.5, "weight_decay": 1e-2},
        {"name": "timm/adopt", "lr": 3e-3, "clip_exp": None, "eps": 0.1},
        {"name": "timm/adopt", "lr": 3e-3, "decoupled": True, "weight_decay": 0.1, "corrected_weight_decay": True},
        {"name": "timm/adoptw", "lr": 3e-3, "weight_decay": 0.1, "clip_exp": 0.25, "betas": [0.8, 0.99]},
        {"name": "timm/adoptw", "lr": 3e-3, "decoupled": False, "weight_decay": 1e-2, "eps": 1e-4},
        {"name": "timm/adoptw", "lr": 1e-3, "weight_decay": 0.2, "corrected_weight_decay": True},
    ],
    "ADOPT of pytorch_optimizer": [
        {"name": "pytorch_optimizer/adopt", "lr": 3e-3},
        {"name": "pytorch_optimizer/adopt", "lr": 1e-2, "betas": [0.5, 0.9], "eps": 1e-3, "weight_decay": 1e-2},
        {"name": "pytorch_optimizer/adopt", "lr": 3e-3, "weight_decay": 0.1, "weight_decouple": True},
        {
            **{"name": "pytorch_optimizer/adopt", "lr": 3e-3},
            **{"weight_decay": 1e-3, "weight_decouple": True, "fixed_decay": True},
        },
    ],
    "Adan of timm": [
        {"name": "timm/adan", "lr": 3e-3},
        {"name": "timm/adan", "lr": 1e-2, "betas": [0.9, 0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1},
        {"name": "timm/adan", "lr": 3e-3, "weight_decay": 0.1, "no_prox": True},
        {"name": "timm/adanw", "lr": 1e-2, "weight_decay": 0.1, "betas": [0.9, 0.8, 0.95], "eps": 1e-5},
        {"name": "timm/adanw", "lr": 3e-3, "weight_decay": 0.1, "no_prox": False},
    ],
    "Adan of pytorch_optimizer": [
        {"name": "pytorch_optimizer/adan", "lr": 3e-3},
        {"name": "pytorch_optimizer/adan", "lr": 1e-2, "betas": [0.9, 0.8, 0.95], "eps": 1e-3, "weight_decay": 0.1},
        {"name": "pytorch_optimizer/adan", "lr": 3e-3, "weight_decay": 0.1, "weight_decouple": True},
    ],
    "AdEMAMix of pytorch_optimizer": [
        {"name": "pytorch_optimizer/ademamix", "lr": 1e-3},
        {"name": "pytorch_optimizer/ademamix", "lr": 3e-3, "betas": [0.5, 0.9, 0.99], "alpha": 2.0, "eps": 1e-3},
        {"name": "pytorch_optimizer/ademamix", "lr": 1e-3, "t_alpha_beta3": 60.0, "weight_decay": 1e-2},
        {"name": "pytorch_optimizer/ademamix", "lr": 2e-3, "weight_decay": 0.1, "weight_decouple": True},
        {
            **{"name": "pytorch_optimizer/ademamix", "lr": 2e-3, "t_alpha_beta3": 7.5},
            **{"weight_decay": 1e-3, "weight_decouple": True, "fixed_decay": True},
        },
    ],
    "Schedule-Free of pytorch_optimizer": [
        {"name": "pytorch_optimizer/schedulefreeadamw", "lr": 1e-2},
        {"name": "pytorch_optimizer/schedulefreesgd", "lr": 0.2, "weight_decay": 1e-2, "r": 1.0, "eps": 1e-3},
        {"name": "pytorch_optimizer/schedulefreesgd", "lr": 0.1, "momentum": 0.8, "warmup_steps": 30},
        {"name": "pytorch_optimizer/schedulefreesgd", "lr": 0.1, "weight_lr_power": 0.0},
        {
            **{"name": "pytorch_optimizer/schedulefreeadamw", "lr": 5e-3, "betas": [0.95, 0.9], "eps": 1e-3},
            **{"weight_decay": 0.1, "warmup_steps": 25, "r": 0.5, "weight_lr_power": 1.0},
        },
        {"name": "pytorch_optimizer/schedulefreeadamw", "lr": 5e-3, "decoupling_c": 20},
        {"name": "pytorch_optimizer/schedulefreeradam", "lr": 1e-2},
        {
            **{"name": "pytorch_optimizer/schedulefreeradam", "lr": 1e-2, "betas": [0.8, 0.95], "eps": 1e-3},
            **{"weight_decay": 0.1, "r": 1.0, "weight_lr_power": 0.5},
        },
    ],
    "Schedule-Free of schedulefree": [
        {"name": "schedulefree:AdamWScheduleFree", "lr": 1e-2},
        {"name": "schedulefree:SGDScheduleFree", "lr": 0.2, "weight_decay": 1e-2, "r": 1.0},
        {"name": "schedulefree:SGDScheduleFree", "lr": 0.1, "momentum": 0.8, "warmup_steps": 30},
        {"name": "schedulefree:SGDScheduleFree", "lr": 0.1, "weight_lr_power": 0.0},
        {
            **{"name": "schedulefree:AdamWScheduleFree", "lr": 5e-3, "betas": [0.95, 0.9], "eps": 1e-3},
            **{"weight_decay": 0.1, "warmup_steps": 25, "r": 0.5, "weight_lr_power": 1.0},
        },
        {"name": "schedulefree:RAdamScheduleFree", "lr": 1e-2},
        {
            **{"name": "schedulefree:RAdamScheduleFree", "lr": 1e-3, "betas": [0.8, 0.95], "eps": 1e-3},
            **{"weight_decay": 0.1, "r": 1.0, "weight_lr_power": 0.5, "silent_sgd_phase": False},
        },
    ],
}
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def resolved(given: Mapping[str, Any]) -> dict[str, Any]:
    known_here(given["name"])
    config = parse_named("optimizer", given)
    optimizer_of(config).check(config)
    return config


def lanes_of(family: Family) -> list[dict[str, Any]]:
    return [resolved(given) for given in PACKS[family.name]]


def first_weights(lane: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (torch.randn(LENGTH, generator=torch.Generator().manual_seed(lane), dtype=torch.float64) / 3).to(dtype)


def gradient_of(row: Tensor, *, step: int) -> Tensor:
    """[N]: the gradient of a small network on the batch of `step`."""
    generator = torch.Generator().manual_seed(10_000 + step)
    images = torch.randn(16, 5, generator=generator, dtype=torch.float64).to(row.dtype)
    labels = torch.randint(3, (16,), generator=generator)
    row = row.detach().clone().requires_grad_()
    w1, b1, w2, b2, w3, b3 = [p.view(s) for p, s in zip(row.split([s.numel() for s in SHAPES]), SHAPES, strict=True)]
    hidden = torch.tanh(torch.tanh(images @ w1.T + b1) @ w2.reshape(8, 8).T + b2)
    torch.nn.functional.cross_entropy(hidden @ w3.T + b3, labels).backward()
    assert row.grad is not None
    return row.grad


def scheduled(config: Mapping[str, Any], step: int) -> tuple[float, float]:
    """Learning rate and momentum of a step: a cycle in which they move against each other, as in OneCycleLR."""
    wave = 0.5 - 0.5 * math.cos(2 * math.pi * step / 40)
    momentum = config["betas"][0] if "betas" in config else config.get("momentum", math.nan)
    return config["lr"] * (0.2 + 0.8 * wave), momentum * (1 - 0.1 * wave)


class Solo:
    """A lane alone: torch's own optimizer, one tensor after another."""

    def __init__(self, config: Mapping[str, Any], weights: Tensor) -> None:
        self.config, self.step = config, 0
        pieces = weights.split([shape.numel() for shape in SHAPES])
        self.parameters = [
            torch.nn.Parameter(p.view(s).clone(memory_format=torch.contiguous_format))
            for p, s in zip(pieces, SHAPES, strict=True)
        ]
        self.optimizer = build_optimizer(self.parameters, config)
        self.optimizer.param_groups[0]["foreach"] = False

    @property
    def row(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.parameters])

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        return self.optimizer.state_dict()["state"]

    def train(self, steps: int) -> None:
        group = self.optimizer.param_groups[0]
        for _ in range(steps):
            group["lr"], momentum = scheduled(self.config, self.step)
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            elif "momentum" in group:
                group["momentum"] = momentum
            pieces = gradient_of(self.row, step=self.step).split([shape.numel() for shape in SHAPES])
            for parameter, piece in zip(self.parameters, pieces, strict=True):
                parameter.grad = piece.view(parameter.shape)
            self.optimizer.step()
            self.step += 1


class Pack:
    """Lanes trained together, as an engine does it."""

    def __init__(self, family: Family, dtype: torch.dtype = torch.float64) -> None:
        self.family, self.dtype, self.configs, self.steps = family, dtype, [], []
        self.weights = torch.empty(0, LENGTH, dtype=dtype)
        self.rows: list[dict[str, Tensor]] = []
        self.scalar_states: list[dict[str, float]] = []

    def join(
        self, config: Mapping[str, Any], weights: Tensor, state: Mapping[int, Any], step: int, group: Any = None
    ) -> None:
        how: Any = {"shapes": SHAPES, "dtype": self.dtype, "device": "cpu"}
        row, scalar_state = self.family.from_torch(config, state, group or {}, **how)
        self.configs.append(config)
        self.steps.append(step)
        self.rows.append(row)
        self.scalar_states.append(scalar_state)
        self.weights = torch.cat([self.weights, weights[None].to(self.dtype)])

    def train(self, steps: int) -> None:
        """An epoch: state tensors from the lanes' rows, a table of coefficients, a step per row of it, back to rows."""
        family, num_lanes = self.family, len(self.configs)
        state = family.first_state(self.configs, num_parameters=LENGTH, dtype=self.dtype, device="cpu")
        scalar_state = family.first_scalar_state(num_lanes)
        for k in range(num_lanes):
            for name, values in self.rows[k].items():
                state[name][k] = values
            for name, value in self.scalar_states[k].items():
                scalar_state[name][k] = value
        used = [[scheduled(c, n + t) for c, n in zip(self.configs, self.steps, strict=True)] for t in range(steps)]
        lr, momentum = torch.tensor(used, dtype=torch.float64).unbind(2)
        table = family.coefficients(
            self.configs, lr=lr, momentum=momentum, steps=torch.tensor(self.steps), scalar_state=scalar_state
        )
        for t in range(steps):
            c = {name: values[t, :, None].to(self.dtype) for name, values in table.items()}
            gradient = torch.stack(
                [gradient_of(row, step=n + t) for row, n in zip(self.weights, self.steps, strict=True)]
            )
            before, given = self.weights.clone(), gradient.clone()
            updated = family.update(self.weights, gradient, state, c)
            assert torch.equal(before.nan_to_num(), self.weights.nan_to_num()), "an update leaves the old weights alone"
            assert torch.equal(given.nan_to_num(), gradient.nan_to_num())
            self.weights = updated
        self.steps = [n + steps for n in self.steps]
        self.rows = [{name: matrix[k] for name, matrix in state.items()} for k in range(num_lanes)]
        self.scalar_states = [
            {name: float(values[k]) for name, values in scalar_state.items()} for k in range(num_lanes)
        ]

    def state(self, k: int) -> dict[int, dict[str, Any]]:
        return self.family.to_torch(
            self.configs[k], row=self.rows[k], scalar_state=self.scalar_states[k], step=self.steps[k], shapes=SHAPES
        )

    def group(self, k: int) -> dict[str, Any]:
        return self.family.to_group(self.scalar_states[k], self.steps[k])


def begun(family: Family, dtype: torch.dtype = torch.float64) -> tuple[Pack, list[Solo]]:
    pack, solos = Pack(family, dtype), []
    for k, config in enumerate(lanes_of(family)):
        pack.join(config, first_weights(k, dtype), {}, 0)
        solos.append(Solo(config, first_weights(k, dtype)))
    return pack, solos


def tensors_of(weights: Tensor, state: Mapping[int, Mapping[str, Any]]) -> Iterator[tuple[str, Tensor]]:
    for i, piece in enumerate(weights.split([shape.numel() for shape in SHAPES])):
        yield f"{i}", piece
        for name, value in state.get(i, {}).items():
            yield f"{i}.{name}", torch.as_tensor(value)


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Relative, in the norm."""
    gap = (ours.double() - theirs.double()).norm()
    return 0.0 if gap == 0 else float(gap / theirs.double().norm())


def own_response(solo: Solo, lane: int) -> dict[str, float]:
    """How far each tensor of a solo run moves when its first weights are perturbed by one rounding."""
    signs = torch.randint(2, (LENGTH,), generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    other = Solo(solo.config, first_weights(lane) * (1 + signs * 2.3e-16))
    other.train(solo.step)
    pairs = zip(tensors_of(other.row, other.state), tensors_of(solo.row, solo.state), strict=True)
    return {name: difference(a, b) for (name, a), (_, b) in pairs}


def assert_lane_is_its_solo_run(pack: Pack, k: int, solo: Solo) -> None:
    pairs = zip(tensors_of(pack.weights[k], pack.state(k)), tensors_of(solo.row, solo.state), strict=True)
    gaps = {}
    for (name, ours), (their_name, theirs) in pairs:
        assert (name, ours.dtype, ours.shape) == (their_name, theirs.dtype, theirs.shape)
        gaps[name] = difference(ours, theirs)
    beyond = {name: gap for name, gap in gaps.items() if not gap <= 1e-12}
    response = own_response(solo, k) if beyond else {}
    assert {name: gap for name, gap in beyond.items() if not gap <= 100 * response[name]} == {}


def test_registry_covers_the_catalog():
    assert {entry.family for entry in OPTIMIZERS.values()} == {*(family.name for family in OF_TORCH), None}
    assert {form.family for form in FUSED_FORMS.values()} == {family.name for family in OF_LIBRARIES}
    assert [name for name in OPTIMIZERS if family_of({"name": name}) is None] == ["Adafactor"]
    assert list(FAMILIES) == [family.name for family in (*OF_TORCH, *OF_LIBRARIES)]
    assert {given["name"] for pack in PACKS.values() for given in pack} == {*OPTIMIZERS, *FUSED_FORMS} - {"Adafactor"}


@EVERY_FAMILY
def test_an_optimizer_belongs_to_its_family(family: Family):
    assert all(family_of(config) is family for config in lanes_of(family))


@pytest.mark.parametrize("name", [*OPTIMIZERS, *FUSED_FORMS])
def test_every_option_of_a_family_is_tried(name: str):
    known_here(name)
    tried = [resolved(given) for pack in PACKS.values() for given in pack if given["name"] == name]
    for parameter in optimizer_of({"name": name}).parameters if tried else ():
        if name in OPTIMIZERS or parameter.name in FUSED_FORMS[name].free:
            assert any(config[parameter.name] != parameter.default for config in tried), (
                f"no lane has another {parameter.name}"
            )


@pytest.mark.parametrize("name", FUSED_FORMS)
def test_a_fused_form_names_parameters_that_its_library_has(name: str):
    known_here(name)
    defaults = {one.name: one.default for one in optimizer_of({"name": name}).parameters}
    form = FUSED_FORMS[name]
    assert form.free <= defaults.keys()
    assert {key: defaults[key] for key in form.fixed} == form.fixed, "by default it is fused"


@EVERY_FAMILY
def test_pack_keeps_as_many_matrices_as_the_catalog_says(family: Family):
    state = family.first_state(lanes_of(family), num_parameters=1, dtype=torch.float32, device="cpu")
    names = {config["name"] for config in lanes_of(family)}
    if family in OF_TORCH:
        assert names == {name for name, entry in OPTIMIZERS.items() if entry.family == family.name}
        assert {optimizer_of({"name": name}).state_tensors for name in names} == {len(state)}
    else:  # described by their defaults
        plain = {name: family.state_tensors(resolved({"name": name})) for name in names}
        assert {name: optimizer_of({"name": name}).state_tensors for name in names} == {
            name: len(kept) for name, kept in plain.items()
        }


@EVERY_FAMILY
def test_lane_equals_its_solo_run(family: Family):
    pack, solos = begun(family)
    for _ in range(STEPS // EPOCH):
        pack.train(EPOCH)
    for k, solo in enumerate(solos):
        solo.train(STEPS)
        assert torch.isfinite(solo.row).all()
        assert difference(solo.row, first_weights(k)) > 1e-3, "nothing was trained"
        assert_lane_is_its_solo_run(pack, k, solo)


@EVERY_FAMILY
def test_lane_that_joins_later_equals_its_solo_run(family: Family):
    *early, late = lanes_of(family)
    pack = Pack(family)
    for k, config in enumerate(early):
        pack.join(config, first_weights(k), {}, 0)
    pack.train(30)
    pack.join(late, first_weights(len(early)), {}, 0)
    pack.train(30)
    for k, (config, steps) in enumerate(zip([*early, late], [60] * len(early) + [30], strict=True)):
        solo = Solo(config, first_weights(k))
        solo.train(steps)
        assert_lane_is_its_solo_run(pack, k, solo)


@EVERY_FAMILY
def test_lane_equals_its_solo_run_in_fp32(family: Family):
    pack, solos = begun(family, torch.float32)
    pack.train(10)
    for k, solo in enumerate(solos):
        solo.train(10)
        assert difference(pack.weights[k], solo.row) < 1e-5


@EVERY_FAMILY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("steps", [0, 1, 7])
def test_state_is_the_one_torch_would_hold(family: Family, dtype: torch.dtype, steps: int):
    pack, solos = begun(family, dtype)
    if steps:
        pack.train(steps)
    for k, solo in enumerate(solos):
        solo.train(steps)
        ours, theirs = pack.state(k), solo.state if steps else {}
        group = solo.optimizer.param_groups[0]
        held = {name: group.get(name, 0) for name in pack.group(k)}
        assert pack.group(k) == pytest.approx(held, rel=1e-14), "as torch has it in Python's own floats"
        assert {i: list(entry) for i, entry in ours.items()} == {i: list(entry) for i, entry in theirs.items()}
        for i, entry in theirs.items():
            for name, value in entry.items():
                mine = ours[i][name]
                if not isinstance(value, Tensor):
                    assert (type(mine), mine) == (type(value), value)
                    continue
                assert (mine.dtype, mine.shape, mine.stride()) == (value.dtype, value.shape, value.stride())
                if value.dim() == 0:
                    assert torch.equal(mine, value), f"{name} is rounded as torch rounds it"
                else:
                    assert difference(mine, value) < (1e-4 if dtype == torch.float32 else 1e-11)


@EVERY_FAMILY
def test_state_is_a_copy(family: Family):
    pack, _ = begun(family)
    pack.train(3)
    states = [pack.state(k) for k in range(len(pack.configs))]
    kept = copy.deepcopy(states)
    for row in pack.rows:
        for values in row.values():
            values.fill_(7.0)
    for state, same in zip(states, kept, strict=True):
        for i, entry in same.items():
            assert all(torch.equal(state[i][name], v) for name, v in entry.items() if isinstance(v, Tensor))


@EVERY_FAMILY
def test_torch_continues_from_the_state_of_a_lane(family: Family):
    pack, solos = begun(family)
    pack.train(15)
    saved = [(pack.weights[k].clone(), pack.state(k), pack.group(k)) for k in range(len(solos))]
    pack.train(15)
    for k, (weights, state, group) in enumerate(saved):
        solo = Solo(pack.configs[k], weights)
        groups = [{**solo.optimizer.state_dict()["param_groups"][0], **group}]
        solo.optimizer.load_state_dict({"state": state, "param_groups": groups})
        solo.step = 15
        solo.train(15)
        assert difference(pack.weights[k], solo.row) < 1e-11


@EVERY_FAMILY
@pytest.mark.parametrize("steps", [0, 15])
def test_a_lane_continues_from_the_state_of_torch(family: Family, steps: int):
    pack, solos = Pack(family), []
    for k, config in enumerate(lanes_of(family)):
        solo = Solo(config, first_weights(k))
        solo.train(steps)
        resumed = Solo(config, solo.row)  # through a checkpoint, which gives the scalars the weights' type
        resumed.optimizer.load_state_dict(solo.optimizer.state_dict())
        pack.join(config, solo.row, resumed.state, steps, resumed.optimizer.state_dict()["param_groups"][0])
        solos.append(solo)
    pack.train(15)
    for k, solo in enumerate(solos):
        solo.train(15)
        assert difference(pack.weights[k], solo.row) < 1e-11


@EVERY_FAMILY
def test_state_survives_the_way_to_torch_and_back(family: Family):
    pack, _ = begun(family, torch.float32)
    pack.train(5)
    for k, config in enumerate(pack.configs):
        how: Any = {"shapes": SHAPES, "dtype": torch.float32, "device": "cpu"}
        row, scalar_state = family.from_torch(config, pack.state(k), pack.group(k), **how)
        assert row.keys() == family.state_tensors(config).keys()
        assert all(torch.equal(values, pack.rows[k][name]) for name, values in row.items())
        assert scalar_state == pack.scalar_states[k]


@EVERY_FAMILY
def test_lane_that_is_not_a_number_leaves_the_others_bit_identical(family: Family):
    healthy, _ = begun(family)
    sick, _ = begun(family)
    healthy.train(5)
    sick.train(5)
    sick.weights[1] = math.nan
    healthy.train(5)
    sick.train(5)
    others = [k for k in range(len(sick.configs)) if k != 1]
    assert sick.weights[1].isnan().all()
    assert torch.equal(sick.weights[others], healthy.weights[others])
    for k in others:
        assert all(torch.equal(sick.rows[k][name], values) for name, values in healthy.rows[k].items())


@EVERY_FAMILY
def test_a_lane_is_the_same_in_any_pack(family: Family):
    pack, _ = begun(family)
    pack.train(10)
    for k, config in enumerate(pack.configs):
        alone = Pack(family)
        alone.join(config, first_weights(k), {}, 0)
        alone.train(10)
        assert difference(alone.weights[0], pack.weights[k]) < 1e-12


@EVERY_FAMILY
def test_lr_of_zero_changes_nothing(family: Family):
    configs = lanes_of(family)
    state = family.first_state(configs, num_parameters=4, dtype=torch.float64, device="cpu")
    scalar_state, zeros = family.first_scalar_state(len(configs)), torch.zeros(1, len(configs), dtype=torch.float64)
    momentum = torch.tensor([[scheduled(config, 0)[1] for config in configs]], dtype=torch.float64)
    table = family.coefficients(configs, lr=zeros, momentum=momentum, steps=zeros[0], scalar_state=scalar_state)
    c = {name: values[0, :, None] for name, values in table.items()}
    weights, gradient = torch.ones(len(configs), 4, dtype=torch.float64), torch.randn(len(configs), 4).double()
    gradient[:, 0] = 0  # where most denominators are nothing but eps
    moved = (family.update(weights, gradient, state, c) - weights).abs().amax(1)
    smallest = [config.get("step_sizes", [0.0])[0] for config in configs]  # Rprop's steps have a bound of their own
    fixed = [config["weight_decay"] if config.get("fixed_decay", False) else 0.0 for config in configs]
    torch.testing.assert_close(moved, torch.tensor([smallest, fixed], dtype=torch.float64).sum(0))


@pytest.mark.parametrize("name", ["SGD", "RMSprop"])
def test_momentum_that_a_schedule_takes_to_zero_is_torchs(name: str):
    family = FAMILIES[name]
    config = resolved({"name": name, "lr": 1e-3, "momentum": 0.9})
    for path in ([0.0] * 6, [0.9, 0.4, 0.0, 0.0, 0.4, 0.9]):
        solo = Solo(config, first_weights(0))
        weights, scalar_state = first_weights(0)[None], family.first_scalar_state(1)
        state = family.first_state([config], num_parameters=LENGTH, dtype=torch.float64, device="cpu")
        lr, momentum = torch.full((6, 1), 1e-3, dtype=torch.float64), torch.tensor(path, dtype=torch.float64)[:, None]
        table = family.coefficients(
            [config], lr=lr, momentum=momentum, steps=torch.tensor([0]), scalar_state=scalar_state
        )
        for t in range(6):
            c = {key: values[t, :, None] for key, values in table.items()}
            weights = family.update(weights, gradient_of(weights[0], step=t)[None], state, c)
            pieces = gradient_of(solo.row, step=t).split([shape.numel() for shape in SHAPES])
            for parameter, piece in zip(solo.parameters, pieces, strict=True):
                parameter.grad = piece.view(parameter.shape)
            solo.optimizer.param_groups[0] |= {"lr": 1e-3, "momentum": path[t]}
            solo.optimizer.step()
        assert difference(weights[0], solo.row) < 1e-13
        ours = family.to_torch(
            config,
            row={key: matrix[0] for key, matrix in state.items()},
            scalar_state={key: float(values[0]) for key, values in scalar_state.items()},
            step=6,
            shapes=SHAPES,
        )
        assert {i: entry.keys() for i, entry in ours.items()} == {i: entry.keys() for i, entry in solo.state.items()}


@EVERY_FAMILY
def test_coefficients_of_two_epochs_are_those_of_one_long_epoch(family: Family):
    configs = lanes_of(family)
    used = [[scheduled(config, t) for config in configs] for t in range(20)]
    lr, momentum = torch.tensor(used, dtype=torch.float64).unbind(2)
    start, long, short = torch.zeros(len(configs)), *(family.first_scalar_state(len(configs)) for _ in range(2))
    whole = family.coefficients(configs, lr=lr, momentum=momentum, steps=start, scalar_state=long)
    halves = [
        family.coefficients(
            configs, lr=lr[a : a + 10], momentum=momentum[a : a + 10], steps=start + a, scalar_state=short
        )
        for a in (0, 10)
    ]
    for name, values in whole.items():
        assert values.shape == (20, len(configs))
        assert values.dtype == torch.float64
        assert torch.isfinite(values).all(), name
        assert torch.equal(values, torch.cat([half[name] for half in halves])), name
    assert all(torch.equal(long[name], values) for name, values in short.items())


class Watch(TorchDispatchMode):
    """Records every operation that reaches the device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func._schema.name.removeprefix("aten::"))
        return func(*args, **(kwargs or {}))


@EVERY_FAMILY
def test_update_neither_waits_for_the_device_nor_sends_to_it(family: Family):
    configs = lanes_of(family)
    state = family.first_state(configs, num_parameters=LENGTH, dtype=torch.float32, device="meta")
    lr = torch.full((1, len(configs)), 0.1, dtype=torch.float64)
    scalar_state = family.first_scalar_state(len(configs))
    table = family.coefficients(configs, lr=lr, momentum=lr, steps=lr[0] * 0, scalar_state=scalar_state)
    c = {name: torch.empty(len(configs), 1, device="meta") for name in table}
    weights, gradient = (torch.empty(len(configs), LENGTH, device="meta") for _ in range(2))
    with Watch() as watch:  # on the meta device a look at a value is an error
        updated = family.update(weights, gradient, state, c)
    assert (updated.shape, updated.dtype) == (weights.shape, torch.float32)
    assert watch.seen
    allocates_or_waits = {"_local_scalar_dense", "nonzero", "_to_copy", "lift_fresh", "scalar_tensor", "full", "item"}
    assert not allocates_or_waits & set(watch.seen)
