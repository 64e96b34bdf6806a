"""A folder of images, a folder per class, as torchvision's ImageFolder has it: which files are what. Opens none.

    listing = list_folder(Path("flowers"))      # flowers/train/rose/1.jpg, flowers/test/rose/2.jpg, …
    listing.classes, listing.train[0]           # ('rose', 'tulip'), ('train/rose/1.jpg', 0)

The classes are the folders' names, in alphabetical order. A tenth of each class is the test set where no folder is: it
is drawn by the names of the files, the same for every seed, so no trial trains on what another is tested on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ch6dist.catalog.text import listed
from ch6dist.errors import InputError

KINDS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
HELD_OUT = 10  # one image of so many is a test image, where there is no folder of them
Labelled = tuple[str, int]  # path below the folder, label


@dataclass(frozen=True)
class Listing:
    """The images of a folder."""

    classes: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]

    @property
    def every(self) -> tuple[Labelled, ...]:
        """Return all images, those to train on first."""
        return (*self.train, *self.test)


def list_folder(folder: Path) -> Listing:
    """Return the images of `folder`: of train/ and test/ (else val/) in it, or of the classes that lie in it.

    Beside test/, val/ belongs to train/: the validation split is drawn from all that is there to train on. Raises
    InputError, its key `folder`, for a folder that is missing, has fewer than two classes, or a class without images.
    """
    if not folder.is_dir():
        raise InputError("folder", str(folder), "a folder of images that is there")
    has_parts = (folder / "train").is_dir() and bool(_folders(folder / "train"))
    held = next((part for part in ("test", "val") if has_parts and _folders(folder / part)), None)
    parts = ["train", *(["val"] if held == "test" and _folders(folder / "val") else [])] if has_parts else [""]
    classes = _folders(folder / parts[0])
    if len(classes) < 2:
        raise InputError("folder", str(folder), f"a folder per class, at least two{_where(parts[0])}")
    train = [image for part in parts for image in _labelled(folder, part, classes)]
    if empty := sorted(set(range(len(classes))) - {label for _, label in train}):
        names = listed([str(Path(parts[0], classes[label])) for label in empty])
        raise InputError("folder", str(folder), f"images in the folder of every class; these have none: {names}")
    if not has_parts:
        return Listing(classes, *_divided(train))
    test = _labelled(folder, held, classes) if held else []
    if held and not test:
        raise InputError("folder", str(folder), f"images in {held}/, or no {held}/")
    return Listing(classes, tuple(train), tuple(test))


def _labelled(folder: Path, part: str, classes: Sequence[str]) -> list[Labelled]:
    """Return the images of a part; InputError where it has a class that is not among `classes`."""
    if strange := [name for name in _folders(folder / part) if name not in classes]:
        raise InputError(
            "folder", str(folder), f"in {part}/ the classes of train/; it has none called {listed(strange)}"
        )
    return [(path, label) for label, name in enumerate(classes) for path in _images(folder, Path(part, name))]


def _images(folder: Path, below: Path) -> Iterator[str]:
    """Yield the images below a class's folder in alphabetical order, as paths below `folder`."""
    found = []
    for place, folders, files in os.walk(folder / below, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [os.path.join(place, name) for name in files if name.lower().endswith(KINDS) and name[0] != "."]
    prefix = len(str(folder)) + 1
    yield from sorted(path[prefix:].replace(os.sep, "/") for path in found)


def _folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders in `folder`, none where it is not there; hidden ones do not count."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")))


def _divided(images: Sequence[Labelled]) -> tuple[tuple[Labelled, ...], tuple[Labelled, ...]]:
    """Return the images to train on, and a tenth of each class to test on: those whose paths have the least hashes."""
    by_class: dict[int, list[str]] = {}
    for path, label in images:
        by_class.setdefault(label, []).append(path)
    held: set[str] = set()
    for paths in by_class.values():
        held |= set(sorted(paths, key=_drawn)[: len(paths) // HELD_OUT])
    return tuple(one for one in images if one[0] not in held), tuple(one for one in images if one[0] in held)


def _drawn(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def _where(part: str) -> str:
    return f" in {part}/" if part else ""
