"""What a search was told as a journal file of Optuna, which optuna-dashboard opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from ch6dist.storage.atomic import replace_file
from sweeps.search.model_based import Told
from sweeps.search.optuna_space import Space, finite, is_finite, new_study, quiet
from sweeps.spec.sweep_file import SweepSpec


def write_journal(path: Path, spec: SweepSpec, told: Sequence[Told]) -> None:
    """Write the journal as model_based.write_journal says."""
    with quiet():
        lines = Lines()
        study = new_study(spec, storage=JournalStorage(lines))
        space = Space(spec, named=True)
        study.add_trials(_shown(space, one) for one in told if space.holds(one.point))
        replace_file(path, lines.text())


class Lines(BaseJournalBackend):
    """The lines of a journal, in memory: a file would be synced after each of them."""

    def __init__(self) -> None:
        """Begin without a line."""
        self.lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the lines from a number on."""
        return self.lines[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines."""
        self.lines += logs

    def text(self) -> str:
        """Return the file: with one name for all writers, so that the lines of a longer one begin with the same."""
        return "".join(f"{json.dumps({**line, 'worker_id': 'ch6dist'})}\n" for line in self.lines)


def _shown(space: Space, one: Told) -> FrozenTrial:
    """Return a point as a trial for people."""
    finished = one.state == "finished" and is_finite(one.value)
    state = TrialState.COMPLETE if finished else TrialState.PRUNED if one.state == "stopped" else TrialState.FAIL
    trial = create_trial(
        state=state,
        value=one.value if finished else None,
        intermediate_values=finite(one.values),
        user_attrs={"name": one.name, "state": one.state},
        **space.parameters(one.point),
    )
    trial.datetime_start, trial.datetime_complete = (datetime.fromtimestamp(at, tz=UTC) for at in one.span)
    return trial
