"""CUDA without a GPU: on fake tensors of cuda:0 the fused engine's work stays on the device and reads no value of it.

A fake tensor has a device, a shape and a type, but no values: an operation on tensors of two devices is an error, and
so is one whose result somebody must know. Only a backward pass needs a real device: ones stand in for its gradients,
and the meta device, which knows no second one, shows that it reads no value either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ch6dist.engines.fused as fused_module
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.config import TrialConfig
from ch6dist.data.images import TrainData
from ch6dist.engines.engine import DTYPES
from ch6dist.engines.epoch_batches import epoch_batches
from ch6dist.engines.families.family import Family
from ch6dist.engines.families.registry import FAMILIES
from ch6dist.engines.fused import FusedEngine
from ch6dist.engines.kernels import CONVOLUTIONS, AutotuneCache
from ch6dist.engines.step import StackSteps
from ch6dist.models.build import build_model
from tests.ch6dist.engines.test_families import PACKS
from tests.support.libraries import known_here
from tests.support.trials import small_trial

CUDA = torch.device("cuda:0")
BATCH, STEPS = 8, 3  # the last batch of an epoch has 4 images
WITH_WEIGHTS = ("convolution", "bmm", "baddbmm", "addmm")  # operations in which a precision shows


class OnTheDevice(TorchDispatchMode):
    """Refuses what fake tensors allow and a CUDA graph does not: copies between devices, values from the host."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device, self.dtypes = device, set[torch.dtype]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, out = func.overloadpacket.__name__, func(*args, **(kwargs or {}))
        assert name not in ("lift_fresh", "equal"), f"{func} brings or compares values"
        devices = {leaf.device for leaf in tree_leaves((args, out)) if isinstance(leaf, Tensor)}
        assert name not in ("_to_copy", "copy_") or devices == {self.device}, f"{func} copies between {devices}"
        self.dtypes |= {out.dtype} if name in WITH_WEIGHTS else set()
        return out


@pytest.fixture
def known(family: str) -> None:
    """Describe the optimizers of a family, before there are tensors without values."""
    for given in PACKS[family]:
        known_here(given["name"])


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let cuda:0 be there, with bfloat16, for tensors without values; what the host computes has values."""
    coefficients = Family.coefficients

    def of_real_numbers(self: Family, configs: Sequence[Any], *, lr: Tensor, **_: Any) -> dict[str, Tensor]:
        with unset_fake_temporarily():
            lrs, steps = torch.full(lr.shape, 0.01, dtype=torch.float64), torch.zeros(lr.shape[1])
            scalars = self.first_scalar_state(lr.shape[1])
            return coefficients(self, configs, lr=lrs, momentum=lrs, steps=steps, scalar_state=scalars)

    def ones(losses: Tensor, leaves: Sequence[Tensor], each: Tensor) -> list[Tensor]:
        assert losses.requires_grad
        assert (losses.shape, losses.dtype, losses.device) == (each.shape, each.dtype, each.device)
        return [torch.ones_like(leaf) for leaf in leaves]

    monkeypatch.setattr(Family, "coefficients", of_real_numbers)
    monkeypatch.setattr(torch.autograd, "grad", ones)
    monkeypatch.setattr(fused_module, "processor", str)
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def pack_of(optimizers: Sequence[Any], *, model: str = "cnn2", precision: str = "fp32") -> list[TrialConfig]:
    """A lane per optimizer: the first two of one seed, the others of another; every second one with label smoothing."""
    dropout = {"dropout": 0.3} if "dropout" in MODELS[model].resolve({}) else {}
    data = {"name": "synthetic_cifar100", "train_size": 20, "val_size": 20, "batch_size": BATCH, "augment": "crop_flip"}
    shared = {"model": {"name": model, **dropout}, "data": data, "precision": precision}
    return [
        small_trial(optimizer=each, seed=int(i > 1), label_smoothing=0.1 * (i % 2), **shared)
        for i, each in enumerate(optimizers)
    ]


def with_values(precision: str) -> Callable[..., nn.Module]:
    """Return a function that builds models on the real host: `module.to` moves no fake parameter."""

    def build(*args: Any, **kwargs: Any) -> nn.Module:
        with unset_fake_temporarily():
            return build_model(*args, **kwargs).to(DTYPES[precision])

    return build


def images(trial: TrialConfig, device: torch.device) -> TrainData:
    """20 images to train on and 20 to evaluate, on the device."""
    entry = DATASETS[trial.data.name]
    pixels = torch.zeros(40, entry.channels, entry.height, entry.width, dtype=torch.uint8, device=device)
    labels = torch.zeros(40, dtype=torch.int64, device=device)
    half = torch.full((entry.channels,), 0.5, dtype=torch.float64, device=device)
    return TrainData(pixels[:20], labels[:20], pixels[20:], labels[20:], mean=half, std=half, coarse_of_class=None)


def train_and_evaluate(
    trials: Sequence[TrialConfig], monkeypatch: pytest.MonkeyPatch, *, variant: str = "grouped", device: Any = CUDA
) -> OnTheDevice:
    """Drive steps and an evaluation as the engine does; return what watched them."""
    first, dtype = trials[0], DTYPES[trials[0].precision]
    monkeypatch.setattr(AutotuneCache, "choose", lambda self, key, allowed, measure: variant)
    monkeypatch.setattr(fused_module, "build_model", with_values(first.precision))
    engine = FusedEngine(dataset=DATASETS[first.data.name], steps_per_epoch=STEPS, device=device)
    lanes, data = [engine.open(trial) for trial in trials], images(first, device)
    epoch = epoch_batches(
        data,
        seeds=[trial.seed for trial in trials],
        epochs=[0] * len(trials),
        config=first.data,
        steps=STEPS,
        device=device,
        dtype=dtype,
    )
    steps = engine.prepared(lanes, epoch, [lane.lr_momentum(epoch=0, steps=STEPS) for lane in lanes])
    with OnTheDevice(device) as watch:
        for count in (BATCH, BATCH // 2):
            steps.step(count)
        found = engine.evaluate(lanes, data.batches(data.val_images, data.val_labels, size=12, dtype=dtype))
    assert (found.shape, found.device) == ((len(lanes), 2), device)
    assert {tensor.device for tensor in steps.run.written} == {device}
    return watch


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("variant", CONVOLUTIONS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("gpu")
def test_every_model_trains_and_evaluates_on_the_device_alone(
    model: str, variant: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = pack_of(PACKS["SGD"][:4], model=model, precision=precision)
    watch = train_and_evaluate(trials, monkeypatch, variant=variant)
    assert watch.dtypes == {torch.bfloat16 if precision == "bf16" else DTYPES[precision]}


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.usefixtures("known", "gpu")
def test_every_optimizer_updates_on_the_device_alone(
    family: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_and_evaluate(pack_of(PACKS[family], precision=precision), monkeypatch)


@pytest.mark.parametrize("model", MODELS)
def test_a_backward_pass_reads_no_value(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    train_and_evaluate(pack_of(PACKS["Adam"][:3], model=model), monkeypatch, device=torch.device("meta"))


# That the tests above can fail

FAULTS: dict[str, Callable[[Tensor], object]] = {
    "two devices": lambda tensor: tensor + torch.ones(tensor.shape),
    "a number is read": lambda tensor: tensor.sum().item(),
    "a condition is read": lambda tensor: bool((tensor > 0).all()),
    "a shape depends on values": lambda tensor: tensor[tensor > 0],
    "a copy to the host": lambda tensor: tensor.cpu(),
    "a copy from the host": lambda tensor: torch.zeros(tensor.shape).to(tensor.device),
    "a constant of the host": lambda tensor: torch.tensor(1.0, device=tensor.device),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("owner", "method"), [(StackSteps, "update"), (StackSteps, "forward"), (FusedEngine, "sums_of")]
)
@pytest.mark.usefixtures("gpu")
def test_what_a_graph_cannot_hold_is_found(
    owner: type, method: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = getattr(owner, method)

    def faulty(self: Any, *args: Any, **kwargs: Any) -> Tensor:
        out: Tensor = sound(self, *args, **kwargs)
        FAULTS[fault](self.stack.weights if out is None else out)
        return out

    monkeypatch.setattr(owner, method, faulty)
    with pytest.raises((RuntimeError, AssertionError)):
        train_and_evaluate(pack_of(PACKS["SGD"][:2]), monkeypatch)
