"""One to four processes over gloo against none: one global batch, one training run, however many share it."""

from __future__ import annotations

import socket

import pytest
import torch

from ch6dist.catalog.models import MODELS
from ch6dist.distributed.group import SOLO
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.ranks import in_ranks
from tests.support.trials import Seen, saved_weights, small_trial

torch.set_num_threads(1)
# Batches of 7, 7, 7, 7 and 1 rows: uneven over 2, 3 and 4 ranks, and the last leaves all ranks but one without any.
UNEVEN = {"train_size": 29, "batch_size": 7, "val_size": 13}
# Training amplifies rounding, the more the higher the learning rate: with these, what was measured stays below 3e-13.
TRAINED = {
    "lenet5": {"model": "lenet5", "optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9}},
    "dropout": {"model": {"name": "cnn2", "dropout": 0.4}, "optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9}},
    "conv3bn": {"model": "conv3bn", "optimizer": {"name": "SGD", "lr": 0.003, "momentum": 0.9}},
}
TOLERANCE = 1e-9


def trial_of(name, *, epochs=10, **changes):
    """Ten epochs of five steps in fp64."""
    return small_trial(**TRAINED[name], data=UNEVEN, epochs=epochs, precision="fp64", **changes)


def trained(group, folder, trials, stop=None):
    """[trial]: lines seen and statuses. Rank 0 alone has the folder with the checkpoints."""
    results = []
    for trial in trials:
        seen = Seen(stop={trial.trial_id: stop} if stop else {})
        store = Checkpoints(folder / f"checkpoints-{group.rank}")
        statuses = train([trial], report=seen, checkpoints=store, device="cpu", group=group)
        results.append((seen, statuses))
    return results


def assert_close(rows, expected, tolerance=TOLERANCE):
    assert len(rows) == len(expected)
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for key, value in other.items():
            close = row[key] == value if isinstance(value, str) else row[key] == pytest.approx(value, abs=tolerance)
            assert close, f"{key} of epoch {row['epoch']}: {row[key]} and {value}"


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n == "conv3bn" else ()) for n in TRAINED])
def test_fifty_steps_are_those_of_one_process(tmp_path, name, world_size):
    trial = trial_of(name)
    [(alone, statuses)] = trained(SOLO, tmp_path, [trial])
    ranks = in_ranks(world_size, tmp_path / "ranks", trained, [trial])
    assert alone.rows()[-1]["step"] == 50
    assert [found for [(_, found)] in ranks] == [statuses] * world_size
    assert_close(ranks[0][0][0].rows(), alone.rows())
    for kept in ("last", "best"):
        a = saved_weights(Checkpoints(tmp_path / "checkpoints-0"), trial, kept)
        b = saved_weights(Checkpoints(tmp_path / "ranks" / "checkpoints-0"), trial, kept)
        assert list(a) == list(b)  # running statistics among them
        assert max((a[key] - b[key]).abs().max().item() for key in a) < TOLERANCE


def test_augmented_and_mixed_images_are_those_of_one_process(tmp_path):
    data = {**UNEVEN, "name": "synthetic_cifar100", "augment": ["crop", "trivial", "erase", "mixup", "cutmix"]}
    trial = small_trial(**TRAINED["lenet5"], data=data, epochs=1, precision="fp64")
    [(alone, _)] = trained(SOLO, tmp_path, [trial])
    [(seen, _)] = in_ranks(3, tmp_path / "ranks", trained, [trial])[0]
    assert_close(seen.rows(), alone.rows())


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_the_first_step_in_fp32_is_that_of_one_process(tmp_path, world_size):
    one_step = {"train_size": 7, "batch_size": 7, "val_size": 13}
    trials = [small_trial(**how, data=one_step, epochs=1, precision="fp32") for how in TRAINED.values()]
    ranks = in_ranks(world_size, tmp_path / "ranks", trained, trials)
    for (together, _), (alone, _) in zip(ranks[0], trained(SOLO, tmp_path, trials), strict=True):
        assert [row["step"] for row in alone.rows()] == [1]
        assert_close(together.rows(), alone.rows(), tolerance=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_every_model_survives_an_empty_share(tmp_path, precision, tolerance):
    data = {"name": "synthetic_cifar100", "train_size": 4, "batch_size": 3, "val_size": 5}  # 3 rows, then 1
    how = {"data": data, "epochs": 1, "precision": precision, "optimizer": {"name": "SGD", "lr": 1e-3}}
    trials = [small_trial(model=name, **how) for name in MODELS]
    ranks = in_ranks(3, tmp_path / "ranks", trained, trials)
    for (together, _), (alone, _) in zip(ranks[0], trained(SOLO, tmp_path, trials), strict=True):
        # In bf16 a shared batch rounds otherwise; an accuracy would then differ by ties.
        rows, expected = (
            [{key: row[key] for key in ("trial", "epoch", "step", "train_loss", "val_loss")} for row in seen.rows()]
            for seen in (together, alone)
        )
        assert len(expected) == 1
        assert_close(rows, expected, tolerance)


@pytest.mark.parametrize("name", ["dropout", pytest.param("conv3bn", marks=pytest.mark.slow)])
def test_a_checkpoint_travels_between_world_sizes(tmp_path, name):
    trial = trial_of(name, epochs=4, schedule="OneCycleLR")
    [(alone, _)] = trained(SOLO, tmp_path, [trial])
    folder, rows = tmp_path / "ranks", []
    for epoch, world_size in enumerate([2, 3, 1, 4], start=1):
        ranks = in_ranks(world_size, folder, trained, [trial], epoch if epoch < 4 else None)
        rows += ranks[0][0][0].rows()
    assert_close(rows, alone.rows())
    # no other rank had anything to read
    assert [path.name for path in folder.glob("checkpoints-*")] == ["checkpoints-0"]


def refused(group, folder, trial):
    """The error that training raises on this rank."""

    def report(lines):
        assert not any(line["kind"] == "row" for line in lines), "the driver is gone"
        return Seen()(lines)

    store = Checkpoints(folder / f"checkpoints-{group.rank}")
    with pytest.raises(Exception, match=r"checkpoint|the driver is gone") as caught:
        train([trial], report=report, checkpoints=store, device="cpu", group=group)
    return str(caught.value)


def test_a_damaged_checkpoint_is_refused_on_every_rank(tmp_path):
    trial = trial_of("dropout")
    path = Checkpoints(tmp_path / "ranks" / "checkpoints-0").path(trial.trial_id, "last")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK but torn")
    errors = in_ranks(3, tmp_path / "ranks", refused, trial)
    assert len(errors) == 3
    assert all("checkpoint" in error and str(path) in error for error in errors)


def test_a_report_that_fails_on_rank_0_fails_on_every_rank(tmp_path):
    errors = in_ranks(3, tmp_path, refused, trial_of("dropout"))
    assert len(errors) == 3
    assert all("the driver is gone" in error for error in errors)


def test_the_opening_line_says_how_the_batch_is_shared(tmp_path):
    [(seen, _)] = in_ranks(3, tmp_path, trained, [trial_of("lenet5", epochs=1)])[0]
    line = seen.of_kind("status")[0]
    expected = {"workers": 3, "batch_size": 7, "rows_per_worker": [2, 2, 3], "host": socket.gethostname()}
    assert {key: line[key] for key in expected} == expected
    assert "notes" not in line, "nothing of the configuration is overridden"


@pytest.mark.parametrize(("change", "stop", "status"), [({}, 2, "stopped"), ({"lr": 1e30}, None, "diverged")])
def test_an_early_end_is_one_on_every_rank(tmp_path, change, stop, status):
    trial = small_trial(model="lenet5", data=UNEVEN, optimizer={"name": "SGD", "lr": 0.05, **change})
    ranks = in_ranks(4, tmp_path, trained, [trial], stop)
    assert [statuses for [(_, statuses)] in ranks] == [{trial.trial_id: status}] * 4
