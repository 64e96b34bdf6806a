"""An optimizer of one's own: any torch.optim.Optimizer with a parameter `lr`."""

from collections.abc import Iterable

import torch


class SignMomentum(torch.optim.Optimizer):
    """Steps of equal length by the sign of the averaged gradient."""

    def __init__(self, params: Iterable[torch.Tensor], lr: float = 1e-3, beta: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step."""
        for group in self.param_groups:
            for parameter in group["params"]:
                average = self.state[parameter].setdefault("average", torch.zeros_like(parameter))
                average.lerp_(parameter.grad, 1 - group["beta"])
                parameter.sub_(average.sign(), alpha=group["lr"])
