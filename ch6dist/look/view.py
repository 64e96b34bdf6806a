"""Look at a network: evaluate it as its training did, and keep what its layers make of a few images.

view = view_network(subject, split="val", images=4)
view.confusion.trace() / view.confusion.sum()       # the accuracy that the ledger has of the checkpoint's epoch
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ch6dist.catalog.look import LARGEST_PERCENTILE, SMALLEST_PERCENTILE
from ch6dist.data.images import TrainData, load_split, load_test
from ch6dist.data.names import Names, names_of
from ch6dist.engines.engine import DTYPES
from ch6dist.engines.outputs import first_outputs
from ch6dist.errors import InputError
from ch6dist.look.layers import Saturation, kind_of, layers_of, moved
from ch6dist.look.samples import Augmented, ClassSamples, augmented_samples, class_samples
from ch6dist.look.subject import Subject
from ch6dist.models.pooling import MaxPool2
from ch6dist.seeding import numerics
from ch6dist.training.epoch import EVALUATION_BATCH

MAPS = 16  # of a layer, that are kept
FILTERS, CHANNELS = 32, 8  # of a convolution, that are kept
MANY_LAYERS = 24  # from more on, only activations, poolings and linear layers have their feature maps kept
SUMMARIES = (nn.ReLU, MaxPool2, nn.AdaptiveAvgPool2d, nn.Linear)
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class LayerView:
    """A layer: what it is, how far it moved, what it puts out; of its values what is drawn."""

    kind: str
    saturation: Saturation
    parameters: int
    moved: float
    filters: NDArray[np.float16] | None  # [filters, channels, rows, columns], the first of each; of a convolution
    filters_shape: tuple[int, ...]  # of all its filters
    maps: NDArray[np.uint8] | None  # [images, maps, rows, columns] or [images, features], scaled; not of every layer
    low: float  # what is 0 in `maps`: NaN without them
    high: float  # what is 255


@dataclass(frozen=True)
class View:
    """What was seen of a network."""

    subject: Subject
    split: str
    names: Names
    coarse: NDArray[np.int64] | None  # the superclass of every class
    layers: Mapping[str, LayerView]
    confusion: NDArray[np.int64]  # [classes, classes]: true, predicted
    images: NDArray[np.uint8]  # [images, C, H, W]: the first of the split
    answers: list[tuple[int, int, float]]  # of them: true class, predicted class, its probability
    samples: ClassSamples
    augmented: Augmented

    @property
    def accuracy(self) -> float:
        """Return the share of the split's images whose class is predicted."""
        return float(self.confusion.trace() / self.confusion.sum())


def view_network(subject: Subject, *, split: str, images: int) -> View:
    """Evaluate a network on all images of a split, and keep what its layers put out for the first `images` of it.

    InputError for the validation split of a trial that has none; DataFilesError without the files of its data.
    """
    trial, device = subject.trial, next(subject.model.parameters()).device
    if split == "val" and not trial.data.val_size:
        raise InputError(
            "--split", split, f"test: {subject.trial_id} trained on all images and has no validation split"
        )
    names = names_of(trial.data)
    data = load_split(trial.data, device=device, seed=trial.split_seed)
    pictures, labels = load_test(trial.data, device=device) if split == "test" else (data.val_images, data.val_labels)
    layers = layers_of(subject.model)
    saturations = {name: Saturation(kind_of(layer)) for name, layer in layers.items()}
    shown: dict[str, Tensor] = {}
    with torch.no_grad(), numerics(device, deterministic=trial.deterministic):
        with first_outputs(subject.model, layers, lambda name, output: saturations[name].take(output)):
            confusion = _confusion(subject, data, pictures, labels)
        layers = {name: layer for name, layer in layers.items() if saturations[name].images}  # what puts something out
        with first_outputs(subject.model, layers, shown.__setitem__):
            batch = next(data.batches(pictures[:images], labels[:images], size=images, dtype=DTYPES[trial.precision]))
            chances = subject.logits(batch.images).double().softmax(1)
    probability, predicted = chances.max(1)
    return View(
        subject=subject,
        split=split,
        names=names,
        coarse=None if data.coarse_of_class is None else data.coarse_of_class.cpu().numpy(),
        layers={name: _layer(name, layer, saturations[name], shown, subject) for name, layer in layers.items()},
        confusion=confusion,
        images=pictures[:images].cpu().numpy(),
        answers=list(zip(labels[:images].tolist(), predicted.tolist(), probability.tolist(), strict=True)),
        samples=class_samples(data, classes=subject.dataset.classes),
        augmented=augmented_samples(data, trial, count=images),
    )


def _confusion(subject: Subject, data: TrainData, images: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """Return how many images of each class are predicted as which: [classes, classes]."""
    classes = subject.dataset.classes
    found = torch.zeros(classes * classes, dtype=torch.int64)
    dtype = DTYPES[subject.trial.precision]
    for batch in data.batches(images, labels, size=EVALUATION_BATCH, dtype=dtype):
        cells = batch.labels * classes + subject.logits(batch.images).argmax(1)
        found += torch.bincount(cells.cpu(), minlength=classes * classes)
    return found.view(classes, classes).numpy()


def _layer(
    name: str, layer: nn.Module, saturation: Saturation, shown: Mapping[str, Tensor], subject: Subject
) -> LayerView:
    weight = layer.weight.detach().cpu() if isinstance(layer, nn.Conv2d) else None
    maps, low, high = None, np.nan, np.nan
    if len(shown) <= MANY_LAYERS or isinstance(layer, SUMMARIES):
        maps, low, high = _scaled(shown[name].float().cpu())
    filters = None
    if weight is not None:
        filters = weight[:FILTERS, :CHANNELS].clamp(-LARGEST_HALF, LARGEST_HALF).half().numpy()
    return LayerView(
        kind=kind_of(layer),
        saturation=saturation,
        parameters=sum(parameter.numel() for parameter in layer.parameters()),
        moved=moved(layer, name, subject.initial),
        filters=filters,
        filters_shape=() if weight is None else tuple(weight.shape),
        maps=maps,
        low=low,
        high=high,
    )


def _scaled(output: Tensor) -> tuple[NDArray[np.uint8], float, float]:
    """Return a layer's outputs, [B, …], of each image the first maps, from 0 to 255 between two percentiles of all."""
    values = output.numpy()
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [SMALLEST_PERCENTILE, LARGEST_PERCENTILE]) if finite.size else (0.0, 0.0)
    kept = output.flatten(1).numpy() if output[0].numel() == output.shape[1] else values[:, :MAPS]
    shares = (np.nan_to_num(kept) - low) / (high - low) if high > low else np.zeros_like(kept)
    return (255 * shares.clip(0, 1)).round().astype(np.uint8), float(low), float(high)
