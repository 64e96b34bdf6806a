"""The confirmations of a run: which trials have fresh seeds, and from when on these count.

    counted = counted_confirmations(ledger)
    fresh = [trial for trial, line in ledger.trials.items() if is_counted(line, counted)]

A confirmation trains the set of the best on seeds that took no part in the choice. It counts when all trials of the
set have ended; until then everything is ranked as before, so that nobody is first for having been trained first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import count, takewhile

from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import ENDED, TrialLine

Key = tuple[str, int]  # the name of the run, where several are pooled, and the number of the confirmation


def key_of(line: TrialLine) -> Key | None:
    """Return the confirmation that a trial belongs to; None for a trial of the sweep itself."""
    return (_run_of(line), line.get("confirmation", 1)) if "confirms" in line else None


def is_counted(line: TrialLine, counted: Collection[Key]) -> bool:
    """Return whether a trial has a fresh seed of a confirmation that counts."""
    return key_of(line) in counted


def counted_confirmations(ledger: Ledger) -> set[Key]:
    """Return the confirmations whose set has been trained: of each run the first ones, up to one that goes on.

    Of pooled runs none, unless each has one that counts: scores by which configurations were chosen are too high, and
    fresh ones beside them would always lose.
    """
    runs: dict[str, dict[int, bool]] = {}
    for trial, line in ledger.trials.items():
        if line["config"]["type"] == "train":
            ended = runs.setdefault(_run_of(line), {})
            if line.get("confirms") == "set":
                number = line.get("confirmation", 1)
                ended[number] = ended.get(number, True) and ledger.status(trial) in ENDED
    counted = {run: _first_ended(ended) for run, ended in runs.items()}
    return {(run, number) for run, numbers in counted.items() for number in numbers} if all(counted.values()) else set()


def open_confirmation(ledger: Ledger) -> bool:
    """Return whether a fresh seed has not ended, of the set or of a default: `sweeps resume` trains what is left.

    So it is, too, where a kill cut off lines of trials that the head line of a confirmation announces.
    """
    fresh = [trial for trial, line in ledger.trials.items() if key_of(line)]
    plans = [head["confirmation"] for head in ledger.sweeps if "confirmation" in head]
    announced = sum(len(plan["seeds"]) * (len(plan["set"]) + len(plan["default"])) for plan in plans)
    return announced > len(fresh) or any(ledger.status(trial) not in ENDED for trial in fresh)


def _first_ended(ended: Mapping[int, bool]) -> list[int]:
    return list(takewhile(lambda number: ended.get(number, False), count(1)))


def _run_of(line: TrialLine) -> str:
    return str(line.get("run", ""))
