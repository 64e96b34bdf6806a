"""Images of the user's own, and of libraries: what is known of them is found out once, and they are decoded once.

    source = source_of({"folder": "flowers", "size": [32, 32]})
    found = found_in(source)                # its content's hash, shapes and counts; reads all files the first time
    prepared(source, found)                 # the folder of the user's cache that has the decoded images
    adopt(source, config["data"]["found"])  # of a run's record: nothing is looked at to read a run

Nothing here opens an image: a subprocess does (ch6dist/data/prepare.py, and prepare_code.py for what is imported).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ch6dist.catalog.asked import NoAnswerError, answer_of
from ch6dist.catalog.described import Description, home_of, keep
from ch6dist.catalog.fingerprints import file_hash, installed_version
from ch6dist.catalog.image_folder import list_folder
from ch6dist.errors import MISSING, InputError, UsageError
from ch6dist.paths import cache_folder
from ch6dist.storage.atomic import replace_file

Kind = Literal["folder", "npz", "library", "code"]
PROGRAMS: dict[Kind, str] = {
    "folder": "ch6dist.data.prepare",
    "npz": "ch6dist.data.prepare",
    "library": "ch6dist.data.prepare_code",
    "code": "ch6dist.data.prepare_code",
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}  # a download is asked for by `ch6dist data`
ABOUT = "about.json"  # beside the decoded images: the names of the classes
DIGITS = 16


@dataclass(frozen=True)
class Source:
    """Where images are, and what is to be made of them."""

    kind: Kind
    place: str  # a path, or a name
    size: tuple[int, int] | None = None  # height, width
    channels: int | None = None
    skip_damaged: bool = False
    root: str = ""  # the data root, for what a library downloads

    @property
    def name(self) -> str:
        """Return what it is called: `folder/flowers`, `npz/digits`, or the name in the file."""
        return self.place if self.kind in ("library", "code") else f"{self.kind}/{Path(self.place).stem}"


@dataclass(frozen=True)
class Found:
    """What was found in the images."""

    content: str  # a hash of the files, or of the arrays that code returned
    channels: int
    height: int
    width: int
    classes: int
    train_images: int
    test_images: int
    code: str = ""  # the hash of the user's own files that made them

    def as_data(self) -> dict[str, Any]:
        """Return it as a trial's record has it."""
        return {key: value for key, value in asdict(self).items() if value != ""}


_FOUND: dict[Source, Found] = {}  # looked at by this process, or recorded by a run that it has read


def forget() -> None:
    """Forget what this process has seen: files may have changed since."""
    _FOUND.clear()


def adopt(source: Source, recorded: Mapping[str, Any]) -> None:
    """Know what a run has recorded of a source."""
    known = {field.name for field in fields(Found)}
    _FOUND[source] = Found(**{key: value for key, value in recorded.items() if key in known})


def found_in(source: Source) -> Found:
    """Return what is in a source, by this process's memory, the user's cache or a look at every file.

    Raises InputError, its key relative to the section `data`, or UsageError.
    """
    if source not in _FOUND:
        _FOUND[source] = look(source)
    return _FOUND[source]


def verify(source: Source, found: Found) -> None:
    """Raise UsageError where the files of a source are no longer what was found; InputError as `found_in`."""
    now = look(source, code=found.code)
    if now.content != found.content:
        message = f"{source.name} is not what it was: its content has the hash {now.content}, not {found.content}"
        raise UsageError(message, "the trial was made with other images; a new run takes those that are there now")


def look(source: Source, *, download: bool = False, code: str = "") -> Found:
    """Look at a source anew, at no image that has not changed.

    Args:
        download: let a library get what is not there, and decode all again.
        code: the hash of files that a run has kept: they are called, whatever the working directory has by now.
    """
    home = home_of(code) if code else ""
    with _alone(source):
        index = _index(source, home)
        kept = None if download else _kept(index)
        if kept and all(file_hash(Path(kept["root"], path)) == known for path, known in kept["files"].items()):
            return _known(source, Found(**kept["found"]), kept)
        with _decoded(source, {"download": download, **({"code": code, "home": home} if home else {})}) as answer:
            found = Found(**answer["found"])
            _keep(Path(answer["folder"]), _place(found))
        content = {"found": found.as_data(), "files": answer.get("files", {}), "root": answer.get("root", "")}
        replace_file(index, json.dumps(content))
        return _known(source, found, content)


def prepared(source: Source, found: Found) -> Path:
    """Return the folder with the decoded images, after decoding them if it is not there.

    Raises UsageError where the files are no longer what was found, or are not on this host.
    """
    place = _place(found)
    if place.is_dir():
        return place
    try:
        _index(source, home_of(found.code)).unlink(missing_ok=True)
        verify(source, found)
    except InputError as error:
        message = f"{source.name} cannot be read on this host: {error}"
        raise UsageError(message, "every host reads it from the same path") from None
    return place


def class_names_of(source: Source, found: Found) -> tuple[str, ...]:
    """Return the names of the classes; the numbers where it has none."""
    content = json.loads((prepared(source, found) / ABOUT).read_text(encoding="utf-8"))
    return tuple(content["class_names"])


def _home() -> Path:
    return cache_folder() / "data"


def _place(found: Found) -> Path:
    key = f"{found.content}-{found.channels}x{found.height}x{found.width}"
    return _home() / "images" / key


def _keep(made: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # the same images are there already, from another place
        made.rename(place)


@contextlib.contextmanager
def _alone(source: Source) -> Iterator[None]:
    """Hold the lock of a source: of several processes on a host that need it, one decodes and the others wait."""
    lock = _home() / f"{_hash(asdict(source))}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _known(source: Source, found: Found, content: Mapping[str, Any]) -> Found:
    """Let a run keep the files of code that has made images."""
    if found.code:
        files = Description("data", source.name, "", (), code=found.code, files=content["files"], root=content["root"])
        keep(files, asked=True)
    return found


def _index(source: Source, home: str) -> Path:
    """Return the file that says what was found: its name changes with names, sizes and times of the source's files."""
    stamp: list[Any] = [asdict(source)]
    if source.kind == "folder":
        for path, label in list_folder(Path(source.place)).every:
            seen = os.stat(f"{source.place}/{path}")
            stamp.append([path, label, seen.st_size, seen.st_mtime_ns])
    elif source.kind == "npz":
        try:
            seen = os.stat(source.place)
        except OSError:
            raise InputError("npz", source.place, "a file that is there, as numpy.savez writes it") from None
        stamp.append([seen.st_size, seen.st_mtime_ns])
    elif source.kind == "code":
        stamp += [os.getcwd(), sys.executable, *([home] if home else [])]
    else:
        library = source.place.partition("/")[0]
        stamp.append(installed_version({"hf": "datasets"}.get(library, library)))
    return _home() / "found" / f"{_hash(stamp)}.json"


def _kept(index: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
        Found(**content["found"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:DIGITS]


@contextlib.contextmanager
def _decoded(source: Source, how: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a subprocess says of a source, with the folder into which it has decoded the images."""
    folder = _home() / f".{_hash(asdict(source))}.making"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed: this one has the lock
    folder.mkdir(parents=True)
    asked = json.dumps({**asdict(source), "folder": str(folder), **how})
    environment = {} if how["download"] else OFFLINE
    try:
        answer = answer_of(PROGRAMS[source.kind], [asked], heard=source.kind != "code", environment=environment)
        yield {**_checked(answer), "folder": str(folder)}
    except NoAnswerError as error:
        hint = "it may need more memory than there is"
        raise UsageError(f"{source.name} could not be read: {error}", hint) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _checked(content: dict[str, Any]) -> dict[str, Any]:
    """Return an answer; raise the error that it tells of."""
    if "input" in content:
        error = content["input"]
        raise InputError(error["key"], error.get("value", MISSING), error["allowed"])
    if "usage" in content:
        raise UsageError(*content["usage"])
    return content
