"""The code of a run, known in this process: what is described, and where its files are to be imported from."""

from __future__ import annotations

from pathlib import Path

from ch6dist.catalog.described import adopt, allow
from ch6dist.objects.find import provide
from ch6dist.runs.own_code import OwnCode, unpack_all


def adopt_code(code: OwnCode) -> None:
    """Let the configurations of a run mean the code that it has, on a host that has none of its files."""
    adopt(one.as_data() for one in code.described)
    homes = unpack_all(code)
    allow(code.described, homes)
    for name, folder in homes.items():
        provide(name, Path(folder))
