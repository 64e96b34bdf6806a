"""AdaBelief: Adam that scales by how far gradients lie from their average (Zhuang et al. 2020), rectified if asked.

The average of squared distances v grows by eps in each step, as in the authors' code. All its forms are one update:
step_size · m / (root · sqrt(v) + eps'), as for Adam and RAdam (adam.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import average_scalars, corrections, decay_scalars, decayed, rectification

SURE = 5  # steps that an average must stand for, in effect, before a rectified lane divides by it


def _bounded(config: Config) -> bool:
    """Return whether the largest average so far is kept; the libraries have two words for it."""
    return bool(config.get("amsgrad", False) or config.get("ams_bound", False))


def _belief_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0, "exp_avg_var": 0.0} | ({"max_exp_avg_var": 0.0} if _bounded(config) else {})


def _belief_scalars(epoch: Epoch) -> dict[str, Tensor]:
    first, second = corrections(epoch)
    rectified, (length, factor) = epoch.option("rectify") > 0, rectification(epoch, epoch.option("betas", index=1))
    waiting, moves = rectified & (length < SURE), epoch.option("degenerated_to_sgd") > 0
    plain = torch.where(rectified, second * factor, second)
    found = decay_scalars(epoch) | average_scalars(epoch)
    found |= {
        "step_size": epoch.lr / first * torch.where(waiting, moves.double(), plain),
        "root": (~waiting).double(),
        "added": epoch.option("eps"),
        "eps": torch.where(waiting, 1.0, epoch.option("eps") * torch.where(rectified, 1.0, second)),
    }
    bounded = torch.tensor([_uses_largest(config) for config in epoch.configs])
    return found | ({"bounded": bounded.double()} if any(map(_bounded, epoch.configs)) else {})


def _uses_largest(config: Config) -> bool:
    """Return whether a lane divides by the largest average: rectified, timm's keeps it but does not."""
    return _bounded(config) and not (config["rectify"] and "amsgrad" in config)


def _belief(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    average = state["exp_avg"].lerp_(gradient, c["share1"])
    variance = state["exp_avg_var"].lerp_((gradient - average).square_(), c["share2"]).add_(c["added"])
    if "max_exp_avg_var" in state:
        largest = state["max_exp_avg_var"]
        torch.maximum(largest, variance, out=largest)
        variance = torch.where(c["bounded"] > 0, largest, variance)
    divisor = variance.sqrt().mul_(c["root"]).add_(c["eps"])
    return torch.addcmul(weights, average / divisor, c["step_size"], value=-1)


TIMM_ADABELIEF = Family(
    name="AdaBelief of timm", state_tensors=_belief_state, scalars=_belief_scalars, update=_belief, step="number"
)
PYTORCH_OPTIMIZER_ADABELIEF = replace(TIMM_ADABELIEF, name="AdaBelief of pytorch_optimizer", step="group")
