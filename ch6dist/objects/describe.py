"""Find out about a thing that is not of the catalog: import it, read its signature, try it on something small.

    python -m ch6dist.objects.describe optimizer timm/lion      # one line of JSON: a Description, or {"error": …}

It runs the user's code, so it runs in a process of its own (ch6dist/catalog/described.py asks it).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from ch6dist.catalog.described import Description, parameter_data
from ch6dist.catalog.fingerprints import installed_version, package_of
from ch6dist.catalog.lookup import IMPORT_PATH, RESERVED
from ch6dist.errors import InputError, UsageError
from ch6dist.objects.find import find, module_of, why
from ch6dist.objects.networks import FROM_THE_DATA, model_facts
from ch6dist.objects.signature import parameters_of
from ch6dist.objects.source import Sources, sources_of
from ch6dist.objects.try_augmentation import augmentation_facts, given_names
from ch6dist.objects.try_optimizer import HOW, optimizer_facts
from ch6dist.objects.try_schedule import progress_name, schedule_facts

LEAVE_OUT: dict[str, Callable[[Any], set[str]]] = {  # by section, what the code gives and no file
    "augment": given_names,
    "model": lambda found: set(FROM_THE_DATA),
    "optimizer": lambda found: {"params", *HOW},
    "schedule": progress_name,
}
FACTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "augment": augmentation_facts,
    "model": model_facts,
    "optimizer": optimizer_facts,
    "schedule": schedule_facts,
}


def describe(section: str, name: str) -> Description:
    """Return what is known of a thing. Raises InputError or UsageError, or whatever the user's code does."""
    found = find(section, name)
    if not callable(found):
        raise InputError("name", name, f"a class or a function; it is of type {type(found).__name__}")
    parameters = parameters_of(found, leave_out=LEAVE_OUT[section](found))
    if taken := [one.name for one in parameters if one.name in RESERVED]:
        raise InputError("name", name, f"code without a parameter called {taken[0]}, which a file uses itself")
    is_path = bool(IMPORT_PATH.fullmatch(name))
    sources = sources_of(module_of(name)) if is_path else Sources("", {}, "")
    return Description(
        section=section,
        name=name,
        summary=_summary(found),
        parameters=tuple(map(parameter_data, parameters)),
        version="" if sources.files else installed_version(package_of(name)),
        code=sources.code,
        files=sources.files,
        root=sources.root,
        facts=FACTS[section](found),
    )


def described_as_data(section: str, name: str) -> dict[str, Any]:
    """Return a description as plain data. Raises as `describe` does."""
    return describe(section, name).as_data()


def _summary(found: Any) -> str:
    """Return the first line of a docstring."""
    text = (getattr(getattr(found, "func", found), "__doc__", None) or "").strip()
    return text.splitlines()[0].strip() if text else ""


def answered(find_out: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is found out; where nothing can be, what would be allowed instead, as `error`."""
    try:
        return find_out()
    except InputError as error:
        return {"error": error.allowed}
    except UsageError as error:
        return {"error": f"a package that is installed: {error}"}
    except Exception as error:
        return {"error": f"code that can be used: {why(error)}"}


def answer(find_out: Callable[[], dict[str, Any]]) -> None:
    """Print the answer as the last line of stdout, and end the process; what the user's code prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps(answered(find_out)), file=out, flush=True)
    os._exit(0)  # whatever threads the user's code has left


if __name__ == "__main__":
    answer(partial(described_as_data, *sys.argv[1:]))
