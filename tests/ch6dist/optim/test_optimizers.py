"""Every optimizer of the catalog is the torch optimizer of that name, and trains."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ch6dist.catalog.optimizer_notes import optimizer_notes
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.config import parse_trial
from ch6dist.errors import InputError
from ch6dist.optim.optimizers import build_optimizer, momentum_of

torch.set_num_threads(1)
ALL_ON: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {"amsgrad": True},
    "RMSprop": {"momentum": 0.9, "centered": True},
}


def weights() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 3, 3, 3), (4,), (5, 4)]
    return [torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def loss_of(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    return torch.stack([((p - 0.5) ** 2).sum() for p in parameters]).sum()


def train(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], *, steps: int) -> float:
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(parameters).backward()
        optimizer.step()
    return loss_of(parameters).item()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_is_torchs_with_its_defaults(name: str) -> None:
    ours, theirs = weights(), weights()
    trained = train(build_optimizer(ours, parse_trial({"optimizer": name}).optimizer), ours, steps=5)
    assert trained == train(getattr(torch.optim, name)(theirs), theirs, steps=5)
    assert trained < loss_of(weights()).item()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_keeps_as_many_tensors_as_the_catalog_says(name: str) -> None:
    parameters = weights()
    optimizer = build_optimizer(
        parameters, parse_trial({"optimizer": {"name": name, **ALL_ON.get(name, {})}}).optimizer
    )
    train(optimizer, parameters, steps=2)
    kept = [sum(v.numel() == p.numel() for v in optimizer.state[p].values()) for p in parameters]
    assert max(kept) == OPTIMIZERS[name].state_tensors


@pytest.mark.parametrize("decay", [0.01, 0.1])
@pytest.mark.parametrize(
    ("optimizer", "is_coupled"),
    [({"name": "Adam"}, True), ({"name": "Adam", "decoupled_weight_decay": True}, False), ({"name": "AdamW"}, False)],
    ids=["Adam", "Adam decoupled", "AdamW"],
)
def test_adams_weight_decay_is_rescaled_with_the_gradient_and_adamws_is_not(
    optimizer: dict[str, Any], is_coupled: bool, decay: float
) -> None:
    """Where the loss has no gradient: coupled, the decay alone is adapted, so that a step is lr whatever it is."""
    config = parse_trial({"optimizer": {**optimizer, "lr": 0.1, "weight_decay": decay}}).optimizer
    weight = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    weight.grad = torch.zeros_like(weight)
    build_optimizer([weight], config).step()
    assert 2.0 - weight.item() == pytest.approx(0.1 if is_coupled else 0.1 * decay * 2.0, rel=1e-5)


def test_lists_arrive_as_tuples() -> None:
    config = parse_trial({"optimizer": {"name": "Adam", "betas": ["0.8", 0.99]}}).optimizer
    assert build_optimizer(weights(), config).param_groups[0]["betas"] == (0.8, 0.99)


def test_momentum_of_is_momentum_or_beta1_or_none() -> None:
    shown = {
        name: momentum_of(build_optimizer(weights(), parse_trial({"optimizer": name}).optimizer)) for name in OPTIMIZERS
    }
    adams = dict.fromkeys(("Adam", "AdamW", "NAdam", "RAdam", "Adamax"), 0.9)
    rest = dict.fromkeys(("Adagrad", "Adadelta", "ASGD", "Adafactor", "Rprop"))
    assert shown == {**adams, **rest, "SGD": 0.0, "RMSprop": 0.0}


def test_only_rprop_warns_of_mini_batches() -> None:
    assert [name for name in OPTIMIZERS if list(optimizer_notes({"name": name}))] == ["Rprop"]


@pytest.mark.parametrize(
    ("optimizer", "key"),
    [
        ({"name": "SGD", "nesterov": True}, "optimizer.momentum"),
        ({"name": "SGD", "nesterov": True, "momentum": 0.9, "dampening": 0.1}, "optimizer.dampening"),
        ({"name": "SGD", "lr": 0}, "optimizer.lr"),
        ({"name": "SGD", "momentum": -0.1}, "optimizer.momentum"),
        ({"name": "SGD", "nesterov": "yes"}, "optimizer.nesterov"),
        ({"name": "Adam", "betas": [0.9, 1.0]}, "optimizer.betas"),
        ({"name": "Adam", "betas": [0.9]}, "optimizer.betas"),
        ({"name": "Adam", "betas": 0.9}, "optimizer.betas"),
        ({"name": "Adafactor", "eps": [None, None]}, "optimizer.eps"),
        ({"name": "Adafactor", "beta2_decay": 0.8}, "optimizer.beta2_decay"),
        ({"name": "Rprop", "etas": [1.2, 0.5]}, "optimizer.etas"),
        ({"name": "Rprop", "step_sizes": [1, 0.5]}, "optimizer.step_sizes"),
        ({"name": "Adadelta", "rho": 1.1}, "optimizer.rho"),
        ({"name": "Adam", "momentum": 0.9}, "optimizer.momentum"),
        ({"name": "Adam", "fused": True}, "optimizer.fused"),
        ({"name": "LBFGS"}, "optimizer.name"),
        ({"lr": 0.1}, "optimizer.name"),
        ([], "optimizer.name"),
    ],
)
def test_bad_optimizer_is_refused_by_its_key(optimizer: object, key: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_trial({"optimizer": optimizer, "schedule": "StepLR"})  # the optimizer is complained of first
    assert caught.value.key == key


def test_near_name_is_offered() -> None:
    with pytest.raises(InputError, match="did you mean 'Adagrad'"):
        parse_trial({"optimizer": "Adagard"})
    with pytest.raises(InputError, match="did you mean 'weight_decay'"):
        parse_trial({"optimizer": {"name": "SGD", "weight_decy": 0.1}})
