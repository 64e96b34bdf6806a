"""Processes below another: who trains, and who is still alive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

TRAINS = ("run_pack", "ImplicitFunc", "ray::RankWorker")  # in the titles of Ray's processes


def offspring(pid: int) -> list[int]:
    """Every process below `pid`."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = list(parents.get(pid, []))
    for child in found:
        found += parents.get(child, [])
    return found


def workers(pid: int) -> list[int]:
    """Processes below `pid` in which packs are trained."""
    return [child for child in offspring(pid) if "run_pack" in cmdline(child) or "ImplicitFunc" in cmdline(child)]


def trainers(pid: int) -> list[int]:
    """Processes below `pid` that train, or are about to: those of packs, and the others that train with them."""
    return [child for child in offspring(pid) if any(title in cmdline(child) for title in TRAINS)]


def cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def alive(pids: Sequence[int]) -> list[str]:
    """The command lines of those that still run."""
    return [line for pid in pids if (line := cmdline(pid))]
