"""What is known of a thing that is not of the catalog: a library's, or the user's own. Found out once, then kept.

    description = describe("optimizer", "timm/lion")        # asks a subprocess, or the user's cache
    description.entry()                                     # as the catalog has its own
    adopt([description.as_data()])                          # of a run's record: nothing is imported to read a run
    keep_to(ledger.sweeps)                                  # a run goes on: a name means in it what it meant before

Nothing here imports what it describes: `plan` and `status` answer without torch. A subprocess does
(ch6dist/objects/describe.py); its answer is kept in the user's cache until a file that it read changes.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.errors import InputError, UsageError
from ch6dist.paths import cache_folder
from ch6dist.storage.atomic import replace_file

PROGRAM = "ch6dist.objects.describe"
HASH_DIGITS = 12
LIMIT_SECONDS = 300.0  # for the subprocess: imports, and a small training of it
PACKAGE = Path(__file__).resolve().parents[2]  # the folder that has ch6dist, on the subprocess's path
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
_KEPT: dict[tuple[str, str], str] = {}  # by section and name: the code that it has in the run that goes on
_ONLY_RECORDED: set[bool] = set()  # not empty: what is read is a run, and runs no code
_MEANT: dict[tuple[str, str], str] = {}  # the code that the name alone meant when it was last asked for


def adopt(recorded: Iterable[Mapping[str, Any]]) -> None:
    """Know what a run has recorded of the things that it uses. UsageError for what is no description."""
    for content in recorded:
        one = _recorded(content)
        _KNOWN.setdefault((one.section, one.name, one.code), one)


def keep_to(heads: Collection[Mapping[str, Any]], *, ask: bool = False) -> None:
    """Let a name without a hash mean what it means in a run, whatever the working directory has by now.

    Args:
        heads: the head lines of its drivers; none for a new run, whose names are looked up where it is started.
        ask: names that the run has not recorded are looked up here too: a person has added them. Else they are refused,
            for a subprocess would import them.
    """
    _KEPT.clear()
    _ONLY_RECORDED.clear()
    _ONLY_RECORDED.update({True} if heads and not ask else ())
    for content in (one for head in heads for one in head.get("described", ())):  # of two with one name the later one
        adopt([content])
        _KEPT[content["section"], content["name"]] = content.get("code", "")


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
    wanted = code or _KEPT.get((section, name), "")
    known = adopted(section, name, wanted)
    if known is None and _ONLY_RECORDED:
        raise UsageError(f"the ledger of this run does not say what {name} is", "read it where it was made")
    found = known or describe(section, name)
    if wanted and found.code != wanted:
        hint = "its run folder has the code that it was trained with: name the run"
        raise UsageError(f"{name} is not what it was: its files have the hash {found.code}, not {wanted}", hint)
    _KNOWN[section, name, found.code] = found
    if not code:
        _MEANT[section, name] = found.code
    return found


def in_use(*contents: Any) -> list[Description]:
    """Return what is known of the foreign things that configurations name, or a sweep: a search draws them later."""
    if not _KNOWN:  # the walk below is through all trials of a run
        return []
    said = set(texts_in(contents))
    return [
        one
        for (section, name, code), one in _KNOWN.items()
        if name in said
        and (not code or code in said or code == _KEPT.get((section, name), _MEANT.get((section, name))))
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
    """Return what is known of a thing in this environment and working directory.

    Raises InputError, its key relative to the section, where it cannot be found or used.
    """
    return _describe(section, name, os.getcwd())


def parameter_data(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as plain data, without what is left at its default."""
    empty = Parameter(parameter.name, parameter.kind, parameter.default, parameter.meaning)
    content = {k: v for k, v in asdict(parameter).items() if k == "name" or v != getattr(empty, k)}
    marker = next((word for word, marker in MARKERS.items() if parameter.default is marker), None)
    default = {"marker": marker} if marker else {"default": parameter.default}
    return {**content, "kind": parameter.kind, "meaning": parameter.meaning, **default}


def _parameter(content: Mapping[str, Any]) -> Parameter:
    rest = {key: value for key, value in content.items() if key not in ("marker", "choices")}
    default = MARKERS[content["marker"]] if "marker" in content else content["default"]
    return Parameter(**{**rest, "default": default, "choices": tuple(content.get("choices", ()))})


@functools.cache  # a sweep has thousands of trials of it
def _describe(section: str, name: str, folder: str) -> Description:
    kept = _kept(section, name, folder)
    if kept is not None and _is_current(kept):
        return kept
    answer = _ask(section, name, folder)
    if "error" in answer:
        raise InputError("name", name, answer["error"])
    found = Description.from_data(answer)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, no more
        replace_file(_place(section, name, folder), json.dumps(found.as_data(), indent=1))
    return found


def _ask(section: str, name: str, folder: str) -> dict[str, Any]:
    """Return what a subprocess says of a thing; the user's code runs there, and not here."""
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", PROGRAM, section, name]
    environment = {**os.environ, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"code that answers within {LIMIT_SECONDS:.0f} s"}
    last = (done.stdout.decode(errors="replace").strip().splitlines() or [""])[-1]
    try:
        found: dict[str, Any] = json.loads(last)
    except ValueError:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
        return {"error": f"code that can be run; its process ended with status {done.returncode} and said: {said}"}
    return found


def _place(section: str, name: str, folder: str) -> Path:
    key = hashlib.sha256("\n".join([section, name, folder, sys.executable]).encode()).hexdigest()[:24]
    return cache_folder() / "described" / f"{key}.json"


def _kept(section: str, name: str, folder: str) -> Description | None:
    try:
        return Description.from_data(json.loads(_place(section, name, folder).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_current(kept: Description) -> bool:
    """Return whether the library has the version, and each file the content, that it had."""
    if kept.version and kept.version != installed_version(kept.version.split()[0]):
        return False
    return all(file_hash(Path(kept.root, path)) == known for path, known in kept.files.items())


def installed_version(package: str) -> str:
    """Return name and version of an installed package, such as `timm 1.0.31`; empty where there is none."""
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""


def hash_of(files: Mapping[str, str]) -> str:
    """Return the hash of a set of files, by their paths and contents (sha256 of each)."""
    return full_hash(files)[:HASH_DIGITS]


def full_hash(files: Mapping[str, str]) -> str:
    """Return all digits of it: what is trusted is known by these."""
    text = "\n".join(f"{path} {digest}" for path, digest in sorted(files.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the sha256 of a file; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
