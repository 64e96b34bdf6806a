"""What a name in a file stands for, whoever has made it. Every other place asks here.

    lookup("optimizer", "SGD")              # of the catalog
    lookup("optimizer", "timm/lion")        # a library's: LIBRARY/NAME
    lookup("optimizer", "myoptim:Opt")      # of the user's own: an import path, package.module:Name
    parse_named("optimizer", {"name": "myoptim:Opt", "lr": 0.1})    # {'name': …, 'code': 'a1b2…', 'lr': 0.1, …}

What is the user's own has the hash of its files in the trial, under `code`: a changed file makes another trial. A
configuration that has a `code` already is one of a record, and is looked up there: to read a run never runs its code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.augmentations import AUGMENTATIONS, Resolved, in_order, written_out
from ch6dist.catalog.described import Description, adopted, describe
from ch6dist.catalog.models import MODELS, ModelEntry
from ch6dist.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from ch6dist.catalog.parameters import Entry
from ch6dist.errors import MISSING, InputError, UsageError, unknown_name

REGISTRIES: dict[str, Mapping[str, Entry]] = {"augment": AUGMENTATIONS, "model": MODELS, "optimizer": OPTIMIZERS}
LIBRARIES: dict[str, tuple[str, ...]] = {  # that names may come from: by section, as the name begins
    "model": ("timm", "torchvision"),
    "optimizer": ("timm", "pytorch_optimizer"),
}
IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
RESERVED = ("name", "code")  # keys of a section that are no parameters


def is_foreign(section: str, name: object) -> bool:
    """Return whether a name has the form of a library's, or of an import path."""
    if not isinstance(name, str):
        return False
    library, _, rest = name.partition("/")
    return bool(IMPORT_PATH.fullmatch(name)) or (bool(rest) and library in LIBRARIES.get(section, ()))


def lookup(section: str, name: object, *, code: str = "") -> Entry:
    """Return the entry of a name.

    Args:
        code: of a configuration that was recorded.

    Raises InputError, its key relative to the section, for a name that stands for nothing; UsageError for recorded
    code that is not at hand.
    """
    registry = REGISTRIES[section]
    if isinstance(name, str) and name in registry:
        return registry[name]
    if not isinstance(name, str) or not is_foreign(section, name):
        error = unknown_name("name", name, registry)
        libraries = "".join(f"{library}/NAME, " for library in LIBRARIES.get(section, ()))
        raise InputError("name", name, f"{error.allowed}, {libraries}or an import path, package.module:Name")
    return entry_of(_described(section, name, code))


def known(section: str, config: Mapping[str, Any]) -> Entry:
    """Return the entry of a resolved mapping, to show it: a bare one where nothing is recorded. Runs no code."""
    name = config["name"]
    registry = REGISTRIES[section]
    if name in registry:
        return registry[name]
    found = adopted(section, name, config.get("code", ""))
    return entry_of(found) if found else Entry(name, "")


def optimizer_of(config: Mapping[str, Any]) -> OptimizerEntry:
    """Return the entry of a resolved optimizer."""
    found = lookup("optimizer", config["name"], code=config.get("code", ""))
    assert isinstance(found, OptimizerEntry)
    return found


def cycles_momentum(optimizer: Mapping[str, Any]) -> bool:
    """Return whether a resolved optimizer has a momentum that a schedule may cycle: momentum > 0, or betas."""
    key = optimizer_of(optimizer).momentum
    return key == "betas" or (key == "momentum" and optimizer["momentum"] > 0)


def model_of(config: Mapping[str, Any]) -> ModelEntry:
    """Return the entry of a resolved model."""
    found = lookup("model", config["name"], code=config.get("code", ""))
    assert isinstance(found, ModelEntry)
    return found


def parse_named(section: str, given: Any) -> dict[str, Any]:
    """Check `{name: …, parameters…}` and fill in defaults. A bare name is short for `{name}`. Raises InputError."""
    given = {"name": given} if isinstance(given, str) else given
    names = ", ".join(REGISTRIES[section])
    if not isinstance(given, Mapping):
        raise InputError("name", given, f"a mapping with a name, one of {names}")
    if "name" not in given:
        raise InputError("name", MISSING, f"one of {names}")
    code = given.get("code", "")
    entry = lookup(section, given["name"], code=code if isinstance(code, str) else "")
    parameters = {key: value for key, value in given.items() if key not in RESERVED}
    if "code" in given and given["code"] != entry.code:
        raise InputError("code", given["code"], f"nothing: it follows from the files of {entry.name}")
    return {"name": entry.name, **({"code": entry.code} if entry.code else {}), **entry.resolve(parameters)}


def parse_augment(given: Any) -> Resolved:
    """Check `data.augment` and fill in defaults. Raises InputError, its key relative to `augment`."""
    items = []
    for item in written_out(given):
        try:
            items.append(parse_named("augment", item))
        except InputError as error:
            raise (InputError("", item, error.allowed) if isinstance(item, str) else error) from None
    return in_order(items)


def entry_of(description: Description) -> Entry:
    """Return a description as an entry of its section."""
    common: dict[str, Any] = {
        "name": description.name,
        "description": description.summary,
        "parameters": description.parsed_parameters(),
        "code": description.code,
    }
    if description.section == "optimizer":
        facts = {**description.facts, "needs": tuple(description.facts["needs"])}
        return OptimizerEntry(**common, family=None, **facts)
    if description.section == "augment":
        return Entry(**common)
    return ModelEntry(**common, **description.facts)


def _described(section: str, name: str, code: str) -> Description:
    if found := adopted(section, name, code):
        return found
    found = describe(section, name)
    if code and found.code != code:
        hint = "its run folder has the code that it was trained with: name the run"
        raise UsageError(f"{name} is not what it was: its files have the hash {found.code}, not {code}", hint)
    return found
