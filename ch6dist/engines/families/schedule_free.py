"""Schedule-Free SGD, AdamW and RAdam: training at one point, evaluation at another, an average (Defazio et al. 2024).

The weights of a lane are those at which it takes gradients, y. `z` is where plain steps would have led, and the average
x lies on the other side of y: x = y + (1 − 1/β) (z − y). All three are lanes of one family; SGD divides by nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import rectification

INSIDE = 1e-15  # what AdamW of pytorch_optimizer adds to the average of squares, below the root


def _squares(config: Config) -> bool:
    return "betas" in config


def _rectifies(config: Config) -> bool:
    return "silent_sgd_phase" in config


def _lanes(epoch: Epoch, holds: Callable[[Config], bool]) -> Tensor:
    """Return for which lanes something holds, as 0 and 1: [K]."""
    return torch.tensor([holds(config) for config in epoch.configs], dtype=torch.float64)


def _state_tensors(config: Config) -> dict[str, float]:
    """Return z, whose first value the first step takes from the weights, and the average of squares."""
    return {"z": 0.0} | ({"exp_avg_sq": 0.0} if _squares(config) else {})


def _scalars(epoch: Epoch, *, inside: float) -> dict[str, Tensor]:
    """Return the coefficients. RAdam divides by the root, and warms up, as far as its variance is known."""
    beta2 = torch.tensor([c["betas"][1] if _squares(c) else 0.0 for c in epoch.configs], dtype=torch.float64)
    length, rectified = rectification(epoch, beta2)
    known, rectifies = length > 4, _lanes(epoch, _rectifies) > 0
    warmup = epoch.option("warmup_steps", default=0)
    warm = torch.where(epoch.step < warmup, epoch.step / warmup.clamp(min=1), 1.0)
    begun = torch.where(known, rectified, 1 - epoch.option("silent_sgd_phase", default=False))
    lr = epoch.lr * torch.where(rectifies, begun, warm)
    share = _share(epoch, lr)
    decay = epoch.option("weight_decay")
    found = {"begins": (epoch.step == 1).double(), "share": share, "step_size": lr}
    found |= {"along": lr * (epoch.momentum * (1 - share) - 1)} | ({"decay": decay} if decay.any() else {})
    squares = _lanes(epoch, _squares)
    if not squares.any():
        return found
    root = squares * torch.where(rectifies, known, True)
    found |= {"keep2": beta2, "share2": squares * (1 - beta2), "unbiased": 1 / (1 - beta2**epoch.step)}
    found |= {"root": root, "eps": torch.where(root > 0, epoch.option("eps", default=0.0), 1.0)}
    return found | ({"inside": inside * (squares * ~rectifies)} if inside else {})


def _share(epoch: Epoch, lr: Tensor) -> Tensor:
    """Return what z contributes to the average in each step [T, K], and advance the sums that it follows from."""
    state = epoch.scalar_state
    largest = torch.cat([state["lr_max"][None], lr]).cummax(0).values[1:]
    weight = epoch.step ** epoch.option("r") * largest ** epoch.option("weight_lr_power")
    total = torch.cat([state["weight_sum"][None], weight]).cumsum(0)[1:]
    for name, values in {"lr_max": largest, "weight_sum": total, "scheduled_lr": lr}.items():
        if name in state:
            state[name].copy_(values[-1])
    share = torch.where(total == 0, 0.0, weight / total)
    decoupling = epoch.option("decoupling_c", default=0)
    return torch.where(decoupling > 0, (share * (1 - epoch.momentum) * decoupling).clamp(max=1.0), share)


def _update(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    z, direction = state["z"], gradient
    z.copy_(torch.where(c["begins"] > 0, weights, z))
    if "exp_avg_sq" in state:
        square = state["exp_avg_sq"].mul_(c["keep2"]).addcmul_(gradient.square(), c["share2"]) * c["unbiased"]
        square = square.add_(c["inside"]) if "inside" in c else square
        direction = gradient / square.sqrt_().mul_(c["root"]).add_(c["eps"])
    if "decay" in c:
        direction = torch.addcmul(direction, weights, c["decay"])
    moved = weights.lerp(z, c["share"]).addcmul_(direction, c["along"])
    z.addcmul_(direction, c["step_size"], value=-1)
    return moved


def _evaluated(weights: Tensor, state: Mapping[str, Tensor], momentum: Tensor) -> Tensor:
    """Return the average x."""
    return weights.lerp(state["z"], (1 - 1 / momentum).to(weights))


SCHEDULEFREE = Family(
    name="Schedule-Free of schedulefree",
    state_tensors=_state_tensors,
    scalars=partial(_scalars, inside=0.0),
    update=_update,
    scalar_state={"weight_sum": 0.0, "lr_max": -1.0, "scheduled_lr": 0.0},
    step="group",
    step_name="k",
    scalars_in_group=True,
    evaluated=_evaluated,
)
PYTORCH_OPTIMIZER_SCHEDULE_FREE = replace(
    SCHEDULEFREE,
    name="Schedule-Free of pytorch_optimizer",
    scalars=partial(_scalars, inside=INSIDE),
    scalar_state={"weight_sum": 0.0, "lr_max": -1.0},
    step_name="step",
)
