"""The other side: the loop that the tutorials of PyTorch teach. PIL images, torchvision's transforms, a DataLoader.

    train_plain(Work(), {"name": "SGD", "momentum": 0.9}, lr=0.05, loader_workers=2)
    python -m benchmarks.plain --epochs 2 --loader-workers 2      # the same as a process: JSON in its last line

What costs nothing to do well is done well: pinned memory, workers that stay, losses that stay on the device.
Images, split and initial weights are those of our own side.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import CIFAR100

from benchmarks.work import Work, add_work, work_of
from ch6dist.catalog.dataset_files import data_root
from ch6dist.catalog.datasets import DATASETS
from ch6dist.data.synthetic import synthetic_images, synthetic_labels
from ch6dist.models.build import build_model
from ch6dist.seeding import generator

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
EVALUATION_BATCH = 500


class Pictures(Dataset):
    """Made-up images, given out as torchvision's CIFAR100 gives its own: array → PIL → transform."""

    def __init__(self, name: str, *, indices: Tensor, transform: Any) -> None:
        entry = DATASETS[name]
        self.images = synthetic_images(entry, "train", indices).permute(0, 2, 3, 1).numpy()
        self.labels = synthetic_labels(entry, "train")[indices].tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def loaders(work: Work, *, workers: int = 0) -> tuple[DataLoader, DataLoader]:
    """Return training and validation batches, of the images that our own split takes."""
    normalize = transforms.Normalize(MEAN, STD)
    plain = transforms.Compose([transforms.ToTensor(), normalize])
    augmented = transforms.Compose([transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), plain])
    order = torch.randperm(DATASETS[work.data].train_images, generator=generator(0, "split"))
    val, train = order[: work.val_size], order[work.val_size : work.val_size + work.train_size]
    more = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": work.device == "cuda"}
    return (
        DataLoader(_images(work.data, train, augmented), work.batch_size, shuffle=True, **more),
        DataLoader(_images(work.data, val, plain), EVALUATION_BATCH, **more),
    )


def _images(name: str, indices: Tensor, transform: Any) -> Dataset:
    if DATASETS[name].synthetic:
        return Pictures(name, indices=indices, transform=transform)
    return Subset(CIFAR100(str(data_root()), transform=transform), indices.tolist())


def lenet5(*, seed: int) -> nn.Module:
    """Return LeNet-5 as a person writes it, with the initial weights that our own has for this seed."""
    conv = [nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    linear = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 100)]
    model = nn.Sequential(*conv, nn.Flatten(), *linear)
    ours = build_model({"name": "lenet5"}, channels=3, height=32, width=32, classes=100, seed=seed)
    with torch.no_grad():
        for mine, given in zip(model.parameters(), ours.parameters(), strict=True):
            mine.copy_(given)
    return model


def build_optimizer(model: nn.Module, optimizer: Mapping[str, Any], *, lr: float) -> torch.optim.Optimizer:
    """Return torch's optimizer of that name."""
    settings = {key: value for key, value in optimizer.items() if key != "name"}
    return getattr(torch.optim, optimizer["name"])(model.parameters(), lr=lr, **settings)


def train_plain(
    work: Work, optimizer: Mapping[str, Any], *, lr: float, seed: int = 0, loader_workers: int = 0
) -> dict[str, float]:
    """Train and validate, an epoch after another.

    Returns `first_epoch_s` and `epoch_s`, seconds of training of the first epoch and the median of the others (of the
    only one, if there is one), and `val_accuracy` of the last.
    """
    torch.manual_seed(seed)
    train, val = loaders(work, workers=loader_workers)
    model = lenet5(seed=seed).to(work.device)
    updater = build_optimizer(model, optimizer, lr=lr)
    seconds = []
    for _ in range(work.epochs):
        started = time.perf_counter()
        _train_epoch(model, updater, train, work.device)
        seconds.append(time.perf_counter() - started)
        val_accuracy = _accuracy(model, val, work)
    return {
        "first_epoch_s": seconds[0],
        "epoch_s": statistics.median(seconds[1:] or seconds),
        "val_accuracy": val_accuracy,
    }


def _train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, loader: DataLoader, device: str) -> float:
    """Train one epoch; return the mean of its batches' losses, for which the device is waited."""
    model.train()
    total = torch.zeros((), device=device)
    for images, labels in loader:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / len(loader)


@torch.no_grad()
def _accuracy(model: nn.Module, loader: DataLoader, work: Work) -> float:
    model.eval()
    right = torch.zeros((), dtype=torch.int64, device=work.device)
    for images, labels in loader:
        images, labels = images.to(work.device, non_blocking=True), labels.to(work.device, non_blocking=True)
        right += (model(images).argmax(1) == labels).sum()
    return right.item() / work.val_size


def main() -> None:
    """Run one training as a process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_work(parser, Work())
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loader-workers", type=int, default=0, help="of each DataLoader")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on the CPU")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    optimizer = {"name": "SGD", "momentum": 0.9}
    options = {"lr": arguments.lr, "seed": arguments.seed, "loader_workers": arguments.loader_workers}
    print(json.dumps(train_plain(work_of(arguments), optimizer, **options)))


if __name__ == "__main__":
    main()
