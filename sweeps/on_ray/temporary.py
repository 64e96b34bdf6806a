"""Where a Ray that is started here keeps its own: sockets and logs below TMPDIR, its token in the home of the user.

Each of them elsewhere where that cannot be.

folder, note = ray_folder()
ray.init(**{private.TEMP_DIR: folder})

The path of a socket has at most 107 bytes, of which Ray takes 68 below its folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from ch6dist.errors import UsageError
from sweeps.units import format_bytes

SOCKET_BYTES = 107  # of sockaddr_un's path on Linux
BELOW = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
TOKEN = "RAY_AUTH_TOKEN"
GIVEN = (TOKEN, "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE")  # how a person says which token Ray uses, or that it uses none
LEAST_BYTES = 64 * 2**20  # that must be free: logs, and objects that leave memory
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")


def ray_folder() -> tuple[str, str]:
    """Return the folder for Ray's sessions: in RAY_TMPDIR or TMPDIR, or where that cannot be, in /tmp and the like.

    Also returns why it is not where it was asked for, or an empty text. Raises UsageError where there is none.
    """
    asked = [name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)]
    first = [os.environ[name] for name in asked[:1]]
    problems: dict[str, str] = {}
    for place in dict.fromkeys([*first, *ELSEWHERE]):
        folder = _in(place)
        if problem := _problem(folder):
            problems[place] = problem
            continue
        return str(folder), f"{asked[0]} {first[0]} {problems[first[0]]}" if first and problems else ""
    reasons = "; ".join(f"{place} {problem}" for place, problem in problems.items())
    hint = "set TMPDIR to a short path of a folder with space"
    raise UsageError(f"Ray has no place for its own files: {reasons}", hint)


def own_token() -> dict[str, str]:
    """Return a token for the processes of this Ray, as environment, where the user's home can keep none."""
    kept = Path(os.path.expanduser("~"), ".ray", "auth_token")
    if any(name in os.environ for name in GIVEN) or kept.is_file():
        return {}
    if kept.is_absolute():  # not so where neither HOME nor the system knows a home
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
    return {} if kept.is_absolute() and _writable(kept.parent) else {TOKEN: secrets.token_hex(32)}


def _in(place: str) -> Path:
    """Return Ray's folder in a place that users may share: one of another user may be closed to this one."""
    folder = Path(place).absolute() / "ray"
    return folder if not folder.exists() or _writable(folder) else folder.with_name(f"ray-{os.getuid()}")


def _problem(folder: Path) -> str:
    """Return why Ray cannot keep its files in a folder; empty where it can."""
    place = folder.parent
    if not place.is_dir():
        return "is no folder"
    if not _writable(folder if folder.exists() else place):
        return "cannot be written to"
    if len(os.fsencode(folder)) + len(BELOW) > SOCKET_BYTES:
        return f"is longer than the {SOCKET_BYTES - len(BELOW) - len(folder.name) - 1} bytes that sockets leave it"
    free = shutil.disk_usage(place).free
    return f"has only {format_bytes(free)} free" if free < LEAST_BYTES else ""


def _writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK)
