"""Processes below another: who trains, and who is still alive."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PACK = ("run_pack", "ImplicitFunc")  # in the titles of Ray's processes that run packs
TRAINS = (*PACK, "ray::RankWorker")  # and of the other ranks


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
    return _titled(pid, PACK)


def trainers(pid: int) -> list[int]:
    """Processes below `pid` that train, or are about to: those of packs, and the others that train with them."""
    return _titled(pid, TRAINS)


def _titled(pid: int, titles: Sequence[str]) -> list[int]:
    lines = {child: cmdline(child) for child in offspring(pid)}
    return [child for child, line in lines.items() if any(title in line for title in titles)]


def cmdline(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def alive(pids: Sequence[int]) -> list[str]:
    """The command lines of those that still run."""
    return [line for pid in pids if (line := cmdline(pid))]
