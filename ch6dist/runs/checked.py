"""Whether trials like these go on exactly after a stop, as `sweeps check` has tried it here.

    kind_of(config)                             # what decides it: the names, and what is no number
    keep_checked(config, "fc1.weight differs")  # in the user's cache; "" where nothing differs
    inexact(configs)                            # ["mynets:Net · AdamW is not exact after a resume: fc1.weight differs"]

A verdict holds for one version of the code and of the libraries. Losing one costs a word in a record, never a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ch6dist.catalog.fingerprints import installed_version, package_of
from ch6dist.catalog.lookup import REGISTRIES, known
from ch6dist.catalog.optimizers import OptimizerEntry
from ch6dist.storage.answers import Answers

KEPT = Answers("checked")
NUMBERS = (int, float)


def kind_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides whether a configuration trains and resumes: numbers do not."""
    return {
        "model": config["model"],
        "optimizer": _without_numbers(config["optimizer"]),
        "schedule": _without_numbers(config["schedule"]),
        "augment": _without_numbers(config["data"]["augment"]),
        "precision": config["precision"],
    }


def kind_name(config: Mapping[str, Any]) -> str:
    """Return a kind in few words: `mynets:Net · AdamW · OneCycleLR`."""
    names = [config[section]["name"] for section in ("model", "optimizer", "schedule")]
    return " · ".join(name for name in names if name != "none")


def keep_checked(config: Mapping[str, Any], differs: str) -> None:
    """Remember what differs between a training of this kind and one that was stopped and resumed; empty: nothing."""
    KEPT.keep({"differs": differs}, *_key(config))


def inexact(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each kind of which it is known that it does not go on exactly after a resume."""
    kinds = {json.dumps(kind_of(config), default=str): config for config in configs if _may_be_inexact(config)}
    found = set()
    for config in kinds.values():
        entry = known("optimizer", config["optimizer"])
        differs = str((KEPT.read(*_key(config)) or {}).get("differs", ""))
        if not differs and isinstance(entry, OptimizerEntry) and not entry.resumes:
            differs = f"{entry.name} keeps what is not in its state"
        if differs:
            found.add(f"{kind_name(config)} is not exact after a resume: {differs}")
    return sorted(found)


def _may_be_inexact(config: Mapping[str, Any]) -> bool:
    """Return whether any of it is not of the catalog, whose trainings all resume exactly."""
    own_augment = any(":" in item["name"] for item in config["data"]["augment"] if isinstance(item, Mapping))
    return own_augment or any(config[section]["name"] not in REGISTRIES[section] for section in ("model", "optimizer"))


def _key(config: Mapping[str, Any]) -> tuple[str, ...]:
    kind = kind_of(config)
    packages = sorted({"torch", *(package_of(kind[section]["name"]) for section in ("model", "optimizer"))})
    return (json.dumps(kind, sort_keys=True), *map(installed_version, packages))


def _without_numbers(content: Any) -> Any:
    """Return plain data without its numbers, and without lists that had nothing else."""
    if isinstance(content, Mapping):
        kept = {key: _without_numbers(value) for key, value in content.items()}
        return {key: value for key, value in kept.items() if value not in (None, [])}
    if isinstance(content, (list, tuple)):
        return [one for one in map(_without_numbers, content) if one is not None]
    return None if isinstance(content, NUMBERS) and not isinstance(content, bool) else content
