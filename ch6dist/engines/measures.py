"""What is kept of tensors in a captured step, on their device; one row of numbers for each thing that is kept.

measure([p.grad, q.grad], "norm", [])               # {'norm': [2]}
measure_outputs(rows, "summary", none, layer="ReLU")   # {'norm': [1], 'mean': [1], …, 'saturated': [1]}
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ch6dist.capture import SUMMARY
from ch6dist.runs.capture_signs import BOUNDS, SATURATED_EDGE


def measure(tensors: Sequence[Tensor], keep: str, elements: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what is kept of N tensors: [N] for each thing; of `sample`, the elements of all, one after another.

    Args:
        keep: as in a trial's `capture`.
        elements: keep sample: which elements of each.
    """
    if not tensors:
        return {}
    if keep == "sample":
        pairs = zip(tensors, elements, strict=True)
        return {"sample": torch.cat([tensor.flatten()[chosen] for tensor, chosen in pairs])}
    found = {"norm": torch.stack(torch._foreach_norm(list(tensors)))}  # one call for all, as torch clips gradients
    if keep == "summary":
        found |= _stacked([_summary(tensor) for tensor in tensors])
    return found


def measure_outputs(rows: Tensor, keep: str, elements: Tensor, *, layer: str) -> dict[str, Tensor]:
    """Return what is kept of a layer's outputs, [B, values per image], which may be none: then NaN.

    `norm` is the root mean square of the images' norms, `sample` the mean over the images: neither depends on B.

    Args:
        layer: the name of the layer's class, which says how it saturates (capture_signs.py).
    """
    rows = rows.to(torch.float32) if rows.dtype == torch.bfloat16 else rows
    if keep == "sample":
        return {"sample": rows[:, elements].mean(0)}
    if not len(rows):
        names = (*SUMMARY, "saturated") if keep == "summary" else ("norm",)
        return {name: rows.new_full((1,), math.nan) for name in names}
    found = {"norm": (torch.linalg.vector_norm(rows) / math.sqrt(len(rows)))[None]}
    if keep == "summary":
        found |= _stacked([_summary(rows) | {"saturated": saturated_share(rows, layer=layer)}])
    return found


def saturated_share(rows: Tensor, *, layer: str) -> Tensor:
    """Return the share of a layer's outputs, [B, values per image], that is saturated (capture_signs.py)."""
    if layer not in BOUNDS:
        return (rows == 0).all(0).to(rows.dtype).mean()
    low, high = BOUNDS[layer]
    edge = SATURATED_EDGE * (high - low)
    return ((rows < low + edge) | (rows > high - edge)).to(rows.dtype).mean()


def _summary(tensor: Tensor) -> dict[str, Tensor]:
    mean = tensor.mean()
    return {
        "mean": mean,
        "std": (tensor - mean).square().mean().sqrt(),
        "max_abs": tensor.abs().max(),
        "zeros": (tensor == 0).to(tensor.dtype).mean(),
    }


def _stacked(summaries: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([summary[name] for summary in summaries]) for name in summaries[0]}
