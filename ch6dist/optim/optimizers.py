"""Builds the optimizer that a trial names: torch's, or a library's.

optimizer = build_optimizer(model.parameters(), trial.optimizer)
momentum_of(optimizer)      # 0.9 for SGD with momentum 0.9, beta1 for Adam, None for Adagrad
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch

from ch6dist.catalog.lookup import RESERVED, optimizer_of
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.errors import InputError
from ch6dist.objects.find import find, uncompiled, why
from ch6dist.objects.signature import as_the_code_has


def build_optimizer(
    parameters: Iterable[torch.Tensor] | Iterable[dict[str, Any]], config: Mapping[str, Any]
) -> torch.optim.Optimizer:
    """Build the optimizer of a resolved mapping (`TrialConfig.optimizer`) over `parameters`, or groups of them.

    One that has weights of its own for evaluation begins with those of the training.
    Raises InputError with what a library's or the user's own says of its arguments.
    """
    found = find("optimizer", config["name"], code=config.get("code", ""))
    given = as_the_code_has(found, {key: value for key, value in config.items() if key not in RESERVED})
    if config["name"] in OPTIMIZERS:
        optimizer = _plain(found)(parameters, **given)
        optimizer.register_load_state_dict_post_hook(_keep_type_of_scalars)
        return optimizer
    try:
        with uncompiled():
            made: torch.optim.Optimizer = found(parameters, **given)
            if optimizer_of(config).modes:
                cast(Any, made).train()  # torch's own class knows no modes
    except Exception as error:
        raise InputError("optimizer.name", config["name"], f"arguments that it takes: {why(error)}") from error
    return made


def momentum_of(optimizer: torch.optim.Optimizer) -> float | None:
    """Return momentum, or beta1, of the first group as it stands now; None where the optimizer has neither."""
    group = optimizer.param_groups[0]
    if "betas" in group:
        return float(group["betas"][0])
    return float(group["momentum"]) if isinstance(group.get("momentum"), (int, float)) else None


@functools.cache
def _plain(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """Return an optimizer class without its wrappers for torch.compile: the first call of one imports the compiler.

    That import takes a second of each worker's start, and nothing is compiled here.
    """
    wrapped = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in wrapped}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(inspect.unwrap(kind.step))})


def _keep_type_of_scalars(optimizer: torch.optim.Optimizer) -> None:
    """Keep NAdam's and ASGD's scalars in fp32: cast to the weights' type, an fp64 resume would drift."""
    for state in optimizer.state.values():
        for name in state.keys() & {"mu_product", "eta", "mu"}:
            state[name] = state[name].to(torch.get_default_dtype())
