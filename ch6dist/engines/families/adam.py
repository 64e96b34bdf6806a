"""The Adams: Adam with AdamW, NAdam, RAdam and Adamax.

Bias corrections are numbers per lane and go into step_size and eps, as Kingma & Ba (2015) propose at the end of their
section 2:  lr · (m / (1 − β1^t)) / (sqrt(v / (1 − β2^t)) + eps) = step_size · m / (sqrt(v) + eps')  with
correction = sqrt(1 − β2^t),  step_size = lr · correction / (1 − β1^t)  and  eps' = eps · correction.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import (
    average_scalars,
    averages,
    corrections,
    decay_scalars,
    decayed,
    rectification,
)


def _averages_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0, "exp_avg_sq": 0.0}


def _adam_state(config: Config) -> dict[str, float]:
    return _averages_state(config) | ({"max_exp_avg_sq": 0.0} if config["amsgrad"] else {})


def _adam_scalars(epoch: Epoch) -> dict[str, Tensor]:
    first, second = corrections(epoch)
    found = decay_scalars(epoch) | average_scalars(epoch)
    found |= {"step_size": epoch.lr * second / first, "eps": epoch.option("eps") * second}
    amsgrad = epoch.option("amsgrad")
    return found | ({"amsgrad": amsgrad} if amsgrad.any() else {})


def _adam(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    average, square = averages(state, gradient, c)
    if "max_exp_avg_sq" in state:
        largest = state["max_exp_avg_sq"].mul_(c["amsgrad"])  # times 0, the maximum is the average itself
        square = torch.maximum(largest, square, out=largest)
    return torch.addcmul(weights, average / square.sqrt().add_(c["eps"]), c["step_size"], value=-1)


ADAM = Family(name="Adam", state_tensors=_adam_state, scalars=_adam_scalars, update=_adam)


def _nadam_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `step_size` along the average and `direct` along the gradient (Dozat 2016).

    mu_t = β1 · (1 − 0.96^(t · momentum_decay) / 2); torch keeps the product of all mu_t as float32.
    """
    decay, step, second = epoch.option("momentum_decay"), epoch.step, corrections(epoch)[1]
    mu, next_mu = (epoch.momentum * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
    product = _products(mu, epoch.scalar_state["mu_product"])
    return (
        decay_scalars(epoch)
        | average_scalars(epoch)
        | {
            "direct": epoch.lr * (1 - mu) / (1 - product) * second,
            "step_size": epoch.lr * next_mu / (1 - product * next_mu) * second,
            "eps": epoch.option("eps") * second,
        }
    )


def _products(factors: Tensor, start: Tensor) -> Tensor:
    """Return running products [T, K], each rounded to float32, which cumprod would not do.

    `start` [K] becomes the last.
    """
    products = []
    for factor in factors.float():
        start.copy_(start.float() * factor)
        products.append(start.clone())
    return torch.stack(products)


def _nadam(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    average, square = averages(state, gradient, c)
    step = torch.mul(gradient, c["direct"]).addcmul_(average, c["step_size"])
    return torch.addcdiv(weights, step, square.sqrt().add_(c["eps"]), value=-1)


NADAM = Family(
    name="NAdam", state_tensors=_averages_state, scalars=_nadam_scalars, update=_nadam, scalar_state={"mu_product": 1.0}
)


def _radam_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Update by root · 1 + eps, and by root · 0 + 1 until the variance is known (Liu et al. 2020)."""
    beta2, (first, second) = epoch.option("betas", index=1), corrections(epoch)
    length, rectified = rectification(epoch, beta2)
    known = length > 5
    return (
        decay_scalars(epoch)
        | average_scalars(epoch)
        | {
            "step_size": epoch.lr / first * torch.where(known, rectified * second, 1.0),
            "root": known.double(),
            "eps": torch.where(known, epoch.option("eps"), 1.0),
        }
    )


def _radam(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    average, square = averages(state, gradient, c)
    return torch.addcmul(weights, average / square.sqrt().mul_(c["root"]).add_(c["eps"]), c["step_size"], value=-1)


RADAM = Family(name="RAdam", state_tensors=_averages_state, scalars=_radam_scalars, update=_radam)


def _adamax_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0, "exp_inf": 0.0}


def _adamax_scalars(epoch: Epoch) -> dict[str, Tensor]:
    step_size = epoch.lr / corrections(epoch)[0]
    keep, share = epoch.option("betas", index=1), 1 - epoch.momentum
    return decay_scalars(epoch) | {"share1": share, "keep": keep, "eps": epoch.option("eps"), "step_size": step_size}


def _adamax(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update by the norm of the largest |gradient|, decayed by β2 per step (Kingma & Ba 2015, algorithm 2)."""
    weights, gradient = decayed(weights, gradient, c)
    average = state["exp_avg"].lerp_(gradient, c["share1"])
    norm = state["exp_inf"].mul_(c["keep"])
    torch.maximum(norm, gradient.abs().add_(c["eps"]), out=norm)
    return torch.addcmul(weights, average / norm, c["step_size"], value=-1)


ADAMAX = Family(name="Adamax", state_tensors=_adamax_state, scalars=_adamax_scalars, update=_adamax)
