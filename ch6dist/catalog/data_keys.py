"""The keys of a trial's `data` that say which images it means: a name, a folder, a file; what goes with what.

source_of({"folder": "flowers", "size": 32})    # where images of one's own are; None for those of the catalog
resolved_data({"npz": "digits.npz"})            # with the name, and what was found
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.lookup import IMPORT_PATH, LIBRARIES, is_foreign
from ch6dist.catalog.own_data import Found, Kind, Source, adopt, found_in
from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, unknown_name
from ch6dist.paths import given_path

PLACES = ("folder", "npz")  # keys that say where images of one's own are
OWN = (*PLACES, "size", "channels", "skip_damaged", "found")  # keys of images of one's own
UNNAMED = (  # paths of a configuration by which none is named: of images of one's own, their content tells two apart
    *("data.folder", "data.npz", "data.skip_damaged"),
    *(f"data.found.{field.name}" for field in fields(Found) if field.name != "content"),
)
FACTS = {field.name for field in fields(Found) if field.default is MISSING}  # that every record of them has


def source_of(given: Mapping[str, Any]) -> Source | None:
    """Return where the images of a `data` are, if they are the user's own. Raises InputError, of keys that differ."""
    places = [key for key in PLACES if given.get(key) is not None]
    name = given.get("name")
    if not places and not is_foreign("data", name):
        return None
    if len(places) > 1:
        raise InputError("npz", given["npz"], "nothing beside `folder`: one of the two")
    options: dict[str, Any] = {"size": _size(given.get("size")), "channels": _channels(given.get("channels"))}
    if not places:
        kind: Kind = "code" if IMPORT_PATH.fullmatch(str(name)) else "library"
        root = str(given_path(given["root"], key="root")) if kind == "library" and given.get("root") else ""
        return Source(kind, str(name), root=root, **options)
    place = given[places[0]]
    if not isinstance(place, str) or not place:
        raise InputError(places[0], place, "a path")
    kind = "folder" if places == ["folder"] else "npz"
    return Source(kind, str(given_path(place, key=kind)), skip_damaged=given.get("skip_damaged") is True, **options)


def resolved_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a `data` with its name, and what was found where the images are the user's own."""
    source = source_of(given)
    if source is None:
        if own := next((key for key in OWN if key != "found" and given.get(key) is not None), None):
            raise InputError(own, given[own], f"nothing: {given.get('name', 'cifar100')} has images of one kind")
        name = given.get("name", "cifar100")
        if not isinstance(name, str) or name not in DATASETS:
            allowed = unknown_name("name", name, DATASETS).allowed
            libraries = "".join(f"{library}/NAME, " for library in LIBRARIES["data"])
            raise InputError(
                "name", name, f"{allowed}, {libraries}or an import path, package.module:Name; or `folder`, `npz`"
            )
        return {**given, "name": name, "found": None}
    _check_options(given, source)
    called = given.get("name", source.name)
    if called != source.name and not str(called).startswith(f"{source.kind}/"):
        raise InputError("name", called, f"nothing beside `{source.kind}`, or {source.name}")
    found = _recorded(given, source) or found_in(source).as_data()
    return {**given, "name": source.name, "size": source.size and list(source.size), "found": found}


def _check_options(given: Mapping[str, Any], source: Source) -> None:
    """Raise InputError for options that are of no use to such a source."""
    if source.size and source.kind in ("npz", "code"):
        raise InputError("size", given["size"], f"nothing: the images of {source.name} have a size")
    skip = given.get("skip_damaged")
    if skip is not None and not (isinstance(skip, bool) and source.kind == "folder"):
        raise InputError("skip_damaged", skip, "true or false, for a folder")


def _recorded(given: Mapping[str, Any], source: Source) -> dict[str, Any] | None:
    """Return what a record has found in these images; None if there is none, or it is of other options."""
    found = given.get("found")
    if not isinstance(found, Mapping) or not set(found) >= FACTS:
        return None
    if given.get("name") != source.name or (source.size and source.size != (found["height"], found["width"])):
        return None
    return None if source.channels and source.channels != found["channels"] else dict(found)


def _channels(given: Any) -> int | None:
    number = as_number(given)
    if given is not None and (number is None or number < 1 or number % 1):
        raise InputError("channels", given, "a whole number ≥ 1")
    return None if number is None else int(number)


def _size(given: Any) -> tuple[int, int] | None:
    """Return `size` as height and width."""
    pair = given if isinstance(given, (list, tuple)) else [given, given]
    if given is None:
        return None
    numbers = [as_number(one) for one in pair]
    if len(pair) != 2 or any(number is None or number < 1 or number % 1 for number in numbers):
        raise InputError("size", given, "a whole number ≥ 1, or two: [height, width]")
    height, width = (int(number) for number in numbers if number is not None)
    return height, width


def adopt_data(recorded: Mapping[str, Any]) -> None:
    """Know what the `data` of a recorded trial says of images of one's own: to read a run looks at none of them."""
    found = recorded.get("found")
    source = source_of(recorded) if isinstance(found, Mapping) and set(found) >= FACTS else None
    if source is not None and found is not None:
        adopt(source, found)
