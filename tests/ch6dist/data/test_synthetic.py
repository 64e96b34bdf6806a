"""The synthetic sets: the shapes of the real ones, the same images every time, and something to learn."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from ch6dist.catalog.datasets import DATASETS
from ch6dist.config import parse_section
from ch6dist.data.images import TrainData, epoch_plan, load_split, load_test, normalize
from ch6dist.data.synthetic import synthetic_images, synthetic_labels
from ch6dist.models.build import build_model
from ch6dist.trial_sections import DataConfig

torch.set_num_threads(1)

SYNTHETIC = [name for name, entry in DATASETS.items() if entry.synthetic]


def config(name: str = "synthetic_mnist", **fields: object) -> DataConfig:
    return parse_section(DataConfig, {"name": name, **fields})


def split(name: str = "synthetic_mnist", **fields: object) -> TrainData:
    return load_split(config(name, **fields), device="cpu")


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_synthetic_set_has_the_shapes_and_counts_of_the_real_one(name):
    entry, twin = DATASETS[name], DATASETS[name.removeprefix("synthetic_")]
    own = {"name", "description", "synthetic", "train_files", "test_files"}
    own |= {"class_names", "names_file"}  # what is generated shows nothing that has a name
    fields = [field.name for field in dataclasses.fields(entry) if field.name not in own]
    assert {f: getattr(entry, f) for f in fields} == {f: getattr(twin, f) for f in fields}
    images, labels = load_test(config(name), device="cpu")
    assert images.shape == (entry.test_images, entry.channels, entry.height, entry.width)
    assert images.dtype == torch.uint8
    assert torch.bincount(labels).tolist() == [entry.test_images // entry.classes] * entry.classes
    data = split(name, train_size=50, val_size=20)
    assert data.train_images.shape == (50, entry.channels, entry.height, entry.width)
    assert (data.coarse_of_class is not None) == bool(entry.coarse_classes)
    if data.coarse_of_class is not None:
        per_coarse = entry.classes // entry.coarse_classes
        assert torch.bincount(data.coarse_of_class).tolist() == [per_coarse] * entry.coarse_classes


@pytest.mark.parametrize("name", SYNTHETIC)
def test_an_image_is_the_same_alone_and_among_others(name):
    entry, indices = DATASETS[name], torch.tensor([7, 4999, 31, 7])
    few = synthetic_images(entry, "train", indices)
    many = synthetic_images(entry, "train", torch.arange(5000))
    assert torch.equal(few, many[indices])
    assert not torch.equal(synthetic_images(entry, "test", indices), few)
    counts = torch.bincount(synthetic_labels(entry, "train"))
    assert counts.tolist() == [entry.train_images // entry.classes] * entry.classes


@pytest.mark.parametrize(
    ("name", "model", "steps", "low", "high"),
    [("synthetic_mnist", "simple_nn", 300, 0.5, 0.95), ("synthetic_cifar100", "lenet5", 250, 0.1, 0.9)],
)
def test_a_synthetic_set_can_be_learnt_but_not_at_once(name, model, steps, low, high):
    """Validation accuracy after part of an epoch: far above chance (0.1 and 0.01), and far from perfect."""
    entry, data = DATASETS[name], split(name, train_size=40_000, val_size=1000)
    shape = {"channels": entry.channels, "height": entry.height, "width": entry.width, "classes": entry.classes}
    net = build_model({"name": model}, **shape, seed=0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.03, momentum=0.9)
    plan = epoch_plan(seed=0, epoch=0, count=40_000, augment="none", device="cpu")
    for step in range(steps):
        batch = plan.batch(data, step * 128, (step + 1) * 128, torch.float32)
        optimizer.zero_grad()
        F.cross_entropy(net(batch.images), batch.labels).backward()
        optimizer.step()
    net.eval()
    logits = net(normalize(data.val_images, data.mean, data.std, torch.float32))
    assert low < (logits.argmax(1) == data.val_labels).float().mean().item() < high
