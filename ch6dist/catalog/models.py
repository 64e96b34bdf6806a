"""The models as data: parameters, defaults, and the sizes `plan` estimates time and memory from.

    MODELS["lenet5"].resolve({"dropout": 0.3})      # {'dropout': 0.3}, or InputError

The sizes hold for CIFAR-100 (3×32×32 images, 100 classes) and are counted, not estimated; a test counts them again.
The size of a trial's model, whoever has made it, is in sizes.py.
Operations: `torch.utils.flop_counter.FlopCounterMode` around forward, cross entropy and backward. Activations: the
bytes of every layer's output in fp32, a little more than what autograd keeps for the backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ch6dist.catalog.layers import Layer
from ch6dist.catalog.parameters import Entry, Parameter

LaneForm = Literal["layers", "vmap", ""]  # lanes as one model: of lane layers, the whole by torch.func.vmap, not at all


@dataclass(frozen=True, kw_only=True)
class ModelSize:
    """What a model takes, and what of it an engine and a capture have to know."""

    parameter_count: int
    mflop_per_image: float  # millions of operations, forward and backward; a multiply-add is two
    activation_bytes_per_image: int  # fp32 outputs of all layers
    lane_form: LaneForm = "layers"
    not_fused: str = ""  # why its lanes cannot be one model; empty where they can
    layers: Mapping[str, Layer] = field(default_factory=dict)  # of a foreign model; of the catalog's: layers.py


@dataclass(frozen=True, kw_only=True)
class ModelEntry(Entry):
    """A model: its parameters, its size, and the smallest images it takes."""

    size: ModelSize | None = None  # None: of a foreign one, which has to be counted
    min_side: int = 1  # smallest height and width of an image


def _dropout(default: float) -> Parameter:
    return Parameter("dropout", "float", default, "fraction of activations zeroed while training", low=0, below=1)


_ENTRIES = (
    ModelEntry(
        "lenet5",
        "LeNet-5 for colour images: two valid 5×5 convolutions (6, 16), three linear layers (120, 84)",
        (_dropout(0.0),),
        size=ModelSize(parameter_count=69_656, mflop_per_image=3.25, activation_bytes_per_image=60_368),
        min_side=16,
    ),
    ModelEntry(
        "lenet_like",
        "LeNet-5 with the first convolution padded by 2, so that the linear layers see 6×6 maps",
        size=ModelSize(parameter_count=90_776, mflop_per_image=4.44, activation_bytes_per_image=80_368),
        min_side=12,
    ),
    ModelEntry(
        "convnet",
        "two padded 5×5 convolutions (32, 64) and a hidden linear layer of 1000",
        size=ModelSize(parameter_count=4_250_796, mflop_per_image=113.65, activation_bytes_per_image=467_152),
        min_side=4,
    ),
    ModelEntry(
        "simple_nn",
        "one hidden linear layer of 128 with dropout, no convolution",
        (_dropout(0.2),),
        size=ModelSize(parameter_count=406_244, mflop_per_image=1.65, activation_bytes_per_image=14_224),
        min_side=1,
    ),
    ModelEntry(
        "cnn2",
        "two valid 3×3 convolutions of n_feature maps, a hidden linear layer of 50, dropout before both linear layers",
        (
            Parameter("n_feature", "int", 5, "maps of each convolution", low=1),
            _dropout(0.3),
        ),
        size=ModelSize(parameter_count=14_520, mflop_per_image=0.798, activation_bytes_per_image=50_420),
        min_side=10,
    ),
    ModelEntry(
        "conv3bn",
        "three blocks of 3×3 convolution, batch normalisation, ReLU and pooling (64, 128, 256)",
        size=ModelSize(parameter_count=780_964, mflop_per_image=236.03, activation_bytes_per_image=1_507_728),
        min_side=8,
    ),
    ModelEntry(
        "resnet18",
        "ResNet-18 (He et al. 2016) with the CIFAR stem: one 3×3 convolution of stride 1, no pooling",
        size=ModelSize(parameter_count=11_220_132, mflop_per_image=3329.27, activation_bytes_per_image=7_147_920),
        min_side=1,
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}
