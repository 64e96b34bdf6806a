"""Image files to bytes: each is decoded once, by all cores, into memory that they share.

    job = Job(Path("flowers"), ("train/rose/1.jpg",), channels=3, height=32, width=32, resize=False)
    images, outcomes = job.run(processes=2, say=print)      # outcomes: the hash of each file, what is wrong with it

Neither torch nor a thread is in the process that forks the others.
"""

from __future__ import annotations

import gc
import hashlib
import io
import math
import mmap
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = ("1", "L", "LA")
DEEP = ("I", "F")  # how the modes of more than 8 bits per channel begin
CHUNK = 128  # images that a process decodes at a time
ALONE = 256  # images up to which starting other processes takes longer than it saves

Trouble = Literal["damaged", "deep", "size", "colour"]


class Outcome(NamedTuple):
    """What became of one image."""

    path: str
    digest: str  # sha256 of the file; empty where it cannot be read
    trouble: Trouble | None = None
    detail: str = ""


@dataclass(frozen=True)
class Job:
    """Images to decode, all to one shape."""

    folder: Path
    paths: tuple[str, ...]
    channels: int
    height: int
    width: int
    resize: bool  # else another size is trouble
    grey_only: bool = False  # a coloured image is trouble

    def run(self, *, processes: int, say: Callable[[int], None]) -> tuple[NDArray[np.uint8], list[Outcome]]:
        """Decode all; return the images, [len(paths), channels, height, width], and what became of each.

        Args:
            say: told how many are done.
        """
        shape = (len(self.paths), self.channels, self.height, self.width)
        images = np.frombuffer(mmap.mmap(-1, math.prod(shape)), dtype=np.uint8).reshape(shape)
        _RUNNING[:] = [(self, images)]  # before the others are forked: they have it, and this process what they write
        starts = range(0, len(self.paths), CHUNK)
        if len(self.paths) <= ALONE or processes < 2:
            return images, _collect(map(_chunk, starts), say)
        with multiprocessing.get_context("fork").Pool(min(processes, len(starts)), gc.disable) as pool:  # no cycles
            return images, _collect(pool.imap(_chunk, starts), say)


_RUNNING: list[tuple[Job, NDArray[np.uint8]]] = []  # the job that runs and its images: sent to nobody with each chunk


def _collect(chunks: Iterable[list[Outcome]], say: Callable[[int], None]) -> list[Outcome]:
    found: list[Outcome] = []
    for chunk in chunks:
        found += chunk
        say(len(found))
    return found


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def probe(folder: Path, paths: Sequence[str]) -> Iterator[tuple[int, int, bool]]:
    """Yield height, width and whether it is grey of each image that can be opened."""
    for path in paths:
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(folder / path) as image:
                yield image.height, image.width, image.mode in GREY
        except Exception:  # the decoding names it
            continue


def fitted(image: Image.Image, *, channels: int, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return an image as bytes [C, H, W]: grey or RGB; resized with antialiasing to `size`, (height, width)."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    if size is not None and (image.height, image.width) != size:
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)  # over the whole area that shrinks
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _chunk(start: int) -> list[Outcome]:
    [(job, images)] = _RUNNING
    with warnings.catch_warnings(action="ignore"):  # of metadata that is odd: the pixels count
        return [
            _decode(job, path, images[number])
            for number, path in enumerate(job.paths[start : start + CHUNK], start=start)
        ]


def _decode(job: Job, path: str, row: NDArray[np.uint8]) -> Outcome:
    try:
        with open(f"{job.folder}/{path}", "rb", buffering=0) as file:
            content = file.read()
        digest = hashlib.sha256(content).hexdigest()
    except OSError as error:
        return Outcome(path, "", "damaged", str(error))
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode.startswith(DEEP):
                return Outcome(path, digest, "deep", image.mode)
            if job.grey_only and image.mode not in GREY:
                return Outcome(path, digest, "colour")
            if not job.resize and (image.height, image.width) != row.shape[1:]:
                return Outcome(path, digest, "size", f"{image.height}×{image.width}")
            row[:] = fitted(image, channels=job.channels, size=(job.height, job.width) if job.resize else None)
    except Exception as error:  # PIL raises all kinds
        return Outcome(path, digest, "damaged", f"{type(error).__name__}: {error}")
    return Outcome(path, digest)
