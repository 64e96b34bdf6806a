"""Image files to bytes: each is decoded once, by all cores, straight into the file that every trial reads.

    job = Job(Path("flowers"), Path("images.npy"), ("train/rose/1.jpg",), channels=3, height=32, width=32, resize=False)
    job.run(say=print)      # the hash of each file; Damaged, or an InputError, for what cannot be used

Neither torch nor a thread is in the process that forks the others.
"""

from __future__ import annotations

import gc
import hashlib
import io
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GREY = ("1", "L", "LA")
DEEP = ("I", "F")  # how the modes of more than 8 bits per channel begin
CHUNK = 128  # images that a process decodes at a time
ALONE = 256  # images up to which starting other processes takes longer than it saves

Trouble = Literal["damaged", "deep", "size", "colour"]


@dataclass(frozen=True)
class Outcome:
    """What became of one image."""

    path: str
    digest: str  # sha256 of the file; empty where it cannot be read
    trouble: Trouble | None = None
    detail: str = ""


@dataclass(frozen=True)
class Job:
    """Images to decode, all to one shape."""

    folder: Path
    output: Path  # the folder of train_images.npy and test_images.npy, [N, channels, height, width] bytes
    paths: tuple[str, ...]  # those to train on first
    train: int  # how many these are
    channels: int
    height: int
    width: int
    resize: bool  # else another size is trouble
    grey_only: bool = False  # a coloured image is trouble

    def run(self, *, processes: int, say: Callable[[int], None]) -> list[Outcome]:
        """Decode all; return what became of each, in order.

        Args:
            say: told how many are done.
        """
        shape = (self.channels, self.height, self.width)
        for part, count in (("train", self.train), ("test", len(self.paths) - self.train)):
            np.lib.format.open_memmap(self.file(part), mode="w+", dtype=np.uint8, shape=(count, *shape))
        starts = range(0, len(self.paths), CHUNK)
        found: list[Outcome] = []
        if len(self.paths) <= ALONE or processes < 2:
            return self._collect(map(partial(_chunk, self), starts), found, say)
        with multiprocessing.get_context("fork").Pool(min(processes, len(starts))) as pool:
            return self._collect(pool.imap(partial(_chunk, self), starts), found, say)

    def file(self, part: Literal["train", "test"]) -> Path:
        """Return where the images of a part go."""
        return self.output / f"{part}_images.npy"

    def _collect(
        self, chunks: Iterable[list[Outcome]], found: list[Outcome], say: Callable[[int], None]
    ) -> list[Outcome]:
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


def _chunk(job: Job, start: int) -> list[Outcome]:
    gc.disable()  # an image leaves no cycles, and the search for them would look at every name of a file
    train, test = (_mapped(job.file(part)) for part in ("train", "test"))
    with warnings.catch_warnings(action="ignore"):  # of metadata that is odd: the pixels count
        return [
            _decode(job, path, train[number] if number < job.train else test[number - job.train])
            for number, path in enumerate(job.paths[start : start + CHUNK], start=start)
        ]


def _mapped(path: Path) -> NDArray[np.uint8]:
    return np.asarray(np.lib.format.open_memmap(path, mode="r+"))  # a plain array, whose rows are taken faster


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
