"""What trials capture, as it is kept: a file per trial, attempt and epoch, replaced atomically.

store = Captures(run / "captures")      # or s3://bucket/prefix/NAME/captures
store.save(trial_id, captured, epoch=3, workers=1)

ch6dist/runs/captures.py says what is in a file, and reads all of a trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ch6dist.runs.captures import Captured, encode_captured
from ch6dist.runs.names import CAPTURES, capture_name, captures_of
from ch6dist.storage.files import Folder, is_remote, open_folder
from ch6dist.training.checkpoint import retried


class Captures:
    """The captures of a run, at a path or a URL. `attempts`: as for Checkpoints."""

    def __init__(self, root: Path | str, attempts: Mapping[str, int] | None = None) -> None:
        self.attempts = {} if attempts is None else attempts
        self.folder: Folder = open_folder(root)
        self.remote = is_remote(root)

    def name(self, trial: str) -> str:
        """Return where the files of a trial's attempt lie in the run folder."""
        return f"{CAPTURES}/{captures_of(trial, attempt=self.attempts.get(trial, 1))}"

    def save(self, trial: str, captured: Captured, *, epoch: int, workers: int) -> None:
        """Write what was captured in an epoch (from 1); whoever reads sees all of it. OSError where it cannot."""
        attempt = self.attempts.get(trial, 1)
        about = {"trial": trial, "attempt": attempt, "epoch": epoch, "workers": workers}
        content = encode_captured(captured, about=about)
        name = capture_name(trial, epoch, attempt=attempt)
        retried(lambda: self.folder.write(name, content), remote=self.remote)

    def size(self, trial: str, *, epochs: int) -> int:
        """Return the bytes of what was captured in the first `epochs` of a trial's attempt."""
        attempt = self.attempts.get(trial, 1)
        there = retried(lambda: self.folder.sizes(trial), remote=self.remote)
        return sum(there.get(capture_name(trial, epoch, attempt=attempt), 0) for epoch in range(1, epochs + 1))
