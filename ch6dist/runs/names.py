"""The names in a run folder, and in its copy in an object store.

sweep.yaml              the sweep as resolved
ledger/000001.jsonl     the record (ledger.py)
checkpoints/TRIAL/      last.pt, best.pt
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
LEASE = "lease.json"
PACE = "pace.json"
REQUESTS = "requests"
REPORT = "report"
LINES = "lines"  # lines.jsonl beside a checkpoint in an object store (write_ahead.py)


def checkpoint_name(trial: str, name: str, *, attempt: int = 1) -> str:
    """Return where checkpoint `name` (last, best, or LINES) of a trial's attempt lies below CHECKPOINTS."""
    home = trial if attempt == 1 else f"{trial}/attempt-{attempt}"
    return f"{home}/{name}.{'jsonl' if name == LINES else 'pt'}"
