"""What several families share: weight decay, momentum and the moving averages of the Adams.

Each is a pair: the coefficients on the host, and the arithmetic that uses them. A coefficient is left out where no lane
of the pack needs it; that is decided by the configurations, so the arithmetic of a pack never changes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import MOMENTUM_BEGUN, Config, Epoch

# torch's word for it, and those of libraries
DECOUPLED = ("decoupled_weight_decay", "decoupled_decay", "decoupled", "weight_decouple")
ALWAYS_DECOUPLED = ("AdamW", "timm/lion")


def decoupled(config: Config) -> bool:
    """Return whether weight decay shrinks the weights directly instead of joining the gradient."""
    return config["name"] in ALWAYS_DECOUPLED or any(config.get(word, False) for word in DECOUPLED)


def decay_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `decay`, the share of a weight that joins its gradient, and `shrink`, the factor of decoupled decay."""
    decay = epoch.option("weight_decay")
    direct = torch.tensor([decoupled(config) for config in epoch.configs])
    found = {"decay": decay * ~direct} if (decay * ~direct).any() else {}
    return found | ({"shrink": 1 - _decay_lr(epoch) * decay * direct} if (decay * direct).any() else {})


def _decay_lr(epoch: Epoch) -> Tensor:
    """Return what multiplies decoupled decay [T, K]: the learning rate, or what an option puts in its place.

    `corrected_weight_decay` takes lr² / (the lr that the optimizer was made with) (Defazio 2025), `fixed_decay` 1.
    """
    corrected = epoch.option("corrected_weight_decay", default=False) > 0
    lr = torch.where(corrected, epoch.lr**2 / epoch.option("lr"), epoch.lr)
    return torch.where(epoch.option("fixed_decay", default=False) > 0, 1.0, lr)


def decayed(weights: Tensor, gradient: Tensor, c: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return weights and gradient [K, N] after weight decay; new tensors where it changes them."""
    if "decay" in c:
        gradient = torch.addcmul(gradient, weights, c["decay"])
    return (weights * c["shrink"] if "shrink" in c else weights), gradient


def has_momentum(config: Config) -> bool:
    """Return whether the lane ever has a momentum; schedules do not cycle one that is 0."""
    return bool(config["momentum"] > 0)


def momentum_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `direct` and `buffered`, the learning rates along the direction and along the buffer.

    `keep` and `take`: how the buffer mixes.

    A step with momentum 0 leaves the buffer alone, and the first with another one fills it with the direction itself:
    torch's rules, whatever a schedule does to the momentum.
    """
    if not any(has_momentum(config) for config in epoch.configs):
        return {"direct": epoch.lr}
    momentum, begun = epoch.momentum, epoch.scalar_state[MOMENTUM_BEGUN]
    used = momentum > 0
    first = used & (used.cumsum(0) == 1) & (begun == 0)
    begun.copy_((begun > 0) | used.any(0))
    nesterov = epoch.option("nesterov", default=False) > 0
    return {
        "keep": torch.where(used, momentum, 1.0),
        "take": torch.where(first, 1.0, used * (1 - epoch.option("dampening", default=0.0))),
        "direct": epoch.lr * (nesterov | ~used),
        "buffered": epoch.lr * torch.where(nesterov, momentum, 1.0) * used,
    }


def stepped(weights: Tensor, direction: Tensor, state: Mapping[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    """Return weights − direct · direction − buffered · buffer, where buffer ← keep · buffer + take · direction."""
    moved = torch.addcmul(weights, direction, c["direct"], value=-1)
    if "momentum_buffer" in state:
        buffer = state["momentum_buffer"].mul_(c["keep"]).addcmul_(direction, c["take"])
        moved.addcmul_(buffer, c["buffered"], value=-1)
    return moved


def average_scalars(epoch: Epoch) -> dict[str, Tensor]:
    """Return `share1` and `share2`: what the new gradient, and its square, contribute to their moving averages."""
    return {"share1": 1 - epoch.momentum, "share2": 1 - epoch.option("betas", index=1)}


def averages(state: Mapping[str, Tensor], gradient: Tensor, c: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the moving averages of gradient and squared gradient, with this step's in them."""
    return (
        state["exp_avg"].lerp_(gradient, c["share1"]),
        state["exp_avg_sq"].lerp_(gradient.square(), c["share2"]),
    )


def rectification(epoch: Epoch, beta2: Tensor) -> tuple[Tensor, Tensor]:
    """Return, [T, K] each, for how many steps an average of squares stands, in effect, and the factor that it allows.

    The factor is 0 up to 4 steps, where the variance of the average is not known (RAdam, Liu et al. 2020).
    """
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * epoch.step * beta2**epoch.step / (1 - beta2**epoch.step)
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return length, torch.where(length > 4, ratio, 0.0).sqrt()


def corrections(epoch: Epoch) -> tuple[Tensor, Tensor]:
    """Return, [T, K] each, 1 − β1^t with the β1 of step t, and sqrt(1 − β2^t)."""
    return 1 - epoch.momentum**epoch.step, (1 - epoch.option("betas", index=1) ** epoch.step).sqrt()
