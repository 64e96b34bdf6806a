"""What the benchmarks share: sides that run in turn, medians with their spread, and a dated table.

    measured = in_turn({"plain": plain, "ours": ours}, pairs=5)     # plain(3) gives {"seconds": …}, the fourth pair's
    rows = [row("plain, s", measured["plain"], "seconds"), ratio("ratio", measured, "plain", "ours", "seconds")]
    publish(document("A sweep", rows, what="16 trials", pairs=5), path)

No ray and no torch here. Ratios are taken pair by pair, so that a machine that slows down slows both sides of one.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from ch6dist.runs.provenance import git_commit, hardware

ROOT = Path(__file__).resolve().parent.parent
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}  # who wants more threads sets them
VERSIONS = ("torch", "torchvision", "ray")

Measures = Mapping[str, float]  # of one run of a side, by name; seconds unless the name says otherwise
Measured = Mapping[str, Sequence[Measures]]  # by side, a run per pair


@dataclass(frozen=True)
class Row:
    """One quantity of a table: a value per pair, and how it is printed."""

    name: str
    values: Sequence[float]
    form: str = ".2f"

    def __str__(self) -> str:
        numbers = (statistics.median(self.values), min(self.values), max(self.values))
        return f"| {self.name} | " + " | ".join(format(number, self.form) for number in numbers) + " |"


def new_parser(description: str | None, *, pairs: int = 5) -> argparse.ArgumentParser:
    """Return a command line with what every benchmark takes: how many pairs, and where the table goes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--pairs", type=int, default=pairs, help=f"runs of each side (default {pairs})")
    parser.add_argument("-o", "--output", type=Path, help="file for the table")
    return parser


def in_turn(sides: Mapping[str, Callable[[int], Measures]], *, pairs: int) -> dict[str, list[Measures]]:
    """Run the sides one after another, `pairs` times; each gets the pair's number, from 0. Says each run on stderr."""
    measured: dict[str, list[Measures]] = {name: [] for name in sides}
    for number in range(pairs):
        for name, side in sides.items():
            measured[name].append(side(number))
            told = ", ".join(f"{key} {value:.4g}" for key, value in measured[name][-1].items())
            print(f"{number + 1}/{pairs} {name}: {told}", file=sys.stderr, flush=True)
    return measured


def run(command: Sequence[str], **environment: str) -> dict[str, float]:
    """Run a whole command from the repository's root.

    Returns `seconds`, its wall-clock time, and the numbers of the JSON object that its last line may be.
    A command that fails ends the benchmark with the command's output.
    """
    settings = {**os.environ, **QUIET, **environment}
    started = time.perf_counter()
    done = subprocess.run(
        command, env=settings, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return {"seconds": seconds, **_last_object(done.stdout)}


def module(name: str, *arguments: object) -> list[str]:
    """Return the command that runs a module with this Python."""
    return [sys.executable, "-m", name, *map(str, arguments)]


def row(name: str, runs: Sequence[Measures], key: str, form: str = ".2f", *, scale: float = 1.0) -> Row:
    """Return the values of `key` of one side, times `scale`."""
    return Row(name, [scale * measures[key] for measures in runs], form)


def ratio(name: str, measured: Measured, above: str, below: str, key: str, form: str = ".2f") -> Row:
    """Return the ratios, pair by pair, of `key` of one side to that of another."""
    pairs = zip(measured[above], measured[below], strict=True)
    return Row(name, [over[key] / under[key] for over, under in pairs], form)


def table(rows: Sequence[Row | str]) -> str:
    """Return rows as Markdown: median, minimum and maximum; a string is a row as it is."""
    return "\n".join(["| | median | min | max |", "|---|---|---|---|", *map(str, rows)])


def document(title: str, rows: Sequence[Row | str], *, what: str, pairs: int, more: str = "") -> str:
    """Return the dated page of a benchmark: its command, hardware, versions, commit and n, `what` it is, the table."""
    head = " · ".join([f"`{command_line()}`", machine(), versions(), f"n = {pairs} pairs, one after the other"])
    parts = [f"# {title}, {date.today()}", head, what, *([table(rows)] if rows else []), *([more] if more else [])]
    return "\n\n".join(parts) + "\n"


def publish(text: str, path: Path | None) -> None:
    """Print a page, and write it where there is a path."""
    print(text)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def command_line() -> str:
    """Return the command as it was typed, from the repository's root."""
    return shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])


def num_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine() -> str:
    """Return cores, processor and GPUs."""
    found = hardware()
    gpus = ", ".join(found["gpus"]) or "no GPU"
    return f"{found['cpus']} cores ({found['cpu']}), {gpus}"


def versions() -> str:
    """Return Python, the libraries that are installed, and the commit, `+` behind it when files differ from it."""
    named = [f"Python {sys.version.split()[0]}"]
    for name in VERSIONS:
        try:
            named.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join([*named, f"commit {git_commit() or 'unknown'}"])


def _last_object(output: str) -> dict[str, float]:
    lines = output.strip().splitlines()
    return dict(json.loads(lines[-1])) if lines and lines[-1].startswith("{") else {}
