"""Our 2×2 max pooling is torch's, gradient and all, to the last bit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ch6dist.models.pooling import MaxPool2

torch.set_num_threads(1)


def both(x, gradient):
    """[(values, gradient)] of ours and torch's."""
    found = []
    for pool in (MaxPool2(), torch.nn.MaxPool2d(2)):
        leaf = x.clone().requires_grad_()
        out = pool(leaf)
        found.append((out.detach(), torch.autograd.grad(out, leaf, gradient)[0]))
    return found


@settings(max_examples=100, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 4),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    levels=st.integers(1, 4),
    seed=st.integers(0, 10**6),
)
def test_values_and_gradients_are_torchs_with_ties_and_odd_sides(batch, channels, height, width, levels, seed):
    source = torch.Generator().manual_seed(seed)
    x = torch.randint(levels, (batch, channels, height, width), generator=source).float()  # few levels: many ties
    gradient = torch.randn(batch, channels, height // 2, width // 2, generator=source)
    (ours, our_gradient), (theirs, their_gradient) = both(x, gradient)
    assert torch.equal(ours, theirs)
    assert torch.equal(our_gradient, their_gradient)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_precision_of_a_trial_is_pooled(dtype):
    source = torch.Generator().manual_seed(0)
    x, gradient = (torch.randn(2, 3, n, n, generator=source).to(dtype) for n in (8, 4))
    (ours, our_gradient), (theirs, their_gradient) = both(x, gradient)
    assert torch.equal(ours, theirs)
    assert torch.equal(our_gradient, their_gradient)


def test_views_that_are_not_contiguous_are_pooled():
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).permute(0, 1, 3, 2)[:, 1:]
    assert torch.equal(MaxPool2()(x), F.max_pool2d(x, 2))


def test_what_is_not_a_number_stays_none():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    pooled = MaxPool2()(x)
    assert pooled[0, 0, 0, 0].isnan()
    assert pooled.flatten()[1:].eq(0).all()


def test_it_can_be_mapped_over_lanes():
    x = torch.randn(3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    pool = MaxPool2()
    gradients = torch.func.vmap(torch.func.grad(lambda maps: pool(maps).square().sum()))(x)
    for lane, expected in zip(x, gradients, strict=True):
        leaf = lane.clone().requires_grad_()
        assert torch.equal(torch.autograd.grad(F.max_pool2d(leaf, 2).square().sum(), leaf)[0], expected)
