"""Try optimizers of libraries as a sweep would: describe, train a small network, stop it, resume it, compare.

    for row in tried_all(names()):      # each in a process of its own: one that crashes or hangs ends no other
        row.resumes                     # whether the resumed training ended in the same bits

The small network is LeNet-5 on synthetic digits: convolutions, matrices and biases, so that optimizers of matrices are
really tried.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from ch6dist.catalog.described import Description, allow, keep
from ch6dist.catalog.lookup import family_in, optimizer_of
from ch6dist.catalog.optimizers import OptimizerEntry
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.objects.describe import answered, described_as_data
from ch6dist.objects.find import find, why
from ch6dist.objects.try_optimizer import needed
from ch6dist.packs import Orders
from ch6dist.runs.schema import Line
from ch6dist.training.checkpoint import Checkpoints
from ch6dist.training.loop import train

LIBRARIES = ("timm", "pytorch_optimizer", "schedulefree")
SCHEDULE_FREE = ("AdamWScheduleFree", "RAdamScheduleFree", "SGDScheduleFree")  # those for any place, without closures
DATA = {"name": "synthetic_mnist", "train_size": 300, "val_size": 60, "batch_size": 20}  # 15 steps an epoch
EPOCHS = 3
SMALLER = (1e-3, 1e-5)  # learning rates that are tried where the default diverges
LIMIT_SECONDS = 120.0
PRELOADED = ["ch6dist.training.loop", "timm.optim", "pytorch_optimizer", "schedulefree"]  # what is missing is left out
PROCESSES = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Tried:
    """What came of one optimizer."""

    name: str
    refused: str = ""  # why; empty where it trains
    given: Mapping[str, Any] = field(default_factory=dict)  # what a file has to give besides the name
    resumes: bool = False  # the resumed training has ended in the same bits
    said: bool = False  # its description says that it does
    needs: tuple[str, ...] = ()  # of the loop
    state_tensors: int = 0
    family: str | None = None  # whose lanes fuse
    losses: tuple[float, ...] = ()  # of each epoch; not on the page


def names(library: str) -> list[str]:
    """Return what a library lists, as a sweep file has the names. ImportError where it is not installed."""
    module = import_module({"timm": "timm.optim"}.get(library, library))
    if library == "schedulefree":
        return [f"schedulefree:{name}" for name in SCHEDULE_FREE if hasattr(module, name)]
    listed = module.list_optimizers() if library == "timm" else module.get_supported_optimizers()
    return [f"{library}/{name}" for name in sorted(listed)]


def tried_all(listed: Iterable[str]) -> Iterator[Tried]:
    """Try optimizers one after another, each in a process of its own with a time limit."""
    PROCESSES.set_forkserver_preload(PRELOADED)  # a process forked from one that has them starts at once
    for name in listed:
        yield _in_process(name)


def _in_process(name: str) -> Tried:
    answers, answer = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_answer, args=(name, answer))
    process.start()
    answer.close()
    try:
        if not answers.poll(LIMIT_SECONDS):
            return Tried(name, f"it takes more than {LIMIT_SECONDS:.0f} s for a few steps")
        found: Tried = answers.recv()
        return found
    except EOFError:
        process.join()
        return Tried(name, f"its process ended with status {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _answer(name: str, answer: Connection) -> None:
    torch.set_num_threads(1)
    answer.send(tried(name))


def tried(name: str) -> Tried:
    """Try one optimizer in this process."""
    described = answered(partial(described_as_data, "optimizer", name))
    if "error" in described:
        return Tried(name, described["error"])
    found = Description.from_data(described)
    keep(found)
    allow([found], {})
    given = needed(find("optimizer", name))
    for more in ({}, *({"lr": lr} for lr in SMALLER)):  # where its default diverges
        try:
            row = _trained(name, {**given, **more})
        except InputError as error:
            return Tried(name, str(error))
        except Exception as error:
            return Tried(name, f"described, but its training fails: {why(error)}")
        if not row.refused:
            break
    return row


def _trained(name: str, given: Mapping[str, Any]) -> Tried:
    trial = parse_trial(
        {"data": DATA, "model": "lenet5", "epochs": EPOCHS, "optimizer": {"name": name, **given}, "seed": 1}
    )
    with tempfile.TemporaryDirectory() as folder:
        return _resumed(trial, given, Path(folder))


def _resumed(trial: TrialConfig, given: Mapping[str, Any], folder: Path) -> Tried:
    """Train a trial, and once more with a stop after the first epoch."""
    rows: list[Line] = []
    whole, stopped = Checkpoints(folder / "whole"), Checkpoints(folder / "stopped")
    reason = ""

    def keep_rows(lines: Sequence[Line]) -> Orders:
        """Keep rows; and the reason of an end."""
        nonlocal reason
        rows.extend(line for line in lines if line["kind"] == "row")
        reason = next((line["reason"] for line in lines if line.get("reason")), reason)
        return Orders()

    statuses = train([trial], checkpoints=whole, report=keep_rows, device="cpu")
    name, entry = trial.optimizer["name"], optimizer_of(trial.optimizer)
    losses = tuple(row["train_loss"] for row in rows)
    if statuses[trial.trial_id] != "finished":
        return Tried(name, f"described, but its training ends: {reason}", losses=losses)
    train([trial], checkpoints=stopped, report=_halt, device="cpu")
    train([trial], checkpoints=stopped, device="cpu")
    return Tried(
        name,
        given=given,
        resumes=_equal(*(store.load(trial.trial_id, "last") for store in (whole, stopped))),
        said=entry.resumes,
        needs=tuple(_needs(entry)),
        state_tensors=entry.state_tensors,
        family=family_in(trial.optimizer)[0],
        losses=losses,
    )


def _halt(lines: Sequence[Line]) -> Orders:
    """Halt behind the first epoch."""
    return Orders(halt=any(line["kind"] == "row" for line in lines))


def _needs(entry: OptimizerEntry) -> Iterator[str]:
    """Yield what the loop gives it that a plain optimizer does not need."""
    if entry.closure:
        yield "a closure"
    if entry.second_order:
        yield "second derivatives"
    if entry.modes:
        yield "weights for evaluation"
    if entry.own_lr:
        yield "no schedule: its learning rate is its own"
    if entry.draws:
        yield "random numbers"


def _equal(first: Any, second: Any) -> bool:
    """Return whether two checkpoints have the same epoch and, bit for bit, the same weights."""
    weights = [state["lane"]["model"] for state in (first, second)]
    same = weights[0].keys() == weights[1].keys() and all(torch.equal(a, weights[1][k]) for k, a in weights[0].items())
    return bool(first["epoch"] == second["epoch"] and same)
