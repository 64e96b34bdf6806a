"""Which checkpoints stay. The ledger says the truth about every file, and unfinished trials lose none."""

from __future__ import annotations

import itertools
import shutil

import pytest
import torch

from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.errors import InputError
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import sweep_line, sweep_of_one, trial_line
from ch6dist.runs.ranking import rank
from ch6dist.runs.schema import ENDED
from ch6dist.runs.writer import Writer
from ch6dist.storage.files import LocalFolder
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train
from sweeps.plan.disk import bytes_for_ended_trials, running_bytes, total_bytes
from sweeps.record.retention import Retention
from sweeps.record.uploader import NoUploader
from tests.support.trials import files_in, small_trial

torch.set_num_threads(1)
BOTH = ("last", "best")
SIZE = 1000  # of each file


class Run:
    """A run folder whose trials end when a test says so, each leaving a `last` and a `best` of 1000 bytes."""

    def __init__(self, folder, *, seeds=1, count=6):
        self.folder, self.checkpoints = folder, LocalFolder(folder / "checkpoints")
        lrs = [0.1 / 2**n for n in range(count)]
        trials = [small_trial(optimizer={"name": "SGD", "lr": lr}, seed=s) for lr in lrs for s in range(seeds)]
        self.trials = [trial.trial_id for trial in trials]
        self.write([sweep_line(sweep_of_one("one", trials)), *map(trial_line, trials)])

    def write(self, lines):
        with Writer(self.folder) as writer:
            writer.append(lines)

    def retention(self, *, keep=BOTH, ended_limit_bytes=None):
        uploader = NoUploader(self.folder)
        options = {
            "keep": keep,
            "ended_limit_bytes": ended_limit_bytes,
            "write": self.write,
            "remove": uploader.remove,
        }
        return Retention(self.checkpoints, read(self.folder), **options)

    def lines(self, trial, accuracy, *, status="finished", artifacts=True, attempt=1):
        where = {"trial": trial, "attempt": attempt}
        for name in BOTH:
            self.checkpoints.write(self.file(trial, name, attempt), b"x" * SIZE)
        rows = [
            {"kind": "row", **where, "epoch": e, "step": 4 * e, "val_accuracy": accuracy, "val_loss": accuracy}
            for e in (1, 2, 3)
        ]
        made = [
            {
                "kind": "artifact",
                **where,
                "name": n,
                "path": f"checkpoints/{self.file(trial, n, attempt)}",
                "bytes": SIZE,
            }
            for n in BOTH
        ]
        return [*rows, *(made if artifacts else []), {"kind": "status", **where, "status": status, "epoch": 3}]

    def end(self, retention, trial, accuracy, **how):
        lines = self.lines(trial, accuracy, **how)
        self.write(lines)
        retention.take(lines)

    @staticmethod
    def file(trial, name, attempt=1):
        return f"{trial}/{name}.pt" if attempt == 1 else f"{trial}/attempt-{attempt}/{name}.pt"

    def holders(self):
        """Trials that still have a file."""
        return {name.partition("/")[0] for name in self.checkpoints.sizes()}

    def check(self):
        """What the ledger says of files is so."""
        ledger, there = read(self.folder), files_in(self.folder)
        named = {line["path"] for line in ledger.artifacts.values() if line["path"]}
        assert named <= set(there), "a file that the ledger names is missing"
        ended = {trial for trial in ledger.trials if ledger.status(trial) in ENDED}
        assert {name for name in there if name.split("/")[1] in ended} <= named, "a file nobody knows of"


@pytest.mark.parametrize("keep", [keep for n in range(3) for keep in itertools.combinations(BOTH, n)])
def test_an_ended_trial_keeps_the_files_named_by_keep(tmp_path, keep):
    run = Run(tmp_path)
    retention = run.retention(keep=keep)
    run.checkpoints.write(run.file(run.trials[1], "last"), b"x")  # runs
    run.end(retention, run.trials[0], 0.5)
    assert set(run.checkpoints.sizes()) == {run.file(run.trials[0], n) for n in keep} | {
        run.file(run.trials[1], "last")
    }
    run.check()
    for name in set(BOTH) - set(keep):
        line = read(tmp_path).artifacts[run.trials[0], name]
        assert (line["path"], line["reason"]) == (None, "removed by checkpoints.keep")


@pytest.mark.parametrize("limit", [None, 0])
def test_a_capture_is_no_checkpoint_and_stays_whatever_they_are_limited_to(tmp_path, limit):
    run = Run(tmp_path)
    captures = LocalFolder(tmp_path / "captures")
    captures.write(f"{run.trials[0]}/epoch-000001.npz", b"x" * SIZE)
    line = {"kind": "artifact", "trial": run.trials[0], "attempt": 1, "name": "captures", "epoch": 1}
    line |= {"path": f"captures/{run.trials[0]}", "bytes": SIZE}
    for _ in range(2):  # again, as by a driver that resumes
        retention = run.retention(keep=(), ended_limit_bytes=limit)
        lines = [line, *run.lines(run.trials[0], 0.5)]
        run.write(lines)
        retention.take(lines)
        assert retention.used_bytes == 0
    assert list(captures.sizes()) == [f"{run.trials[0]}/epoch-000001.npz"]
    assert read(tmp_path).artifacts[run.trials[0], "captures"]["path"] == line["path"]
    assert run.checkpoints.sizes() == {}


@pytest.mark.parametrize("status", sorted(ENDED))
def test_files_of_a_failed_trial_are_removed_too(tmp_path, status):
    run = Run(tmp_path)
    run.end(run.retention(keep=()), run.trials[0], 0.5, status=status, artifacts=False)
    assert run.checkpoints.sizes() == {}


def test_the_worst_are_removed_first_and_the_best_configuration_last(tmp_path):
    run = Run(tmp_path, seeds=2)
    retention = run.retention(ended_limit_bytes=4 * 2 * SIZE)  # four trials
    accuracies = {trial: (0.3, 0.6, 0.1, 0.5, 0.2, 0.4)[number // 2] for number, trial in enumerate(run.trials)}
    before: set[str] = set()
    for number, (trial, accuracy) in enumerate(accuracies.items()):
        run.end(retention, trial, accuracy)
        left = run.holders()
        gone = (before | {trial}) - left
        assert not gone or number >= 4, "four fit"
        assert not gone or max(accuracies[t] for t in gone) <= min(accuracies[t] for t in left)
        assert sum(run.checkpoints.sizes().values()) <= 4 * 2 * SIZE
        run.check()
        before = left
    best = rank(read(tmp_path))[0]
    assert set(best.trials) == {t for t, accuracy in accuracies.items() if accuracy == 0.6} <= before


def test_a_configuration_with_a_running_seed_is_ranked_by_its_ended_seeds(tmp_path):
    run = Run(tmp_path, seeds=2, count=3)
    retention = run.retention(ended_limit_bytes=2 * 2 * SIZE)
    for trial, accuracy in [(run.trials[0], 0.9), (run.trials[2], 0.1), (run.trials[4], 0.5)]:
        run.end(retention, trial, accuracy)  # of two seeds each, one runs
    assert run.trials[0] in run.holders()
    assert run.trials[2] not in run.holders()


def test_unfinished_trials_keep_their_files_however_full_the_disk_is(tmp_path):
    run = Run(tmp_path)
    running = run.trials[5]
    for name in BOTH:
        run.checkpoints.write(run.file(running, name), b"x" * 100 * SIZE)
    retention = run.retention(ended_limit_bytes=0)
    for trial in run.trials[:5]:
        run.end(retention, trial, 0.5)
    assert run.holders() == {running}
    run.check()


def test_a_diverged_trial_is_removed_before_every_finished_one(tmp_path):
    run = Run(tmp_path)
    retention = run.retention(ended_limit_bytes=2 * 2 * SIZE)
    run.end(retention, run.trials[0], 0.9, status="diverged", artifacts=False)
    run.end(retention, run.trials[1], 0.1)
    run.end(retention, run.trials[2], 0.2)
    assert run.trials[0] not in run.holders()
    assert run.trials[2] in run.holders()


def test_a_loss_is_ranked_as_a_loss(tmp_path):
    run = Run(tmp_path)
    content = sweep_of_one("one", [small_trial()]) | {"metric": {"name": "val_loss"}}
    run.write([sweep_line(content)])
    retention = run.retention(ended_limit_bytes=2 * SIZE)
    run.end(retention, run.trials[0], 0.1)
    run.end(retention, run.trials[1], 0.9)
    assert run.trials[1] not in run.holders()


def test_a_resumed_run_counts_its_files_and_removes_what_a_crash_left_behind(tmp_path):
    run = Run(tmp_path)
    first = run.retention()
    for number in range(3):
        run.end(first, run.trials[number], 0.1 * number)
    gone = {"kind": "artifact", "trial": run.trials[0], "attempt": 1, "name": "last", "path": None}
    run.write([gone])  # the driver died between this line and the removal
    again = run.retention(ended_limit_bytes=100 * SIZE)
    assert again.used_bytes == 6 * SIZE
    tight = run.retention(ended_limit_bytes=5 * SIZE)
    assert run.file(run.trials[0], "last") not in run.checkpoints.sizes(), "what the ledger calls gone goes first"
    assert tight.used_bytes == sum(run.checkpoints.sizes().values()) <= 5 * SIZE
    run.check()


def test_files_of_an_older_attempt_are_removed_first(tmp_path):
    run = Run(tmp_path)
    run.end(run.retention(), run.trials[0], 0.1)
    run.write([{"kind": "status", "trial": run.trials[0], "attempt": 2, "status": "planned"}])
    retention = run.retention(ended_limit_bytes=3 * SIZE)
    run.end(retention, run.trials[0], 0.2, attempt=2)
    assert set(run.checkpoints.sizes()) == {run.file(run.trials[0], n, 2) for n in BOTH}
    run.check()


def test_lines_beside_checkpoints_are_removed_with_the_trial(tmp_path):
    run = Run(tmp_path)
    retention = run.retention()
    run.checkpoints.write(f"{run.trials[0]}/lines.jsonl", b"{}")
    run.checkpoints.write(f"{run.trials[1]}/lines.jsonl", b"{}")
    run.end(retention, run.trials[0], 0.1)
    assert [name for name in run.checkpoints.sizes() if "lines" in name] == [f"{run.trials[1]}/lines.jsonl"]


@pytest.mark.slow
def test_ten_thousand_trials_are_listed_once_and_ranked_rarely(tmp_path, monkeypatch):
    run = Run(tmp_path, count=1)
    calls = {"sizes": 0, "rank": 0}

    def counted(name, function):
        def called(*args, **kwargs):
            calls[name] += 1
            return function(*args, **kwargs)

        return called

    monkeypatch.setattr(LocalFolder, "sizes", counted("sizes", LocalFolder.sizes))
    monkeypatch.setattr("sweeps.record.retention.rank", counted("rank", rank))
    line = read(tmp_path).trials[run.trials[0]]
    names = [f"t{number}" for number in range(10_000)]
    with Writer(tmp_path) as writer:
        writer.append([line | {"trial": name, "configuration": name} for name in names])
    written: list = []
    options = {
        "keep": BOTH,
        "ended_limit_bytes": 1000 * 2 * SIZE,
        "write": written.extend,
        "remove": lambda names: None,
    }
    retention = Retention(run.checkpoints, read(tmp_path), **options)
    monkeypatch.setattr(run.checkpoints, "write", lambda *args: None)
    for number, name in enumerate(names):
        retention.take(run.lines(name, number % 97 / 100))
    assert retention.used_bytes <= 1000 * 2 * SIZE
    assert calls["sizes"] == 1
    assert calls["rank"] <= 1 + 9000 / 100, "a tenth of the bytes is freed each time"
    assert len(written) == 2 * (10_000 - retention.used_bytes / (2 * SIZE))


# What fits


def test_a_launch_whose_running_trials_do_not_fit_is_refused_in_one_line():
    trials = [small_trial(seed=seed) for seed in range(4)]
    packs, each = [trials[:1], trials[1:3], trials[3:]], running_bytes(trials[0])
    assert bytes_for_ended_trials(10 * each, packs, at_once=2) == 7 * each, (
        "the largest two: a pack of two and one of one"
    )
    assert bytes_for_ended_trials(None, packs, at_once=2) is None
    assert bytes_for_ended_trials(3 * each, packs, at_once=2) == 0
    with pytest.raises(InputError, match=r"checkpoints\.total: .* or more") as refused:
        bytes_for_ended_trials(3 * each - 1, packs, at_once=2)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_running_trial_takes_no_more_than_is_set_aside_for_it(tmp_path, model, optimizer):
    data = {"name": "synthetic_cifar100", "train_size": 8, "val_size": 4, "batch_size": 4}
    if MODELS[model].size.parameter_count > 1_000_000 and optimizer not in ("SGD", "Adam"):
        pytest.skip("large, and its state has the size of Adam's")
    trial = small_trial(model=model, optimizer={"name": optimizer, "lr": 1e-4}, epochs=1, data=data)
    store = Checkpoints(tmp_path)
    train([trial], checkpoints=store, threads=1)
    last, best = (store.size(trial.trial_id, name) for name in BOTH)
    assert 2 * last + best <= running_bytes(trial)


def test_auto_is_half_of_the_free_bytes_and_the_same_when_a_run_resumes(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    assert total_bytes("auto", str(tmp_path / "not" / "there")) == 500_000
    LocalFolder(tmp_path).write("a/last.pt", b"x" * 200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=800_000))
    assert total_bytes("auto", str(tmp_path)) == 500_000
    assert total_bytes("auto", "s3://bucket/one/checkpoints") is None
    assert total_bytes(7, "s3://bucket/one/checkpoints") == 7


def test_a_trial_that_repeated_epochs_after_a_failure_keeps_its_rank():
    """Its rows are counted once: else the best trial would have no score, and go first."""
    kept = Retention.__new__(Retention)
    kept.rows = {}
    for epoch in (1, 2, 3, 4, 3, 4, 5):
        kept._keep_row({"trial": "a", "attempt": 1, "epoch": epoch, "step": 10 * epoch})
    assert [row["epoch"] for row in kept.rows["a"]] == [1, 2, 3, 4, 5]
    kept._keep_row({"trial": "a", "attempt": 2, "epoch": 1, "step": 10})
    assert [row["attempt"] for row in kept.rows["a"]] == [2]


def test_what_was_confirmed_keeps_the_checkpoints_of_all_its_seeds_longest(tmp_path):
    run = Run(tmp_path, count=4)
    retention = run.retention()
    for trial, accuracy in zip(run.trials, (0.5, 0.6, 0.4, 0.3), strict=True):
        run.end(retention, trial, accuracy)
    fresh = small_trial(optimizer={"name": "SGD", "lr": 0.1}, seed=5)
    run.write([{**trial_line(fresh), "confirms": "set", "confirmation": 1}])
    retention = run.retention(ended_limit_bytes=7 * SIZE)
    run.end(retention, fresh.trial_id, 0.45)
    assert run.holders() == {run.trials[0], run.trials[1], fresh.trial_id}, "ranked first, though its score is lower"
    run.check()
    retention = run.retention(ended_limit_bytes=5 * SIZE)
    assert run.holders() == {run.trials[0], fresh.trial_id}
    run.check()
