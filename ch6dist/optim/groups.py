"""The parameters of a model as the groups that an optimizer is given: with weight decay, and without.

parameter_groups(model, trial)      # one group, unless the trial says no_weight_decay_on
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from torch import nn

from ch6dist.config import TrialConfig


def parameter_groups(model: nn.Module, trial: TrialConfig) -> list[nn.Parameter] | list[dict[str, Any]]:
    """Return the parameters of `model`, or two groups of them, of which the second has no weight decay.

    A group that would be empty is left out. Each keeps the model's order.
    """
    if not trial.no_weight_decay_on:
        return list(model.parameters())
    spared = {id(one) for one in _spared(model, trial.no_weight_decay_on)}
    decayed = [one for one in model.parameters() if id(one) not in spared]
    others = [one for one in model.parameters() if id(one) in spared]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _spared(model: nn.Module, kinds: Collection[str]) -> Iterator[nn.Parameter]:
    for module in model.modules():
        is_norm = "norm" in type(module).__name__.lower()  # torch's, and those of libraries
        for name, parameter in module.named_parameters(recurse=False):
            if ("norm" in kinds and is_norm) or ("bias" in kinds and name == "bias"):
                yield parameter
