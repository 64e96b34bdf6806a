"""Builds the `torch.optim` optimizer that a trial names.

optimizer = build_optimizer(model.parameters(), trial.optimizer)
momentum_of(optimizer)      # 0.9 for SGD with momentum 0.9, beta1 for Adam, None for Adagrad
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.optim.dynamo import defer_dynamo


def build_optimizer(parameters: Iterable[torch.Tensor], config: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Build the optimizer of a resolved mapping (`TrialConfig.optimizer`) over `parameters`."""
    defer_dynamo()
    # torch's betas are tuples
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if key != "name"}
    optimizer: torch.optim.Optimizer = getattr(torch.optim, config["name"])(parameters, **given)
    optimizer.register_load_state_dict_post_hook(_keep_type_of_scalars)
    return optimizer


def momentum_of(optimizer: torch.optim.Optimizer) -> float | None:
    """Return momentum, or beta1, of the first group as it stands now; None where the optimizer has neither."""
    group = optimizer.param_groups[0]
    if "betas" in group:
        return float(group["betas"][0])
    return float(group["momentum"]) if "momentum" in group else None


def optimizer_notes(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a person should know about the chosen optimizer before it trains; empty for most."""
    name = config["name"]
    if OPTIMIZERS[name].full_batch:
        return (f"{name} expects the gradient over all images: mini-batches mislead it, and lr is only its first step",)
    return ()


def _keep_type_of_scalars(optimizer: torch.optim.Optimizer) -> None:
    """Keep NAdam's and ASGD's scalars in fp32: cast to the weights' type, an fp64 resume would drift."""
    for state in optimizer.state.values():
        for name in state.keys() & {"mu_product", "eta", "mu"}:
            state[name] = state[name].to(torch.get_default_dtype())
