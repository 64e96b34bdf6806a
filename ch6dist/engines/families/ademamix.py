"""AdEMAMix: Adam whose step adds a second, much slower average of the gradient (Pagliardini et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ch6dist.engines.families.family import Config, Epoch, Family
from ch6dist.engines.families.terms import average_scalars, averages, corrections, decay_scalars, decayed


def _mix_state(config: Config) -> dict[str, float]:
    return {"exp_avg": 0.0, "exp_avg_sq": 0.0, "exp_avg_slow": 0.0}


def _mix_scalars(epoch: Epoch) -> dict[str, Tensor]:
    first, second = corrections(epoch)
    alpha, beta3 = _warmed_up(epoch)
    found = decay_scalars(epoch) | average_scalars(epoch)
    return found | {
        "share3": 1 - beta3,
        "step_size": epoch.lr * second / first,
        "slow": epoch.lr * second * alpha,
        "eps": epoch.option("eps") * second,
    }


def _warmed_up(epoch: Epoch) -> tuple[Tensor, Tensor]:
    """Return the weight of the slow average, and its β3, in each step: [T, K].

    In `t_alpha_beta3` steps, where there are any, α rises linearly from 0, and β3 from β1, so that the time over which
    it averages rises linearly.
    """
    alpha, beta3 = epoch.option("alpha"), epoch.option("betas", index=2)
    lengths = [config["t_alpha_beta3"] for config in epoch.configs]
    warms = torch.tensor([length is not None for length in lengths])
    done = epoch.step / torch.tensor([1.0 if length is None else length for length in lengths], dtype=torch.float64)
    low, high = epoch.momentum.log(), beta3.log()
    rising = (low * high / ((1 - done) * high + done * low)).exp()
    risen = torch.minimum(done * alpha, alpha), torch.minimum(rising, beta3)
    return torch.where(warms, risen[0], alpha), torch.where(warms, risen[1], beta3)


def _mix(weights: Tensor, gradient: Tensor, state: dict[str, Tensor], c: Mapping[str, Tensor]) -> Tensor:
    weights, gradient = decayed(weights, gradient, c)
    average, square = averages(state, gradient, c)
    slow = state["exp_avg_slow"].lerp_(gradient, c["share3"])
    step = torch.mul(average, c["step_size"]).addcmul_(slow, c["slow"])
    return torch.addcdiv(weights, step, square.sqrt().add_(c["eps"]), value=-1)


ADEMAMIX = Family(
    name="AdEMAMix of pytorch_optimizer", state_tensors=_mix_state, scalars=_mix_scalars, update=_mix, step="group"
)
