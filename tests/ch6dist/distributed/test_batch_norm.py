"""Batch normalisation over all ranks is torch's own over the whole batch: real processes over gloo against one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.distributed.batch_norm import GlobalBatchNorm2d, SyncBatchNorm2d, over_all_ranks
from ch6dist.models.build import build_model
from tests.support.ranks import in_ranks

torch.set_num_threads(1)
CHANNELS = 3
ROWS = [7, 2, 1]  # over three or four ranks: uneven, and some with nothing
KINDS = {  # precision → tolerance, relative to the largest value; a bf16 number has eight bits
    "fp64": (torch.float64, 1e-12),
    "fp32": (torch.float32, 2e-5),
    "bf16": (torch.bfloat16, 2e-2),
}


def batch_norm(dtype):
    """One with weights of its own, and momentum other than the default."""
    layer = nn.BatchNorm2d(CHANNELS, momentum=0.3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.bias.copy_(torch.tensor([0.1, 0.0, -3.0]))
    return layer.to(torch.promote_types(dtype, torch.float32))  # under autocast the layer stays in fp32


def images(rows, dtype, offset=100.0):
    """[rows, C, 4, 4] whose channels have means far from zero: where a sum of squares would lose the variance."""
    generator = torch.Generator().manual_seed(rows)
    noise = torch.randn(rows, CHANNELS, 4, 4, dtype=torch.float64, generator=generator)
    far = 0.0 if dtype == torch.bfloat16 else offset  # bf16 itself cannot say 100.3
    return (noise + far * torch.arange(CHANNELS)[:, None, None]).to(dtype)


def step(layer, x):
    """Output and gradients of one training step with a loss that differs by position, and the buffers after it."""
    x = x.clone().requires_grad_()
    y = layer(x)
    positions = torch.arange(1, y.shape[1:].numel() + 1).reshape(y.shape[1:])
    (y.double() ** 2 * positions).sum().backward()
    found = {"y": y.detach(), "x.grad": x.grad, "weight.grad": layer.weight.grad, "bias.grad": layer.bias.grad}
    return {**found, **{name: buffer.clone() for name, buffer in layer.named_buffers()}}


def steps(group, folder):
    """{(precision, rows): this rank's step}, and what a batch of one value per channel says."""
    found = {}
    for name, (dtype, _) in KINDS.items():
        for rows in ROWS:
            layer = over_all_ranks(nn.Sequential(batch_norm(dtype)))[0]
            assert type(layer) is GlobalBatchNorm2d
            low, high = group.share(0, rows)
            found[name, rows] = step(layer, images(rows, dtype)[low:high])
    low, high = group.share(0, 1)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(torch.zeros(high - low, CHANNELS, 1, 1))
    layer.eval()
    if group.rank == 0:  # alone: evaluation needs no other rank
        assert torch.equal(layer(torch.ones(2, CHANNELS, 4, 4)), batch_norm_like(layer)(torch.ones(2, CHANNELS, 4, 4)))
    return found


def batch_norm_like(layer):
    plain = nn.BatchNorm2d(CHANNELS)
    plain.load_state_dict(layer.state_dict())
    return plain.eval()


@pytest.fixture(scope="module", params=[2, 3, 4])
def ranks(request, tmp_path_factory):
    return in_ranks(request.param, tmp_path_factory.mktemp("norm"), steps)


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_together_compute_what_torch_does_over_the_whole_batch(ranks, kind, rows):
    dtype, tolerance = KINDS[kind]
    expected = step(batch_norm(dtype), images(rows, dtype))
    mine = [found[kind, rows] for found in ranks]
    together = {
        "y": torch.cat([found["y"] for found in mine]),
        "x.grad": torch.cat([found["x.grad"] for found in mine]),
        "weight.grad": sum(found["weight.grad"] for found in mine),
        "bias.grad": sum(found["bias.grad"] for found in mine),
    }
    together |= {name: mine[0][name] for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert together.keys() == expected.keys()
    for name, value in expected.items():
        assert together[name].dtype == value.dtype, name
        scale = max(1.0, value.abs().max().item())
        error = (together[name].double() - value.double()).abs().max().item() / scale
        assert error < tolerance, f"{name}: {error:.2g}"


def test_running_statistics_are_equal_on_every_rank_bit_for_bit(ranks):
    for key, first in ranks[0].items():
        for found in ranks[1:]:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                assert torch.equal(first[name], found[key][name]), f"{name} of {key}"


def built(name):
    entry = DATASETS["cifar100"]
    shape = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
    return build_model({"name": name}, **shape, seed=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_its_names_and_its_very_tensors(name):
    model = built(name)
    before = dict(model.state_dict(keep_vars=True))
    normed = [key for key, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    over_all_ranks(model)
    after = dict(model.state_dict(keep_vars=True))
    assert list(before) == list(after)
    assert all(before[key] is after[key] for key in before)
    assert [key for key, module in model.named_modules() if type(module) is GlobalBatchNorm2d] == normed


def test_off_the_cpu_it_is_torchs_own():
    model = built("conv3bn").to("meta")
    keys = list(model.state_dict())
    theirs = nn.SyncBatchNorm.convert_sync_batchnorm(built("conv3bn"))
    ours = over_all_ranks(model)
    for name, layer in theirs.named_modules():
        mine = ours.get_submodule(name)
        if isinstance(layer, nn.SyncBatchNorm):
            assert type(mine) is SyncBatchNorm2d
            assert isinstance(mine, nn.SyncBatchNorm)
            assert all(getattr(mine, field) == getattr(layer, field) for field in ("process_group", "eps", "momentum"))
        else:
            assert not isinstance(mine, nn.SyncBatchNorm)
    assert list(theirs.state_dict()) == keys == list(ours.state_dict())


def test_without_a_group_torchs_own_is_plain_batch_normalisation():
    layer, plain = batch_norm(torch.float32), batch_norm(torch.float32)
    layer.__class__ = SyncBatchNorm2d
    x = images(7, torch.float32)
    assert torch.equal(layer(x), plain(x))
    assert layer.eval()(x[:0].bfloat16()).dtype == torch.float32
