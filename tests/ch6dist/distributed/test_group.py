"""Two real processes over gloo against one: the same training to rounding, in fp64."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys

import pytest
import torch
import yaml

from ch6dist.config import parse_trial
from ch6dist.distributed.group import Group, from_environment
from ch6dist.runs.columns import VOLATILE_COLUMNS
from ch6dist.runs.ledger import read
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from tests.support.paths import ROOT
from tests.support.trials import DATA, PROCESSES, Seen, files_in, saved_weights, small_trial

torch.set_num_threads(1)

# 33 = 16 + 17 rows; the last batch of an epoch has one row (0 + 1) or three
UNEVEN = [{"train_size": 133, "batch_size": 33, "val_size": 51}, {"train_size": 135, "batch_size": 33, "val_size": 51}]
MODELS = ["lenet5", {"name": "cnn2", "dropout": 0.4}]
MOMENTUM = {"optimizer": {"name": "SGD", "lr": 0.05, "momentum": 0.9}, "schedule": "OneCycleLR"}
TOLERANCE = 1e-9


def trials():
    """Ten epochs of five steps."""
    small = {"epochs": 10, "precision": "fp64", **MOMENTUM}
    return [small_trial(model=model, data=data, **small) for model in MODELS for data in UNEVEN]


def rank_main(rank, world_size, port, folder, trials, stop):
    """What one rank of a group does: train `trials` in turn; what it saw lands in `folder`/rank.pickle."""
    variables = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": world_size,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ |= {key: str(value) for key, value in variables.items()}
    torch.set_num_threads(1)
    results = []
    with from_environment() as group:
        assert (group.rank, group.world_size) == (rank, world_size)
        for trial in trials:
            seen, store = Seen(stop=stop), Checkpoints(folder / f"checkpoints-{rank}")
            statuses = train([trial], report=seen, checkpoints=store, device="cpu", group=group)
            results.append((seen.lines, statuses))
    (folder / f"{rank}.pickle").write_bytes(pickle.dumps(results))


def train_in(world_size, folder, trials, stop=None):
    """[rank][trial]: lines seen and statuses."""
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        PROCESSES.Process(target=rank_main, args=(rank, world_size, port, folder, trials, stop or {}))
        for rank in range(world_size)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    assert [process.exitcode for process in ranks] == [0] * world_size
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(world_size)]


def compared(lines):
    skip = VOLATILE_COLUMNS | {"workers"}
    return [{k: v for k, v in line.items() if k not in skip} for line in lines if line["kind"] == "row"]


def assert_close(one, two):
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            close = a[name] == b[name] if isinstance(a[name], str) else a[name] == pytest.approx(b[name], abs=TOLERANCE)
            assert close, f"{name}: {a[name]} and {b[name]}"


@pytest.fixture(scope="module")
def one_and_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    return folder, train_in(1, folder / "one", trials()), train_in(2, folder / "two", trials())


@pytest.mark.parametrize("number", range(len(MODELS) * len(UNEVEN)))
def test_two_processes_train_as_one_does(one_and_two, number):
    folder, one, two = one_and_two
    trial = trials()[number]
    lines, statuses = one[0][number]
    assert len(compared(lines)) == 10
    assert compared(lines)[-1]["step"] == 50
    assert_close(compared(lines), compared(two[0][number][0]))
    assert statuses == two[0][number][1] == two[1][number][1]
    for name in ("last", "best"):
        a = saved_weights(Checkpoints(folder / "one" / "checkpoints-0"), trial, name)
        b = saved_weights(Checkpoints(folder / "two" / "checkpoints-0"), trial, name)
        assert a.keys() == b.keys()
        assert max((a[key] - b[key]).abs().max().item() for key in a) < TOLERANCE


def test_rank_0_alone_writes_and_reports(one_and_two):
    folder, _, two = one_and_two
    assert len(files_in(folder / "two" / "checkpoints-0")) == 2 * len(trials())
    assert not (folder / "two" / "checkpoints-1").exists()
    assert [lines for lines, _ in two[1]] == [[]] * len(trials())


def test_an_order_to_rank_0_stops_every_rank(tmp_path):
    trial = trials()[0]
    found = train_in(2, tmp_path / "two", [trial], stop={trial.trial_id: 2})
    assert [statuses for _, statuses in (rank[0] for rank in found)] == [{trial.trial_id: "stopped"}] * 2
    assert Checkpoints(tmp_path / "two" / "checkpoints-0").load(trial.trial_id, "last")["epoch"] == 2


def test_two_processes_resume_where_one_stopped(one_and_two, tmp_path):
    _, one, _ = one_and_two
    trial = trials()[2]
    before = train_in(1, tmp_path / "run", [trial], stop={trial.trial_id: 4})
    after = train_in(2, tmp_path / "run", [trial])
    assert_close(compared(one[0][2][0]), compared(before[0][0][0]) + compared(after[0][0][0]))


def test_divergence_is_the_same_on_every_rank(tmp_path):
    trial = small_trial(optimizer={"name": "SGD", "lr": 1e30}, data=UNEVEN[0])
    found = train_in(2, tmp_path / "two", [trial])
    assert [statuses for _, statuses in (rank[0] for rank in found)] == [{trial.trial_id: "diverged"}] * 2


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 64])
@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (0, 33), (66, 99), (128, 208)])
def test_shares_cover_a_batch_once_in_order_and_evenly(world_size, start, stop):
    shares = [Group(rank, world_size).share(start, stop) for rank in range(world_size)]
    rows = [row for low, high in shares for row in range(low, high)]
    assert rows == list(range(start, stop))
    sizes = {high - low for low, high in shares}
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.slow
def test_torchrun_trains_as_one_process_does(tmp_path):
    content = {"data": DATA, "model": "lenet5", "epochs": 3, "precision": "fp64", "evaluate_test": True, **MOMENTUM}
    file = tmp_path / "trial.yaml"
    file.write_text(yaml.safe_dump(content))
    python, train_it = [sys.executable, "-m"], ["ch6dist", "train", str(file), "--run"]
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    for arguments in ([*python, *train_it, tmp_path / "one"], [*python, *launcher, *train_it, tmp_path / "two"]):
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    trial = parse_trial(content).trial_id
    assert one.status(trial) == two.status(trial) == "finished"
    assert [one.history[trial][0]["workers"], two.history[trial][0]["workers"]] == [1, 2]
    assert_close(compared(one.rows), compared(two.rows))
    assert len(one.rows) == 3
    assert two.rows[-1]["test_accuracy"] is not None
