"""Both engines train on the same augmented images and mixed labels, and a resume goes on with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from ch6dist.data.further import Mixed
from ch6dist.engines.task import Task
from ch6dist.packs import Orders
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.trials import small_trial

torch.set_num_threads(1)

AUGMENTS = [["crop", "flip", "trivial", "cutmix"], ["mixup", "cutmix", "erase"], ["trivial"]]


def trained(trials: list[Any], *, halt_after: int = 99, **how: Any) -> dict[tuple[str, int], list[float]]:
    rows: list[Any] = []

    def report(lines: Any) -> Orders:
        rows.extend(line for line in lines if line["kind"] == "row")
        return Orders(halt=any(row["epoch"] == halt_after for row in rows))

    train(trials, report=report, **how)
    names = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    return {(row["trial"], row["epoch"]): [row[name] for name in names] for row in rows}


def pack(augment: Any) -> list[Any]:
    data = {"train_size": 44, "val_size": 20, "batch_size": 16, "augment": augment}
    optimizer = {"name": "SGD", "momentum": 0.9}
    return [
        small_trial(optimizer={**optimizer, "lr": lr}, data=data, epochs=2, seed=seed, precision="fp64",
                    label_smoothing=0.1 * seed)
        for lr, seed in ((0.05, 0), (0.01, 0), (0.05, 1))
    ]  # fmt: skip


@pytest.mark.parametrize("augment", AUGMENTS)
def test_fused_lanes_see_the_images_and_labels_of_their_solo_runs(augment):
    trials = pack(augment)
    fused = trained(trials, engine="fused")
    for trial in trials:
        for key, values in trained([trial], engine="eager").items():
            assert fused[key] == pytest.approx(values, rel=1e-12), key


@pytest.mark.parametrize("engine", ["eager", "fused"])
def test_a_resume_goes_on_with_the_same_images(engine, tmp_path):
    trials = pack(AUGMENTS[0])[:2]
    whole = trained(trials, engine=engine)
    first = trained(trials, engine=engine, halt_after=1, checkpoints=Checkpoints(tmp_path))
    assert trained(trials, engine=engine, checkpoints=Checkpoints(tmp_path)) | first == whole


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_mixed_labels_is_that_of_their_weighted_distribution(smoothing):
    source = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 10, generator=source, dtype=torch.float64)
    labels, others = torch.randint(10, (2, 2, 6), generator=source)
    weights = torch.rand(2, 6, generator=source, dtype=torch.float64)
    mixed = Mixed(labels, others, weights)
    targets = weights[..., None] * F.one_hot(labels, 10) + (1 - weights[..., None]) * F.one_hot(others, 10)
    expected = [
        F.cross_entropy(logits[k], targets[k], reduction="sum", label_smoothing=smoothing).item() for k in range(2)
    ]
    task, shares = Task(), torch.full((2, 1), smoothing, dtype=torch.float64)
    assert task.losses(logits, mixed, smoothing=shares).tolist() == pytest.approx(expected, rel=1e-12)
    one = Mixed(labels[1], others[1], weights[1])
    assert task.loss(logits[1], one, smoothing=smoothing).item() == pytest.approx(expected[1], rel=1e-12)
    right = logits.argmax(2) == torch.where(weights >= 0.5, labels, others)
    assert torch.equal(task.right(logits, mixed), right.sum(1))
