"""What is known of a thing that is not of the catalog: a library's, or an import path's. Found out once, then kept.

    description = describe("optimizer", "timm/lion")        # asks a subprocess, or the user's cache
    description.parsed_parameters()                         # as the catalog has its own
    adopt([description.as_data()])                          # of a run's record: nothing is imported to read a run
    keep_to(ledger.sweeps)                                  # a run goes on: a name means in it what it meant before

Nothing here imports what it describes: `plan` and `status` answer without torch. A subprocess does
(ch6dist/objects/describe.py); its answer is kept in the user's cache until a file that it read changes.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ch6dist.catalog.asked import ask
from ch6dist.catalog.fingerprints import file_hash, installed_version
from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.errors import InputError, UsageError
from ch6dist.storage.answers import Answers

PROGRAM = "ch6dist.objects.describe"
OF_OPTIMIZERS = ("torch._dynamo",)  # which torch imports when a library's optimizer takes its first step
FORMAT = "3"  # of what is kept: other facts are asked for than before
KEPT = Answers("described")
MARKERS = {"required": REQUIRED, "derived": DERIVED}


@dataclass(frozen=True)
class Description:
    """One thing: what a file may say of it, and where its code is."""

    section: str  # of a trial: model, optimizer, …
    name: str  # as a file has it
    summary: str
    parameters: tuple[Mapping[str, Any], ...]  # fields of Parameter, as data
    version: str = ""  # of the library, such as `timm 1.0.31`
    code: str = ""  # the hash of the user's own files; empty for what is installed
    files: Mapping[str, str] = field(default_factory=dict)  # the user's own files: path below `root` → sha256
    root: str = ""  # the folder of these files
    facts: Mapping[str, Any] = field(default_factory=dict)  # what its section needs to know

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @classmethod
    def from_data(cls, content: Mapping[str, Any]) -> Description:
        """Return what `as_data` gave; KeyError or TypeError for anything else."""
        known = {one.name: content[one.name] for one in fields(cls) if one.name in content}
        return cls(**{**known, "parameters": tuple(known["parameters"])})

    def parsed_parameters(self) -> tuple[Parameter, ...]:
        """Return what it may be given, as the catalog has it."""
        return tuple(_parameter(one) for one in self.parameters)


_KNOWN: dict[tuple[str, str, str], Description] = {}  # by section, name and code: described here, or recorded
_UNASKED: set[tuple[str, str, str]] = set()  # of these what a run has recorded: its code does not run unasked
_HOMES: dict[str, str] = {}  # by the hash of code: where its files lie, of a run that may run here


@dataclass
class _Names:
    """What a name without a hash means in this process: codes by section and name."""

    in_run: dict[tuple[str, str], str] = field(default_factory=dict)  # in the run that goes on
    asked: dict[tuple[str, str], str] = field(default_factory=dict)  # when it was last asked for
    only_recorded: bool = False  # what is read is a run, and runs no code


_NAMES = _Names()


def adopt(recorded: Iterable[Mapping[str, Any]]) -> None:
    """Know what a run has recorded of the things that it uses. UsageError for what is no description."""
    for content in recorded:
        keep(_recorded(content))


def keep(one: Description, *, asked: bool = False) -> None:
    """Know a thing from here on, also where it is only shown: its names follow from its parameters.

    Args:
        asked: its code has run here, because a person has named it.
    """
    key = (one.section, one.name, one.code)
    if key not in _KNOWN:
        _KNOWN[key] = one
        _UNASKED.add(key)
    if asked:
        _UNASKED.discard(key)


def allow(described: Iterable[Description], homes: Mapping[str, str]) -> None:
    """Let the code of a run be asked again: it may run here.

    Args:
        homes: the folders that have its files, by their hashes.
    """
    _UNASKED.difference_update((one.section, one.name, one.code) for one in described)
    _HOMES.update(homes)


def may_run(section: str, name: str, code: str) -> bool:
    """Return whether a thing may be asked: a person here has named it, or it is of a library that is installed."""
    return ":" not in name or (section, name, code) not in _UNASKED


def home_of(code: str) -> str:
    """Return the folder that has the files of a run's code, where it may run; empty: the working directory has them."""
    return _HOMES.get(code, "")


def keep_to(heads: Collection[Mapping[str, Any]], *, ask: bool = False) -> None:
    """Let a name without a hash mean what it means in a run, whatever the working directory has by now.

    Args:
        heads: the head lines of its drivers; none for a new run, whose names are looked up where it is started.
        ask: names that the run has not recorded are looked up here too: a person has added them. Else they are refused,
            for a subprocess would import them.
    """
    _NAMES.in_run.clear()
    _NAMES.only_recorded = bool(heads) and not ask
    for content in (one for head in heads for one in head.get("described", ())):  # of two with one name the later one
        adopt([content])
        _NAMES.in_run[content["section"], content["name"]] = content.get("code", "")


def _recorded(content: Any) -> Description:
    try:
        return Description.from_data(content)
    except (AttributeError, KeyError, TypeError) as error:
        raise UsageError(f"`described` in this run's ledger is damaged: {error!r}", "restore it from a copy") from None


def adopted(section: str, name: str, code: str) -> Description | None:
    """Return what is known of a thing without asking; None where nothing that was read here has it."""
    return _KNOWN.get((section, name, code))


def description_of(section: str, name: str, code: str = "") -> Description:
    """Return the description of what a configuration names. Raises as `describe` does; UsageError for other files.

    Args:
        code: the hash of the user's own files that it has there; empty: what the name means now.
    """
    wanted = code or _NAMES.in_run.get((section, name), "")
    known = adopted(section, name, wanted)
    if known is None and _NAMES.only_recorded:
        raise UsageError(f"the ledger of this run does not say what {name} is", "read it where it was made")
    found = known or describe(section, name)
    if wanted and found.code != wanted:
        hint = "its run folder has the code that it was trained with: name the run"
        raise UsageError(f"{name} is not what it was: its files have the hash {found.code}, not {wanted}", hint)
    if known is None:
        keep(found, asked=True)
    if not code:
        _NAMES.asked[section, name] = found.code
    return found


def in_use(*contents: Any) -> list[Description]:
    """Return what is known of the foreign things that configurations name, or a sweep: a search draws them later."""
    if not _KNOWN:  # the walk below is through all trials of a run
        return []
    said, meant = set(texts_in(contents)), {**_NAMES.asked, **_NAMES.in_run}
    return [
        one
        for (section, name, code), one in _KNOWN.items()
        if name in said and (not code or code in said or code == meant.get((section, name)))
    ]


def texts_in(content: Any) -> Iterator[str]:
    """Yield every text in plain data but the keys."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from texts_in(value)
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from texts_in(value)


def describe(section: str, name: str) -> Description:
    """Return what is known of a thing in this environment; of an import path, also in this working directory.

    Raises InputError, its key relative to the section, where it cannot be found or used.
    """
    return _describe(section, name, _folder(name))


def remembered(section: str, name: str, code: str) -> Description | None:
    """Return what is known of a thing without asking: adopted, or kept in the user's cache; None where nothing is."""
    found = adopted(section, name, code) or _kept(section, name, _folder(name))
    if found:
        keep(found)
    return found


def _folder(name: str) -> str:
    """Return what an answer depends on beside the name: the working directory, of an import path."""
    return os.getcwd() if ":" in name else ""


def parameter_data(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as plain data, without what is left at its default."""
    empty = Parameter(parameter.name, parameter.kind, None, parameter.meaning)
    names = [one.name for one in fields(parameter) if one.name != "default"]
    always = ("name", "kind", "meaning")
    given = {name: getattr(parameter, name) for name in names}
    content = {name: value for name, value in given.items() if name in always or value != getattr(empty, name)}
    marker = next((word for word, marker in MARKERS.items() if parameter.default is marker), None)
    return {**content, **({"marker": marker} if marker else {"default": parameter.default})}


def _parameter(content: Mapping[str, Any]) -> Parameter:
    rest = {key: value for key, value in content.items() if key not in ("marker", "choices")}
    default = MARKERS[content["marker"]] if "marker" in content else content["default"]
    return Parameter(**{**rest, "default": default, "choices": tuple(content.get("choices", ()))})


@functools.cache  # a sweep has thousands of trials of it
def _describe(section: str, name: str, folder: str) -> Description:
    kept = _kept(section, name, folder)
    if kept is not None and _is_current(kept):
        return kept
    slow = OF_OPTIMIZERS if section == "optimizer" else ()
    answer = ask(PROGRAM, [section, name], folder=folder, what=name, preload=slow)
    if "error" in answer:
        raise InputError("name", name, answer["error"])
    found = Description.from_data(answer)
    KEPT.keep(found.as_data(), *_key(section, name, folder))
    return found


def _key(section: str, name: str, folder: str) -> tuple[str, ...]:
    return (FORMAT, section, name, folder, sys.executable)


def _kept(section: str, name: str, folder: str) -> Description | None:
    try:
        return Description.from_data(KEPT.read(*_key(section, name, folder)) or {})
    except (KeyError, TypeError):
        return None


def _is_current(kept: Description) -> bool:
    """Return whether the library has the version, and each file the content, that it had."""
    if kept.version and kept.version != installed_version(kept.version.split()[0]):
        return False
    return all(file_hash(Path(kept.root, path)) == known for path, known in kept.files.items())
