"""Whether a user's own augmentation can be used, found out by one call on a small batch.

augmentation_facts(noise)       # {}; InputError with one line where it cannot
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ch6dist.catalog.parameters import REQUIRED
from ch6dist.errors import InputError
from ch6dist.objects.find import why
from ch6dist.objects.signature import names_in_order, parameters_of

SHAPES = ((4, 3, 32, 32), (4, 1, 28, 28))  # of a batch; one that it can take is enough


def given_names(found: Callable[..., Any]) -> set[str]:
    """Return the names of its first two parameters: the batch and the generator."""
    return set(names_in_order(found)[:2])


def augmentation_facts(found: Callable[..., Any]) -> dict[str, Any]:
    """Return nothing; InputError for a function that does not return a batch as it was given."""
    if len(given_names(found)) < 2:
        raise InputError("name", found, "a function of (images, generator)")
    if any(one.default is REQUIRED for one in parameters_of(found, leave_out=given_names(found))):
        return {}  # only the file says what they are
    first: Exception | None = None
    for shape in SHAPES:
        images = torch.arange(4)[:, None, None, None].expand(shape).to(torch.uint8).contiguous()
        try:
            result = found(images, torch.Generator().manual_seed(0))
        except Exception as error:
            first = first or error
            continue
        if isinstance(result, torch.Tensor) and result.shape == images.shape and result.dtype == images.dtype:
            return {}
        what = f"{result.dtype} {list(result.shape)}" if isinstance(result, torch.Tensor) else type(result).__name__
        raise InputError("name", found, f"code that returns a batch as it was given, uint8 {list(shape)}; not {what}")
    assert first is not None
    raise InputError("name", found, f"code that changes a batch of images: {why(first)}")
