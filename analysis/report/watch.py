"""Write a report again while its sweep runs: `analysis report RUN --watch`.

watch([Path("runs/optimizer-lr")], Path("runs/optimizer-lr/report"), every=30, say=print)

The page that is open loads itself again, until the last one, which no longer does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from analysis.report.page import without_refresh, write_report
from analysis.study.load import load_study
from analysis.study.results import analyse
from ch6dist.runs.lease import current
from ch6dist.runs.names import LEDGER, SEGMENTS
from ch6dist.runs.schema import Status
from ch6dist.storage.atomic import replace_file

LOOK_SECONDS = 1.0  # between two looks at the ledger

Say = Callable[[str], None]


def watch(folders: Sequence[Path], output: Path, *, every: float, say: Say) -> Path:
    """Write the report whenever the ledgers grew, every `every` seconds at most, and return the path of its page.

    It ends when no driver is alive and nothing new has come, or by Ctrl-C. While no trial has begun it waits for a
    driver: it may have been started before one. The page that stays does not load itself again.

    Raises as load_study and write_report do.
    """
    page, seen, written = output / "index.html", -1, 0.0
    waits = True  # until a driver was there, or a trial has begun
    with _left_quiet(page), contextlib.suppress(KeyboardInterrupt):
        while True:
            is_live = any(current(folder) for folder in folders)  # asked first: what comes after is still read
            size, waits = _ledger_bytes(folders), waits and not is_live
            if size != seen:
                seen, written = size, time.monotonic()
                study = load_study(folders)
                waits = waits and bool((study.trials["status"] == Status.PLANNED).all())
                write_report(analyse(study), output, refresh_seconds=every if is_live or waits else None)
                say(f"{page} written{_state(is_live=is_live, waits=waits)}")
            if not (is_live or waits):
                break
            _wait(folders, since=written, every=every, is_live=is_live)
    return page


def _state(*, is_live: bool, waits: bool) -> str:
    if is_live:
        return ""
    return ", no trial has begun: waiting for a driver, Ctrl-C ends this" if waits else ", the run has ended"


def _wait(folders: Sequence[Path], *, since: float, every: float, is_live: bool) -> None:
    """Wait until the next report is due, or until the last driver has ended or a first one has begun."""
    while time.monotonic() < since + every:
        time.sleep(min(LOOK_SECONDS, every))
        if any(current(folder) for folder in folders) != is_live:
            return


@contextlib.contextmanager
def _left_quiet(page: Path) -> Iterator[None]:
    """Take from the page that it loads itself again, however the block ends."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # there is none, or a full disk, which is said where it is written
            text = page.read_text(encoding="utf-8")
            if (quiet := without_refresh(text)) != text:
                replace_file(page, quiet)


def _ledger_bytes(folders: Sequence[Path]) -> int:
    return sum(path.stat().st_size for folder in folders for path in (folder / LEDGER).glob(SEGMENTS))
