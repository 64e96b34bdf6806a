"""The names in a run folder, and in its copy in an object store.

sweep.yaml              the sweep as resolved
ledger/000001.jsonl     the record (ledger.py)
checkpoints/TRIAL/      last.pt, best.pt; epoch-000009.pt where other trials branch off
captures/TRIAL/         epoch-000001.npz and on: what was captured of its training (captures.py)
code/HASH/              the user's own files of that hash, from which trials of it are made (own_code.py)
lease.json              who writes now (lease.py)
pace.json               how far running trials are within their epochs (sweeps/record/pace_file.py)
requests/               what `sweeps stop` asks of the driver
report/                 what `analysis report` writes
"""

from __future__ import annotations

SWEEP_FILE = "sweep.yaml"
LEDGER = "ledger"
SEGMENTS = "[0-9]*.jsonl"  # pattern of the ledger's files
CHECKPOINTS = "checkpoints"
CAPTURES = "captures"
CODE = "code"
LEASE = "lease.json"
PACE = "pace.json"
REQUESTS = "requests"
REPORT = "report"
LINES = "lines"  # lines.jsonl beside a checkpoint in an object store (write_ahead.py)
EPOCH = "epoch-"  # begins the names of checkpoints from which other trials branch off


def checkpoint_name(trial: str, name: str, *, attempt: int = 1) -> str:
    """Return where checkpoint `name` (last, best, an epoch's, or LINES) of a trial's attempt lies below CHECKPOINTS."""
    return f"{_home(trial, attempt)}/{name}.{'jsonl' if name == LINES else 'pt'}"


def epoch_checkpoint(epoch: int) -> str:
    """Return the name of the checkpoint of an epoch (from 1), from which other trials branch off."""
    return f"{EPOCH}{epoch:06d}"


def capture_name(trial: str, epoch: int, *, attempt: int = 1) -> str:
    """Return where what was captured in an epoch (from 1) of a trial's attempt lies below CAPTURES."""
    return f"{captures_of(trial, attempt=attempt)}/epoch-{epoch:06d}.npz"


def captures_of(trial: str, *, attempt: int = 1) -> str:
    """Return the folder below CAPTURES of what was captured in a trial's attempt."""
    return _home(trial, attempt)


def _home(trial: str, attempt: int) -> str:
    return trial if attempt == 1 else f"{trial}/attempt-{attempt}"
