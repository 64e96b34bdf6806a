"""Checkpoints: one file per trial and attempt, replaced atomically, loaded as data (never as code).

    store = Checkpoints(run / "checkpoints")  # or s3://bucket/prefix/NAME/checkpoints
    store.save(trial_id, "last", state)
    state = store.load(trial_id, "last")      # None when there is none

`last` is what a resume starts from; `best` holds the weights of the best validation accuracy; `epoch-…` is where other
trials branch off: `last` and `best` in one file, as they were at the end of that epoch.

In an object store `lines.jsonl` lies beside them: what the trial has reported up to `last`, written before it. The
driver's ledger reaches the store some seconds later; when the driver is lost before that, a resume takes from there
what its ledger lacks, and no checkpoint is ever ahead of the rows (runs/write_ahead.py).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from ch6dist.branches import Branch
from ch6dist.errors import UsageError
from ch6dist.runs.names import LINES, checkpoint_name, epoch_checkpoint
from ch6dist.runs.schema import ENDED, FORMAT, Line, check_format
from ch6dist.runs.write_ahead import decode_lines, encode_lines
from ch6dist.storage.files import Folder, is_remote, open_folder

PATIENCE_SECONDS = 120.0  # retries of an object store that does not answer; then the pack fails
RETRY_SECONDS = 2.0
Answer = TypeVar("Answer")


class Checkpoints:
    """The checkpoints of a run, at a path or a URL.

    `attempts`: which of a trial's is meant, now and for trials that are added to it later; left out: the first.
    """

    def __init__(self, root: Path | str, attempts: Mapping[str, int] | None = None) -> None:
        self.root, self.attempts = Path(root), {} if attempts is None else attempts
        self.folder: Folder = open_folder(root)
        self.remote = is_remote(root)
        self.reported: dict[str, list[Line]] = {}  # by trial: what an object store keeps beside `last`

    def name(self, trial: str, name: str) -> str:
        """Return where checkpoint `name` (last, best or an epoch's) of a trial's attempt lies in the run folder."""
        return f"checkpoints/{self._name(trial, name)}"

    def path(self, trial: str, name: str) -> Path:
        """Return the file of a checkpoint, where they are files; it need not be there."""
        return self.root / self._name(trial, name)

    def size(self, trial: str, name: str) -> int | None:
        """Return the bytes of a checkpoint; None when there is none."""
        return self._retried(lambda: self.folder.size(self._name(trial, name)))

    def save(self, trial: str, name: str, state: Mapping[str, Any]) -> None:
        """Replace a checkpoint: whoever reads sees the old one or the new one, whole."""
        content = io.BytesIO()  # torch.save to a file on a full disk would hide the OSError behind an error of its own
        torch.save({"format": FORMAT, **state}, content)
        if name == "last" and self.reported.get(trial):
            self._write(self._name(trial, LINES), encode_lines(self.reported[trial]))
        self._write(self._name(trial, name), content.getbuffer())

    def load(self, trial: str, name: str, *, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """Return the state, tensors on `device`; None when there is none. UsageError for a file that cannot be read."""
        state = self._load(trial, name, attempt=self.attempts.get(trial, 1), device=device)
        if state is not None and name == "last" and self.remote:
            self._keep_reported(trial)
        return state

    def load_branch(self, branch: Branch) -> dict[str, Any] | None:
        """Return the state of another trial at the end of an epoch, with its `best` by then; None when there is none.

        Where the epoch was not kept, the other's `last` will do, if that is as far.
        """
        read = partial(self._load, branch.trial, attempt=branch.attempt, device="cpu")
        state = read(epoch_checkpoint(branch.epoch))
        if state is None and (state := read("last")):
            state["best"] = best = read("best")
            if best and best["epoch"] > state["epoch"]:  # written just before a kill
                return None
        if state is None or state["epoch"] != branch.epoch or len(state.get("metrics", ())) != branch.epoch:
            return None  # an older `last`, or one of a run made before metrics were kept
        return state

    def _load(self, trial: str, name: str, *, attempt: int, device: torch.device | str) -> dict[str, Any] | None:
        file = checkpoint_name(trial, name, attempt=attempt)
        content = self._retried(lambda: self.folder.read(file))
        if content is None:
            return None
        where = f"{self.folder}/{file}"
        try:
            state = dict(torch.load(io.BytesIO(content), map_location=device, weights_only=True))
        except Exception as error:  # torch raises many kinds for a damaged file
            hint = "`sweeps rerun` trains the trial from scratch"
            raise UsageError(f"{where} is no readable checkpoint ({type(error).__name__})", hint) from error
        check_format(state.get("format", 0), where)
        if state.get("trial", trial) != trial:
            raise UsageError(f"{where} is a checkpoint of {state['trial']}, not of {trial}")
        return state

    def discard(self, trial: str) -> None:
        """Remove what this attempt of a trial left (a range test leaves no weights behind)."""
        for name in ("last", "best", LINES):
            self._retried(lambda name=name: self.folder.remove(self._name(trial, name)))  # type: ignore[misc]

    def write_ahead(self, report: Callable[[Sequence[Line]], Answer]) -> Callable[[Sequence[Line]], Answer]:
        """Return `report`, wrapped to keep its lines for the object store; unchanged beside a ledger on disk."""
        if not self.remote:
            return report

        def keeping(lines: Sequence[Line]) -> Answer:
            """Return `report(lines)`; keep the lines for their trial's next `last`, until it has ended."""
            answer = report(lines)
            for line in lines:
                if line.get("status") in ENDED:
                    self.reported.pop(line["trial"], None)
                elif "trial" in line:  # kernel variants are in the checkpoint itself
                    self.reported.setdefault(line["trial"], []).append(line)
            return answer

        return keeping

    def _keep_reported(self, trial: str) -> None:
        """Keep what the trial reported before its `last`: the driver may never have uploaded that."""
        content = self._retried(lambda: self.folder.read(self._name(trial, LINES)))
        self.reported[trial] = decode_lines(content or b"", place=f"{self.folder}/{self._name(trial, LINES)}")

    def _name(self, trial: str, name: str) -> str:
        return checkpoint_name(trial, name, attempt=self.attempts.get(trial, 1))

    def _write(self, name: str, content: bytes | memoryview) -> None:
        self._retried(lambda: self.folder.write(name, content))

    def _retried(self, ask: Callable[[], Answer]) -> Answer:
        return retried(ask, remote=self.remote)


def retried(ask: Callable[[], Answer], *, remote: bool) -> Answer:
    """Return `ask()`; on an object store, retry after an OSError for PATIENCE_SECONDS, then raise it."""
    deadline = time.monotonic() + (PATIENCE_SECONDS if remote else 0.0)
    while True:
        try:
            return ask()
        except OSError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)
