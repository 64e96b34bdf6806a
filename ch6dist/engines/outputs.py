"""The outputs of a model's layers: of each, the first in every forward pass.

with first_outputs(model, layers, lambda name, output: print(name, output.shape)):
    model(images)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn


@contextlib.contextmanager
def first_outputs(
    model: nn.Module, layers: Mapping[str, nn.Module], take: Callable[[str, Tensor], None]
) -> Iterator[None]:
    """Hand the name of a layer and its output, [B, …], to `take` while the block lasts.

    A layer that a forward pass uses several times is heard once, so that there is one value of each name; what is no
    tensor, or has another number of rows than the pass has images, is not of the images, and is left out.
    """
    images, heard = 0, set[str]()

    def begin(module: nn.Module, given: tuple[Any, ...]) -> None:
        """Begin a forward pass."""
        nonlocal images
        images = len(given[0])
        heard.clear()

    def hook(name: str, module: nn.Module, given: Any, output: Any) -> None:
        """Hand on an output."""
        if name not in heard and isinstance(output, Tensor) and output.dim() and len(output) == images:
            heard.add(name)
            take(name, output.detach())

    with contextlib.ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(begin).remove)
        for name, layer in layers.items():
            stack.callback(layer.register_forward_hook(lambda m, i, o, name=name: hook(name, m, i, o)).remove)
        yield
