"""What is known of a thing that is not of the catalog: a library's, or the user's own. Found out once, then kept.

    description = describe("optimizer", "timm/lion")        # asks a subprocess, or the user's cache
    description.entry()                                     # as the catalog has its own
    adopt([description.as_data()])                          # of a run's record: nothing is imported to read a run

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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from ch6dist.catalog.parameters import DERIVED, REQUIRED, Parameter
from ch6dist.errors import InputError
from ch6dist.paths import cache_folder
from ch6dist.storage.atomic import replace_file

PROGRAM = "ch6dist.objects.describe"
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


_ADOPTED: dict[tuple[str, str, str], Description] = {}


def adopt(recorded: Iterable[Mapping[str, Any]]) -> None:
    """Know what a run has recorded of the things that it uses."""
    for content in recorded:
        one = Description.from_data(content)
        _ADOPTED[one.section, one.name, one.code] = one


def adopted(section: str, name: str, code: str) -> Description | None:
    """Return what a run has recorded of a thing; None where none that was read here has."""
    return _ADOPTED.get((section, name, code))


def describe(section: str, name: str) -> Description:
    """Return what is known of a thing in this environment and working directory.

    Raises InputError, its key relative to the section, where it cannot be found or used.
    """
    return _describe(section, name, os.getcwd())


def parameter_data(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as plain data, without what is left at its default."""
    empty = Parameter(parameter.name, parameter.kind, parameter.default, parameter.meaning)
    said = {one.name: getattr(parameter, one.name) for one in fields(parameter)}
    content = {k: v for k, v in said.items() if k == "name" or v != getattr(empty, k)}
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
    answer = ask(PROGRAM, [section, name], folder=folder)
    if "error" in answer:
        raise InputError("name", name, answer["error"])
    found = Description.from_data(answer)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, no more
        replace_file(_place(section, name, folder), json.dumps(found.as_data(), indent=1))
    return found


def ask(program: str, arguments: Sequence[str], *, folder: str) -> dict[str, Any]:
    """Return what a program says in the last line of its output; the user's code runs there, and not here.

    What cannot be had is an `error`: what would be allowed instead.
    """
    path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-P", "-m", program, *arguments]
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


def file_hash(path: Path) -> str:
    """Return the sha256 of a file; empty where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
