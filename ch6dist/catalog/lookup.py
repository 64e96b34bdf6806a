"""What a name in a file stands for, whoever has made it. Every other place asks here.

lookup("optimizer", "SGD")              # of the catalog
lookup("optimizer", "timm/lion")        # a library's: LIBRARY/NAME
lookup("model", "mynets:Net")           # an import path, package.module:Name: a file of one's own, or installed
parse_named("optimizer", {"name": "timm/lion", "lr": 0.1})      # {'name': 'timm/lion', 'lr': 0.1, 'betas': …}
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.augmentations import AUGMENTATIONS, Resolved, in_order, written_out
from ch6dist.catalog.datasets import DATASETS, DatasetEntry
from ch6dist.catalog.described import Description, description_of, remembered
from ch6dist.catalog.fused_forms import fused_form
from ch6dist.catalog.models import MODELS, ModelEntry
from ch6dist.catalog.optimizers import OPTIMIZERS, OptimizerEntry
from ch6dist.catalog.parameters import Entry
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import PER_BATCH, ScheduleEntry
from ch6dist.errors import MISSING, InputError, unknown_name

REGISTRIES: dict[str, Mapping[str, Entry]] = {
    "augment": AUGMENTATIONS,
    "model": MODELS,
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
LIBRARIES: dict[str, tuple[str, ...]] = {  # that names may come from: by section, as the name begins
    "augment": (),
    "data": ("hf", "torchvision"),
    "model": ("timm", "torchvision"),
    "optimizer": ("timm", "pytorch_optimizer"),
    "schedule": (),
}
IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
RESERVED = ("name", "code")  # keys of a section that are no parameters


def is_foreign(section: str, name: object) -> bool:
    """Return whether a name has the form of a library's, or of an import path."""
    if not isinstance(name, str):
        return False
    library, _, rest = name.partition("/")
    is_path = IMPORT_PATH.fullmatch(name) is not None
    return section in LIBRARIES and (is_path or (bool(rest) and library in LIBRARIES[section]))


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
        libraries = "".join(f"{library}/NAME, " for library in LIBRARIES[section])
        raise InputError("name", name, f"{error.allowed}, {libraries}or an import path, package.module:Name")
    return entry_of(description_of(section, name, code))


def known(section: str, config: Mapping[str, Any]) -> Entry:
    """Return the entry of a resolved mapping, to show it: a bare one where nothing is known. Runs no code."""
    name = config["name"]
    registry = REGISTRIES[section]
    if name in registry:
        return registry[name]
    found = remembered(section, name, config.get("code", ""))
    return entry_of(found) if found else Entry(name, "")


def optimizer_of(config: Mapping[str, Any]) -> OptimizerEntry:
    """Return the entry of a resolved optimizer."""
    found = lookup("optimizer", config["name"], code=config.get("code", ""))
    assert isinstance(found, OptimizerEntry)
    return found


def model_of(config: Mapping[str, Any]) -> ModelEntry:
    """Return the entry of a resolved model."""
    found = lookup("model", config["name"], code=config.get("code", ""))
    assert isinstance(found, ModelEntry)
    return found


def family_in(optimizer: Mapping[str, Any]) -> tuple[str | None, str]:
    """Return the family of a resolved optimizer, whose lanes fuse; or None, and why they do not."""
    entry = optimizer_of(optimizer)
    if entry.name not in OPTIMIZERS:
        return fused_form(optimizer, version=entry.version)
    return entry.family, "" if entry.family else f"{entry.name} is not element-wise"


def schedule_of(config: Mapping[str, Any]) -> ScheduleEntry:
    """Return the entry of a resolved schedule."""
    found = lookup("schedule", config["name"], code=config.get("code", ""))
    assert isinstance(found, ScheduleEntry)
    return found


def cycles_momentum(optimizer: Mapping[str, Any]) -> bool:
    """Return whether a resolved optimizer has a momentum that a schedule may cycle: momentum > 0, or betas."""
    key = optimizer_of(optimizer).momentum
    return key == "betas" or (key == "momentum" and optimizer["momentum"] > 0)


def dataset_of(data: Mapping[str, Any]) -> DatasetEntry:
    """Return the entry of a resolved `data`: of the catalog, or what was found in the user's own images."""
    found = data.get("found")
    return own_entry(data["name"], found) if found else DATASETS[data["name"]]


def known_dataset(data: Mapping[str, Any]) -> DatasetEntry | None:
    """Return the entry of the `data` of a record, to show it: None for a name that is in no catalog (any more)."""
    return dataset_of(data) if data.get("found") or data["name"] in DATASETS else None


def own_entry(name: str, found: Mapping[str, Any]) -> DatasetEntry:
    """Return what was found in the user's own images as the catalog has its data sets."""
    shape = {key: found[key] for key in ("channels", "height", "width", "classes", "train_images", "test_images")}
    return DatasetEntry(name, "images of your own", coarse_classes=0, augment="none", synthetic=False, **shape)


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
        return OptimizerEntry(**common, family=None, version=description.version, **description.facts)
    if description.section == "augment":
        return Entry(**common)
    if description.section == "schedule":  # a function of the progress, as the closed forms of the catalog
        parameters = (*common.pop("parameters"), PER_BATCH)
        slug = description.name.rpartition(":")[2].lower()
        return ScheduleEntry(**common, parameters=parameters, slug=slug, within=("SequentialLR",), ours=True)
    return ModelEntry(**common, **description.facts)
