"""Optimizers of libraries, described in this process: a subprocess for each would import its library anew.

known_here("timm/lion")     # skips the test where timm is missing, or is another version than the families equal
"""

from __future__ import annotations

import functools

import pytest

from ch6dist.catalog.described import Description, keep
from ch6dist.catalog.fingerprints import installed_version
from ch6dist.catalog.fused_forms import COMPARED
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.objects.describe import describe


def known_here(name: str) -> None:
    """Let `lookup` know an optimizer without asking; a name of the catalog it knows."""
    if name in OPTIMIZERS:
        return
    library = name.partition(":")[0].partition("/")[0]
    pytest.importorskip(library)
    if (found := installed_version(library)) != (compared := f"{library} {COMPARED[library]}"):
        pytest.skip(f"the families equal the optimizers of {compared}; installed is {found}")
    keep(_described(name))


@functools.cache
def _described(name: str) -> Description:
    return describe("optimizer", name)
