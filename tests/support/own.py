"""A user's own optimizer in a working directory: myoptim.py, which imports a helper beside it."""

from __future__ import annotations

from pathlib import Path

HELPER = "STEP = {step}\n"
OPTIM = '''"""An optimizer of one's own."""
import torch
from helper import STEP


class {name}(torch.optim.Optimizer):
    """Plain descent."""

    def __init__(self, params, lr: float = 0.01, scale: float = 1.0):
        super().__init__(params, {{"lr": lr, "scale": scale}})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(p.grad, alpha=-group["lr"] * group["scale"] * STEP)
'''
OWN = {"optimizer": {"values": ["myoptim:Opt"]}}


def own_optimizer(folder: Path, *, step: float = 1.0, names: tuple[str, ...] = ("Opt",)) -> None:
    """Write the two files; `step` is in the helper."""
    folder.mkdir(exist_ok=True)
    (folder / "helper.py").write_text(HELPER.format(step=step))
    classes = OPTIM.split("\n\n\n", 1)
    text = classes[0] + "".join(f"\n\n\n{classes[1].format(name=name).rstrip()}\n" for name in names)
    (folder / "myoptim.py").write_text(text)


def shadow(folder: Path, *names: str) -> None:
    """Write modules with the names of others, which fail when one is imported."""
    for name in names:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the working directory')")
