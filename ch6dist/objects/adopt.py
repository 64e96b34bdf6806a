"""The code of a run, known in this process: what is described, and where its files are to be imported from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ch6dist.catalog.described import Description, adopt, allow
from ch6dist.objects.find import provide
from ch6dist.runs.own_code import OwnCode, unpack_all


def adopt_code(code: OwnCode) -> None:
    """Let the configurations of a run mean the code that it has, on a host that has none of its files."""
    adopt_described(code.described, unpack_all(code))


def adopt_described(described: Iterable[Description], homes: Mapping[str, str]) -> None:
    """Let configurations mean what is described.

    Args:
        homes: the folders that have the user's own files, by their hashes.
    """
    known = list(described)
    adopt(one.as_data() for one in known)
    allow(known, homes)
    for code, folder in homes.items():
        provide(code, Path(folder))
