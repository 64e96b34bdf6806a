"""Tell somebody that a driver has ended: run the sweep's `on_finish`, a shell line, or send it to a webhook.

    status = call_on_finish(target, run, status, say=console.print, halted="interrupted")

What is told: the run's name and folder, how it ended, how many trials are in which state, and the best configuration so
far. Nothing here changes how a run has ended; what goes wrong is one line, which never shows the command or the URL.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ch6dist.catalog.wording import format_count, format_metric, metric_label, status_label
from ch6dist.paths import shown_path
from ch6dist.runs.schema import Status
from sweeps.driver.halt import INTERRUPTED
from sweeps.spec.sections import is_webhook
from sweeps.status.queries import status as status_of
from sweeps.status.queries import top

SECONDS = 30.0  # after which a command or a server is waited for no longer
PREFIX = "SWEEP_"  # of the variables that a command gets
ENDINGS = {0: "finished", INTERRUPTED: "stopped"}  # by exit status; any other one has failed


def call_on_finish(target: str | None, run: Path, status: int, *, say: Callable[[str], None], halted: str = "") -> int:
    """Run `target`, the `on_finish` of the sweep, if it has one, and return the exit status `status` as it is.

    Args:
        halted: why the driver ended before its trials had; empty if it did not.
    """
    wrong = ""
    try:
        if target:
            told = what_happened(run, status, reason=halted)
            wrong = _post(target, told) if is_webhook(target) else _execute(target, told)
    except Exception as error:  # whatever it is, the run has ended as it did
        wrong = f"nothing was told ({error})"
    if wrong:
        say(f"on_finish: {wrong}")
    return status


def what_happened(run: Path, status: int, *, reason: str = "") -> dict[str, Any]:
    """Return what is told of a run, as plain data: the body of the request."""
    found, ranked = status_of(run), top(run, 1)
    first = next((item for item in ranked["top"] if item["score"] is not None), None)
    best = first and {key: first[key] for key in ("configuration", "name", "score")} | {"metric": ranked["metric"]}
    ending = ENDINGS.get(status, "failed")
    left = {Status.RUNNING.value: Status.INTERRUPTED.value}  # this driver is still there, and trains nothing more
    counts = {left.get(state, state): count for state, count in found["counts"].items()}
    return {
        "name": run.name,
        "folder": str(run),
        "status": ending,
        "reason": reason,
        "trials": found["trials"],
        "counts": counts,
        "best": best,
        "text": _sentence(run, ending, counts, best),
    }


def variables(told: Mapping[str, Any]) -> dict[str, str]:
    """Return the same as environment variables: SWEEP_NAME, SWEEP_STATUS, …, and all of it as SWEEP_JSON."""
    best = told["best"] or {}
    plain = {key: told[key] for key in ("name", "folder", "status", "reason", "trials", "text")}
    plain |= {"counts": " ".join(f"{state}={count}" for state, count in told["counts"].items())}
    plain |= {"best": best.get("name", ""), "score": best.get("score", ""), "metric": best.get("metric", "")}
    return {PREFIX + key.upper(): str(value) for key, value in plain.items()} | {f"{PREFIX}JSON": json.dumps(told)}


def _sentence(run: Path, ending: str, counts: Mapping[str, int], best: Mapping[str, Any] | None) -> str:
    states = ", ".join(f"{count} {status_label(state)}" for state, count in counts.items())
    ended = f"{shown_path(run)} {'was' if ending == 'stopped' else 'has'} {ending}"
    parts = [ended, f"{format_count(sum(counts.values()), 'trial')}: {states}"]
    if best:
        score = format_metric(best["score"], best["metric"])
        parts.append(f"best so far: {best['name']}, {metric_label(best['metric'])} {score}")
    return "; ".join(parts)


def _execute(line: str, told: Mapping[str, Any]) -> str:
    """Run a shell line with what happened in its environment; return what went wrong, empty if nothing did."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", line],
        env={**os.environ, **variables(told)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what it says may hold the URL that it has called
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"the command took longer than {SECONDS:g} s and was ended"
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"the command ended with status {status}" if status else ""


def _post(url: str, told: Mapping[str, Any]) -> str:
    """Send what happened to a webhook as JSON; return what went wrong, empty if nothing did."""
    headers = {"Content-Type": "application/json", "User-Agent": "ch6dist"}
    request = urllib.request.Request(url, json.dumps(told).encode(), headers, method="POST")
    outcome = [f"the server took longer than {SECONDS:g} s"]
    sending = threading.Thread(target=_send, args=(request, outcome), daemon=True)  # a socket's timeout is of each read
    sending.start()
    sending.join(SECONDS)
    return outcome[-1]


def _send(request: urllib.request.Request, outcome: list[str]) -> None:
    """Send a request and append what went wrong, in words that do not hold its URL."""
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            outcome.append("")
    except urllib.error.HTTPError as error:
        outcome.append(f"the server answered {error.code}")
    except urllib.error.URLError as error:
        outcome.append(f"no answer ({error.reason})")
    except (OSError, ValueError, HTTPException) as error:
        outcome.append(f"no answer ({type(error).__name__})")
