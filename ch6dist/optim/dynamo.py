"""Torch's compiler is imported when something is compiled, not by the first optimizer.

    defer_dynamo()
    torch.optim.SGD(…)          # would import torch._dynamo, 900 modules, only to tell it what not to compile

Every optimizer asks `torch._dynamo` for two things, which do nothing unless something is compiled. A placeholder
answers both; whoever asks it for anything else gets the real module, from then on. Tried with torch 2.15.0.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

DYNAMO = "torch._dynamo"


def defer_dynamo() -> None:
    """Let a placeholder stand for torch's compiler, unless that is imported already."""
    if DYNAMO not in sys.modules:
        sys.modules[DYNAMO] = torch._dynamo = _Placeholder(DYNAMO)


class _Placeholder(ModuleType):
    """Stands for a module until it is needed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.left_alone: list[Callable[..., Any]] = []

    def graph_break(self, msg: str = "") -> None:
        """Do nothing: no graph is traced."""

    def disable(self, fn: Callable[..., Any], recursive: bool = True, **_: Any) -> Callable[..., Any]:
        """Return `fn`, which is not compiled."""
        self.left_alone.append(fn)
        return fn

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the real module, which takes this one's place."""
        if sys.modules.get(DYNAMO) is self:
            del sys.modules[DYNAMO]
            for fn in self.left_alone:  # torch keeps the answer there; the real module shall be asked again
                vars(fn).pop("__dynamo_disable", None)
        return getattr(importlib.import_module(DYNAMO), name)
