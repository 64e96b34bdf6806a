"""What may follow a trial's seed besides weights, order, augmentation and dropout.

check_vary("split")     # ['split']
"""

from __future__ import annotations

from typing import Any

from ch6dist.errors import InputError, unknown_name

VARIABLE = ("split",)


def check_vary(given: Any) -> list[str]:
    """Return what varies with the seed as a list; a name alone is short for a list of one."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, (list, tuple)) or len({str(name) for name in listed}) < len(listed):
        raise InputError("", given, f"a list of what varies with the seed: {', '.join(VARIABLE)}")
    for name in listed:
        if name not in VARIABLE:
            raise unknown_name("", name, VARIABLE)
    return list(listed)
