"""What a confirmation leaves out as not complete, and which command would let it take part, by the reason.

What the sweep's own rule stopped is out: no command is named for it.

for line in left_out(run, ledger, verdict): ...      # "1 configuration with a failed seed left out: `sweeps rerun …`"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ch6dist.catalog.wording import format_count
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.schema import Status
from ch6dist.shell import command
from ch6dist.verdict.contenders import BY_RULE, Missing
from ch6dist.verdict.verdict import Verdict
from sweeps.status.waiting import waiting_in

NAMED = 5  # trials; where there are more, the command has TRIAL in their place
WITH: dict[Missing, str] = {
    "failed": "with a failed seed",
    "stopped early": "with a seed stopped early",
    BY_RULE: "stopped early by the sweep's own rule",
    "not finished": "with a seed not finished",
    "without a score": "with a seed without a finite score",
}


def left_out(run: Path, ledger: Ledger, verdict: Verdict) -> list[str]:
    """Return a line for each reason why configurations of a verdict are not complete."""
    return list(_lines(run, ledger, verdict))


def remedy(run: Path, ledger: Ledger, verdict: Verdict) -> str:
    """Return the command that trains what is not complete, of the first reason that has one; empty without any."""
    found = (_command(run, ledger, verdict, missing) for missing in WITH)
    return next(filter(None, found), "")


def _lines(run: Path, ledger: Ledger, verdict: Verdict) -> Iterator[str]:
    for missing, words in WITH.items():
        number = sum(item.missing == missing for item in verdict.unfinished)
        if number:
            again = _command(run, ledger, verdict, missing)
            take_part = f": `{again}` lets {'it' if number == 1 else 'them'} take part" if again else ""
            yield f"{format_count(number, 'configuration')} {words} left out{take_part}"


def _command(run: Path, ledger: Ledger, verdict: Verdict, missing: Missing) -> str:
    names = {item.configuration for item in verdict.unfinished if item.missing == missing}
    if not names or missing in ("without a score", BY_RULE):
        return ""  # it would end the same again
    if missing == "failed":
        return command("sweeps", "rerun", run, "--failed")
    if missing == "not finished":
        found = waiting_in(ledger) if verdict.over_budget else None
        return command("sweeps", "resume", run, *(found["changes"] if found else []))
    stopped = [
        trial
        for trial, line in ledger.trials.items()
        if line["configuration"] in names and ledger.status(trial) == Status.STOPPED
    ]
    return command("sweeps", "rerun", run, *(stopped if len(stopped) <= NAMED else ["TRIAL"]))
