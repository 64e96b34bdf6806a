"""The user's own code in a launch: read once, kept in the run folder, handed to the workers; none unasked.

code = of_new(spec, configs)                            # of the working directory: who starts a sweep wrote its names
code = of_run(run, ledger, trust=False)                 # of the run folder, if it may run
code = with_new(run, spec, configs)                     # and of what an extension has added
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ch6dist.catalog.described import allow, keep_to
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.own_code import OwnCode, changed_here, own_code, unpack_all
from ch6dist.runs.trust import accept, check_trust


def of_new(
    spec: Mapping[str, Any], configs: Iterable[Mapping[str, Any]], *, of: Path | None = None, trust: bool = False
) -> OwnCode:
    """Return the code of a new run.

    Args:
        of: the run that its trials were chosen from, which has the code; UsageError unless that may run here. None: it
            lies in the working directory, and who starts the run has named it.
    """
    contents = _named_in(spec, configs)
    code = own_code(*contents, runs=[of] if of else [])
    if of:
        check_trust(of, code, *contents, trust=trust)
        allow(code.described, unpack_all(code))
    else:
        accept(code, *contents)
    return code


def of_run(run: Path, ledger: Ledger, *, trust: bool) -> OwnCode:
    """Return the code of a run, its files checked; UsageError unless it may run here. Nothing of it runs before."""
    keep_to(ledger.sweeps)
    contents = _named_in(ledger.spec, [line["config"] for line in ledger.trials.values()])
    code = own_code(*contents, runs=[run])
    check_trust(run, code, *contents, trust=trust)
    allow(code.described, unpack_all(code))
    return code


def with_new(run: Path, spec: Mapping[str, Any], configs: Iterable[Mapping[str, Any]]) -> OwnCode:
    """Return the code of a run with what has come to its sweep: a person has named it just now."""
    contents = _named_in(spec, configs)
    code = own_code(*contents, runs=[run])
    accept(code, *contents)
    return code


def say_changed(code: OwnCode, say: Callable[[str], object]) -> None:
    """Say which files of a run the working directory has with other content."""
    if changed := changed_here(code, Path.cwd()):
        one = len(changed) == 1
        files = f"{', '.join(changed)} {'has' if one else 'have'}"
        old = "its old code" if one else "their old code"
        say(f"{files} changed since: trials that are in the run keep {old}; `sweeps run` makes other trials")


def _named_in(spec: Mapping[str, Any], configs: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return what names code: of a sweep the trial and its axes, and each configuration."""
    return [spec.get("trial", {}), spec.get("parameters", {}), *configs]
