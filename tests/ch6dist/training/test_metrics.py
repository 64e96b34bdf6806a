"""Metrics beside the accuracy: only where a trial asks for them, equal in both engines, and right."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ch6dist.config import parse_trial
from ch6dist.data.images import load_split
from ch6dist.engines.task import Task
from ch6dist.errors import InputError
from ch6dist.packs import Orders, check_shared
from ch6dist.training.loop import train
from tests.support.trials import small_trial

torch.set_num_threads(1)

ASKING = ("val_top5_accuracy", "val_coarse_accuracy", "test_top5_accuracy", "test_coarse_accuracy")
DATA = {"name": "synthetic_cifar100", "train_size": 60, "val_size": 50, "batch_size": 30}


def last_row(engine: Any = "eager", **changes: Any) -> dict[str, Any]:
    rows: list[Any] = []

    def report(lines: Any) -> Orders:
        rows.extend(line for line in lines if line["kind"] == "row")
        return Orders()

    trial = small_trial(data=DATA, epochs=1, precision="fp64", **changes)
    train([trial], report=report, engine=engine)
    return dict(rows[-1])


def test_counts_are_those_by_hand():
    source = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 20, generator=source), torch.randint(20, (200,), generator=source)
    coarse = torch.arange(20) // 4
    right, top5, same = Task(("top5", "coarse"), coarse).counts(logits, labels).tolist()
    order = logits.argsort(1, descending=True)
    assert right == sum(int(o[0] == label) for o, label in zip(order, labels, strict=True))
    assert top5 == sum(int(label in o[:5]) for o, label in zip(order, labels, strict=True))
    assert same == sum(int(o[0] // 4 == label // 4) for o, label in zip(order, labels, strict=True))
    assert right < same < top5 < 200


def test_a_row_has_what_its_trial_asks_for_and_nothing_else():
    plain = last_row()
    assert not set(ASKING) & set(plain)
    asked = last_row(metrics=["top5", "coarse"])
    assert set(ASKING[:2]) == set(asked) - set(plain)
    assert [asked[name] for name in ("val_loss", "val_accuracy")] == [plain["val_loss"], plain["val_accuracy"]]
    assert asked["val_accuracy"] <= min(asked["val_top5_accuracy"], asked["val_coarse_accuracy"])
    fused = last_row("fused", metrics=["top5", "coarse"])
    assert [fused[name] for name in ASKING[:2]] == [asked[name] for name in ASKING[:2]]


def test_what_is_measured_is_no_part_of_a_trial_and_packs_share_it():
    plain, asking = (small_trial(data=DATA, metrics=metrics) for metrics in ([], ["top5"]))
    assert plain.trial_id == asking.trial_id
    with pytest.raises(InputError, match="packs share metrics"):
        check_shared([plain, small_trial(data=DATA, metrics=["top5"], seed=0, epochs=3, label_smoothing=0.1)])


@pytest.mark.parametrize(
    ("name", "metrics", "part"),
    [
        ("synthetic_mnist", ["coarse"], "synthetic_mnist has no superclasses"),
        ("synthetic_cifar100", ["top5", "top5"], "each metric once"),
        ("synthetic_cifar100", ["top4"], "did you mean 'top5'"),
    ],
)
def test_metrics_that_the_data_cannot_have_are_refused(name, metrics, part):
    with pytest.raises(InputError, match=part):
        parse_trial({"data": {"name": name}, "metrics": metrics})


def test_the_superclasses_are_those_of_the_data():
    data = load_split(small_trial(data=DATA).data, device="cpu")
    assert data.coarse_of_class is not None
    assert data.coarse_of_class.bincount().tolist() == [5] * 20
