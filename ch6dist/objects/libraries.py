"""The packages that names may come from: imported when one of their names is asked for, and not before."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from types import ModuleType

from ch6dist.errors import InputError, UsageError, suggestion


def library(module: str, package: str) -> ModuleType:
    """Return a module of a package; UsageError, with how it is installed, where it is not."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{package} is not installed ({error})", f"pip install {package}") from None


def unknown_in(package: str, name: str, names: Collection[str]) -> InputError:
    """Return the error for a name that a package has not, with the nearest that it has."""
    near = suggestion(f"{package}/{name}", [f"{package}/{known}" for known in names])
    return InputError("name", f"{package}/{name}", f"{near}one of the {len(names)} that {package} has")
