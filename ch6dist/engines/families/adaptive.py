"""Scaling by past gradients, without Adam's momentum: RMSprop, Adagrad, Adadelta and Rprop."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import MOMENTUM_BEGUN, Config, Epoch, Family
from ch6dist.engines.families.terms import decay_scalars, decayed, has_momentum, momentum_scalars, stepped


def _rmsprop_state(config: Config) -> dict[str, float]:
    buffer = {"momentum_buffer": 0.0} if has_momentum(config) else {}
    return {"square_avg": 0.0} | buffer | ({"grad_avg": 0.0} if config["centered"] else {})


def _rmsprop_scalars(epoch: Epoch) -> dict[str, Tensor]:
    share, centered = 1 - epoch.option("alpha"), epoch.option("centered")
    found = decay_scalars(epoch) | momentum_scalars(epoch) | {"share": share, "eps": epoch.option("eps")}
    return found | ({"mean_share": share * centered} if centered.any() else {})


def _rmsprop(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update by gradient / (sqrt(E[g²] − E[g]²) + eps); lanes that are not centered keep 0 for E[g] (Graves 2013)."""
    weights, gradient = decayed(weights, gradient, c)
    square = state["square_avg"].lerp_(gradient.square(), c["share"])
    if "grad_avg" in state:
        mean = state["grad_avg"].lerp_(gradient, c["mean_share"])
        square = torch.addcmul(square, mean, mean, value=-1)
    return stepped(weights, gradient / square.sqrt().add_(c["eps"]), state, c)


RMSPROP = Family(
    name="RMSprop",
    state_tensors=_rmsprop_state,
    scalars=_rmsprop_scalars,
    update=_rmsprop,
    scalar_state={MOMENTUM_BEGUN: 0.0},
)


def _adagrad_state(config: Config) -> dict[str, float]:
    return {"sum": config["initial_accumulator_value"]}


def _adagrad_scalars(epoch: Epoch) -> dict[str, Tensor]:
    step_size = epoch.lr / (1 + (epoch.step - 1) * epoch.option("lr_decay"))
    return decay_scalars(epoch) | {"step_size": step_size, "eps": epoch.option("eps")}


def _adagrad(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    total = state["sum"].addcmul_(gradient, gradient)
    return torch.addcmul(weights, gradient / total.sqrt().add_(c["eps"]), c["step_size"], value=-1)


ADAGRAD = Family(name="Adagrad", state_tensors=_adagrad_state, scalars=_adagrad_scalars, update=_adagrad)


def _adadelta_state(config: Config) -> dict[str, float]:
    return {"square_avg": 0.0, "acc_delta": 0.0}


def _adadelta_scalars(epoch: Epoch) -> dict[str, Tensor]:
    share = 1 - epoch.option("rho")
    return decay_scalars(epoch) | {"share": share, "eps": epoch.option("eps"), "step_size": epoch.lr}


def _adadelta(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update by delta = sqrt((E[delta²] + eps) / (E[g²] + eps)) · gradient (Zeiler 2012, algorithm 1)."""
    weights, gradient = decayed(weights, gradient, c)
    square = state["square_avg"].lerp_(gradient.square(), c["share"])
    delta = (state["acc_delta"] + c["eps"]).div_(square + c["eps"]).sqrt_().mul_(gradient)
    state["acc_delta"].lerp_(delta.square(), c["share"])
    return torch.addcmul(weights, delta, c["step_size"], value=-1)


ADADELTA = Family(name="Adadelta", state_tensors=_adadelta_state, scalars=_adadelta_scalars, update=_adadelta)


def _rprop_state(config: Config) -> dict[str, float]:
    return {"prev": 0.0, "step_size": 1.0}


def _rprop_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return the factors; in the first step `prev` is 0, whose factor turns 1 into torch's first size, lr."""
    return {
        "shrink": epoch.option("etas", index=0),
        "grow": epoch.option("etas", index=1),
        "same": torch.where(epoch.step == 1, epoch.lr, 1.0),
        "smallest": epoch.option("step_sizes", index=0),
        "largest": epoch.option("step_sizes", index=1),
    }


def _rprop(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Update; a weight whose gradient changed its sign waits a step, its step size shrunk (Riedmiller & Braun 1993)."""
    agreement = gradient * state["prev"]
    turned = agreement < 0
    factor = torch.where(turned, c["shrink"], torch.where(agreement > 0, c["grow"], c["same"]))
    size = state["step_size"].mul_(factor).clamp_(c["smallest"], c["largest"])
    gradient = state["prev"].copy_(gradient).masked_fill_(turned, 0.0)
    return torch.addcmul(weights, gradient.sign(), size, value=-1)


RPROP = Family(name="Rprop", state_tensors=_rprop_state, scalars=_rprop_scalars, update=_rprop)
