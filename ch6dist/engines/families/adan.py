"""Adan: Adam with an average of the gradient's differences beside that of the gradient (Xie et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family


def _adan_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return the coefficients; `seen` is 0 in the first step, which knows no gradient before it.

    Decay multiplies the weights before the step by `shrink`, or divides them behind it by `grow`, as a proximal step.
    """
    beta2, beta3 = epoch.option("betas", index=1), epoch.option("betas", index=2)
    before = torch.tensor([bool(c.get("no_prox", False) or c.get("weight_decouple", False)) for c in epoch.configs])
    decay, correction = epoch.option("weight_decay"), (1 - beta3**epoch.step).sqrt()
    found = {
        "share1": 1 - epoch.momentum,
        "share2": 1 - beta2,
        "share3": 1 - beta3,
        "lead": beta2,
        "seen": (epoch.step > 1).double(),
        "step_size": epoch.lr / (1 - epoch.momentum**epoch.step) * correction,
        "leading": epoch.lr * beta2 / (1 - beta2**epoch.step) * correction,
        "eps": epoch.option("eps") * correction,
    }
    found |= {"shrink": 1 - epoch.lr * decay * before} if (decay * before).any() else {}
    return found | ({"grow": 1 + epoch.lr * decay * ~before} if (decay * ~before).any() else {})


def _adan(previous: str, name: str) -> Family:
    """Return the family of a library that keeps minus the last gradient as `previous`."""

    def state_tensors(config: Config) -> dict[str, float]:
        """Return the three averages, and the last gradient."""
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0, "exp_avg_diff": 0.0, previous: 0.0}

    def update(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
        """Step along both averages, over the root of that of (gradient + β2 · difference)²."""
        difference = (state[previous] + gradient).mul_(c["seen"])
        average = state["exp_avg"].lerp_(gradient, c["share1"])
        change = state["exp_avg_diff"].lerp_(difference, c["share2"])
        ahead = torch.addcmul(gradient, difference, c["lead"])
        divisor = state["exp_avg_sq"].lerp_(ahead.square_(), c["share3"]).sqrt().add_(c["eps"])
        state[previous].copy_(gradient).neg_()
        kept = weights * c["shrink"] if "shrink" in c else weights
        moved = torch.addcmul(kept, average / divisor, c["step_size"], value=-1)
        moved.addcmul_(change / divisor, c["leading"], value=-1)
        return moved.div_(c["grow"]) if "grow" in c else moved

    return Family(name=name, state_tensors=state_tensors, scalars=_adan_scalars, update=update, step="group")


TIMM_ADAN = _adan("neg_pre_grad", "Adan of timm")
PYTORCH_OPTIMIZER_ADAN = _adan("previous_grad", "Adan of pytorch_optimizer")
