"""Decode a folder of images, or read an .npz file, for ch6dist/catalog/own_data.py, which asks this program.

    python -m ch6dist.data.prepare '{"kind": "folder", "place": "/data/flowers", "folder": "/cache/made", …}'

The last line of stdout is one of JSON: what was found, or an error. On stderr it says what memory it takes, then its
progress. It imports no torch: a folder is read in the time that the decoding takes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ch6dist.catalog.image_folder import Labelled, Listing, list_folder
from ch6dist.catalog.text import listed
from ch6dist.data.arrays import Part, check_parts, checked, facts, save
from ch6dist.data.decode import Job, Outcome, cores, probe
from ch6dist.errors import MISSING, InputError, UsageError

SAID_FROM = 1000  # images from which on memory and progress are worth a word
SECONDS = {True: 0.2, False: 10.0}  # between two words of progress: on a terminal, elsewhere
CONTENT_DIGITS = 16


def prepare_folder(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Decode all images of a folder; return what was found. Raises InputError for what cannot be used."""
    folder, made = Path(asked["place"]), Path(asked["folder"])
    listing = list_folder(folder)
    job = _job(asked, folder, listing)
    _announce(asked, job, made)
    images, outcomes = job.run(processes=cores(), say=_progress(len(job.paths)))
    if job.grey_only and any(one.trouble == "colour" for one in outcomes):  # the first of a class were grey
        return prepare_folder({**asked, "channels": 3})
    sound, count = _sound(asked, job, outcomes), len(listing.train)
    train = _part(images[:count], listing.train, sound[:count])
    test = _part(images[count:], listing.test, sound[count:]) if listing.test else None
    check_parts("folder", str(folder), train, test, class_names=listing.classes)
    save(made, train=train, test=test, class_names=listing.classes, classes=len(listing.classes))
    content = _digest(f"{one.path} {one.digest}" for one in outcomes)
    return {"found": {"content": content, **facts(train, test, classes=len(listing.classes))}}


def _part(decoded: NDArray[np.uint8], images: Sequence[Labelled], sound: NDArray[np.bool_]) -> Part:
    """Return the decoded images that can be used."""
    labels = np.array([label for _, label in images], dtype=np.int64)
    return Part(decoded, labels) if sound.all() else Part(decoded[sound], labels[sound])


def prepare_npz(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Read `images` and `labels`, perhaps `test_images`, `test_labels` and `class_names` of a file; as above."""
    path, made = asked["place"], Path(asked["folder"])
    arrays = _arrays(path)
    for name in ("images", "labels", *(["test_images", "test_labels"] if _has_test(arrays) else [])):
        if name not in arrays:
            raise InputError("npz", path, f"an array called {name}; it has {listed(sorted(arrays)) or 'none'}")
    options = {"channels": asked["channels"]}
    train = checked("npz", path, arrays["images"], arrays["labels"], **options)
    test = None
    if _has_test(arrays):
        test = checked("npz", path, arrays["test_images"], arrays["test_labels"], part="test_", **options)
    names = [str(name) for name in arrays.get("class_names", [])]
    classes = check_parts("npz", path, train, test, class_names=names)
    save(made, train=train, test=test, class_names=names, classes=classes)
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()[:CONTENT_DIGITS]
    return {"found": {"content": content, **facts(train, test, classes=classes)}}


def _has_test(arrays: Mapping[str, Any]) -> bool:
    return "test_images" in arrays or "test_labels" in arrays


def _arrays(path: str) -> dict[str, Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise ValueError("it holds one array, without a name")
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # numpy raises all kinds for what is no such file
        said = " ".join(str(error).split())
        raise InputError("npz", path, f"a file that numpy.savez wrote ({type(error).__name__}: {said})") from None


def _job(asked: Mapping[str, Any], folder: Path, listing: Listing) -> Job:
    """Return what is to be decoded, its shape taken from the first image of each class that can be opened."""
    firsts = {label: path for path, label in reversed(listing.every)}
    paths = tuple(path for path, _ in listing.every)
    seen = list(probe(folder, [firsts[label] for label in sorted(firsts)])) or list(probe(folder, paths))
    if not seen:
        raise InputError("folder", str(folder), f"images; these are damaged: {listed(paths)}")
    channels = asked["channels"] or (1 if all(is_grey for *_, is_grey in seen) else 3)
    if channels not in (1, 3):
        raise InputError("channels", channels, "1, grey, or 3, red, green and blue, for the images of a folder")
    height, width = asked["size"] or seen[0][:2]
    grey_only = channels == 1 and not asked["channels"]
    return Job(folder, paths, channels, height, width, resize=bool(asked["size"]), grey_only=grey_only)


def _sound(asked: Mapping[str, Any], job: Job, outcomes: Sequence[Outcome]) -> NDArray[np.bool_]:
    """Return which images can be used, [N]; raise InputError for those that cannot, unless they are to be left out."""
    if deep := [one.path for one in outcomes if one.trouble == "deep"]:
        raise InputError("folder", str(job.folder), f"images of 8 bits per channel; these have more: {listed(deep)}")
    if other := [f"{one.detail} ({one.path})" for one in outcomes if one.trouble == "size"]:
        first = f"{job.height}×{job.width}"
        meaning = f"the height and width to resize to: the images differ, {first} and {listed(other)}"
        raise InputError("size", MISSING, meaning)
    damaged = [one.path for one in outcomes if one.trouble == "damaged"]
    if damaged and not asked["skip_damaged"]:
        allowed = f"images that can be read, or skip_damaged: true; damaged: {listed(damaged)}"
        raise InputError("folder", str(job.folder), allowed)
    if damaged:
        _say(f"left out, damaged: {listed(damaged)}\n")
    return np.array([one.trouble is None for one in outcomes])


def _announce(asked: Mapping[str, Any], job: Job, made: Path) -> None:
    """Say what it takes, before it is taken; UsageError where the disk has not the room."""
    size = len(job.paths) * job.channels * job.height * job.width
    free = shutil.disk_usage(made).free
    if size > free:
        message = f"the images of {job.folder} take {size / 1e6:,.0f} MB, {made.parent} has {free / 1e6:,.0f} MB free"
        raise UsageError(message, "a smaller `size`, or XDG_CACHE_HOME on another disk")
    if len(job.paths) >= SAID_FROM:
        shape = f"{len(job.paths):,} images of {job.channels} × {job.height} × {job.width}"
        _say(f"reading {job.folder}: {shape}, {size / 1e6:,.0f} MB of memory\n")


def _progress(total: int) -> Callable[[int], None]:
    """Return what tells a person how far it is: on a terminal in one line that changes."""
    is_terminal, began = sys.stderr.isatty(), time.monotonic()
    due = began + SECONDS[is_terminal]

    def say(done: int) -> None:
        """Say how many of the images have been read, if the last word is long enough ago."""
        nonlocal due
        now = time.monotonic()
        if total < SAID_FROM or (now < due and not (is_terminal and done == total)):
            return
        due = now + SECONDS[is_terminal]
        start, end = ("\r", "\n" if done == total else "") if is_terminal else ("", "\n")
        _say(f"{start}read {done:,} of {total:,} images, {now - began:.0f} s{end}")

    return say


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _digest(lines: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for line in lines:
        whole.update(f"{line}\n".encode())
    return whole.hexdigest()[:CONTENT_DIGITS]


def main(prepare: Callable[[Mapping[str, Any]], dict[str, Any]], output: int = 1) -> None:
    """Print what was found, or the error, as one line of JSON, to the file descriptor `output`."""
    try:
        content = prepare(json.loads(sys.argv[1]))
    except InputError as error:
        value = {} if error.value is MISSING else {"value": error.value}
        content = {"input": {"key": error.key, "allowed": error.allowed, **value}}
    except UsageError as error:
        content = {"usage": [error.message, error.hint]}
    with open(output, "w", encoding="utf-8", closefd=False) as answer:
        answer.write(f"{json.dumps(content)}\n")


def prepare(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Decode what is asked for."""
    return prepare_npz(asked) if asked["kind"] == "npz" else prepare_folder(asked)


if __name__ == "__main__":
    main(prepare)
