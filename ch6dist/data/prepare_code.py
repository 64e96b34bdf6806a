"""Take images from code: the user's own function, or a data set of torchvision or of Hugging Face's `datasets`.

    python -m ch6dist.data.prepare_code '{"kind": "code", "place": "mydata:load", "folder": "/cache/made", …}'

As ch6dist/data/prepare.py, which this is beside: it imports torch, and runs the user's code.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image

from ch6dist.catalog.dataset_files import data_root
from ch6dist.data.arrays import Part, check_parts, checked, facts, save
from ch6dist.data.decode import GREY, fitted
from ch6dist.data.prepare import CONTENT_DIGITS, main
from ch6dist.errors import MISSING, InputError, UsageError, suggestion
from ch6dist.objects.find import find, module_of, provide, why
from ch6dist.objects.source import sources_of

TORCHVISION, HUB = "torchvision", "hf"
Parts = tuple[Part, Part | None, tuple[str, ...]]  # to train on, to test on, the names of the classes


def prepare(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Take what is asked for; return what was found. Raises InputError or UsageError for what cannot be used."""
    name, more = asked["place"], {}
    library, _, rest = name.partition("/")
    try:
        if asked["kind"] == "code":
            train, test, class_names = _of_code(asked)
            sources = sources_of(module_of(name))
            more = {"files": dict(sources.files), "root": sources.root}
            code = {"code": sources.code} if sources.code else {}
        else:
            train, test, class_names = (_of_torchvision if library == TORCHVISION else _of_hub)(rest, asked)
            code = {}
    except (InputError, UsageError):
        raise
    except Exception as error:
        raise InputError("name", name, f"code that can be used: {why(error)}") from None
    classes = check_parts("name", name, train, test, class_names=class_names)
    save(Path(asked["folder"]), train=train, test=test, class_names=class_names, classes=classes)
    return {"found": {"content": _content(train, test), **facts(train, test, classes=classes), **code}, **more}


def _of_code(asked: Mapping[str, Any]) -> Parts:
    """Call the user's function once for each part; without a test set it returns None for it."""
    name, code = asked["place"], asked.get("code", "")
    if code:  # of a run, which has kept its files
        provide(code, Path(asked["home"]))
    load = find("data", name, code=code)
    if not callable(load):
        raise InputError("name", name, f"a function; it is of type {type(load).__name__}")
    found: dict[str, Part | None] = {}
    for part in ("train", "test"):
        given = load(split=part)
        if given is None and part == "test":
            found[part] = None
            continue
        if not isinstance(given, (tuple, list)) or len(given) != 2:
            allowed = f"a function that returns images and labels for split={part!r}; it returns {_kind(given)}"
            raise InputError("name", name, allowed)
        begins = "test_" if part == "test" else ""
        images, labels = (one.numpy(force=True) if isinstance(one, torch.Tensor) else one for one in given)
        found[part] = checked("name", name, images, labels, part=begins, channels=asked["channels"])
    train = found["train"]
    assert train is not None
    return train, found["test"], ()


def _of_torchvision(name: str, asked: Mapping[str, Any]) -> Parts:
    """Read a data set of torchvision with train=True and False, else split="train" and "test"."""
    kinds = {key: kind for key, kind in vars(torchvision.datasets).items() if inspect.isclass(kind)}
    if name not in kinds:
        near = suggestion(f"{TORCHVISION}/{name}", [f"{TORCHVISION}/{known}" for known in kinds])
        raise InputError("name", asked["place"], f"{near}one of the {len(kinds)} that torchvision has")
    takes = inspect.signature(kinds[name]).parameters
    options: dict[str, Any] = {"root": str(data_root(asked["root"] or None))} if "root" in takes else {}
    if "download" in takes:
        options["download"] = asked["download"]
    parts: dict[str, dict[str, Any]] = {"train": {}}
    if "train" in takes or "split" in takes:
        key, values = ("train", (True, False)) if "train" in takes else ("split", ("train", "test"))
        parts = {part: {key: value} for part, value in zip(("train", "test"), values, strict=True)}
    try:
        sets: dict[str, Any] = {part: kinds[name](**options, **chosen) for part, chosen in parts.items()}
    except (RuntimeError, OSError) as error:  # torchvision raises the one, urllib the other
        raise _not_there(asked, options.get("root", ""), error) from None
    names = tuple(map(str, getattr(sets["train"], "classes", ())))
    found = {part: _pictures(data, asked) for part, data in sets.items()}
    return found["train"], found.get("test"), names


def _of_hub(name: str, asked: Mapping[str, Any]) -> Parts:
    """Read a data set of the `datasets` package: its splits train and test (else validation), image and class label."""
    try:
        library: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise UsageError(f"datasets is not installed ({error})", "pip install datasets") from None
    try:
        splits = library.load_dataset(name)
    except Exception as error:  # it raises a kind of its own for each trouble
        raise _not_there(asked, "the cache of Hugging Face", error) from None
    features = splits["train"].features
    image, label = (_column(asked, features, kind) for kind in ("Image", "ClassLabel"))
    held = next((part for part in ("test", "validation", "valid") if part in splits), None)
    found = [
        _pictures(((row[image], row[label]) for row in splits[part]), asked) if part else None
        for part in ("train", held)
    ]
    assert found[0] is not None
    return found[0], found[1], tuple(features[label].names)


def _column(asked: Mapping[str, Any], features: Mapping[str, Any], kind: str) -> str:
    columns = [name for name, feature in features.items() if type(feature).__name__ == kind]
    if not columns:
        raise InputError("name", asked["place"], f"a data set with a column of the type {kind}")
    return columns[0]


def _not_there(asked: Mapping[str, Any], place: str, error: Exception) -> UsageError:
    said = (str(error).strip().splitlines() or [""])[0]
    if asked["download"]:
        return UsageError(f"{asked['place']} could not be downloaded: {type(error).__name__}: {said}")
    return UsageError(f"{asked['place']} is not in {place}", f"`ch6dist data {asked['place']}` downloads it")


def _pictures(items: Iterable[tuple[Any, Any]], asked: Mapping[str, Any]) -> Part:
    """Return pairs of an image of PIL's and a label as arrays; InputError for other things, and for several sizes."""
    name, size = asked["place"], asked["size"] and tuple(asked["size"])
    images, labels = [], []
    for image, label in items:
        if not isinstance(image, Image.Image) or not isinstance(label, (int, np.integer)):
            raise InputError("name", name, f"images with a class each; it has {_kind(image)} with {_kind(label)}")
        images.append(image)
        labels.append(int(label))
    channels = asked["channels"] or (1 if all(image.mode in GREY for image in images) else 3)
    sizes = sorted({(image.height, image.width) for image in images})
    if not size and len(sizes) > 1:
        meaning = f"the height and width to resize to: the images differ, from {sizes[0]} to {sizes[-1]}"
        raise InputError("size", MISSING, meaning)
    pixels = np.stack([fitted(image, channels=channels, size=size) for image in images])
    return checked("name", name, pixels, np.array(labels), channels=channels)


def _kind(given: Any) -> str:
    return f"{type(given).__name__} of {len(given)}" if isinstance(given, (tuple, list)) else type(given).__name__


def _content(train: Part, test: Part | None) -> str:
    whole = hashlib.sha256()
    for part in filter(None, (train, test)):
        for array in (part.images, part.labels):
            whole.update(repr(array.shape).encode())
            whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()[:CONTENT_DIGITS]


if __name__ == "__main__":
    answer = os.dup(1)  # whatever the user's code prints, the answer is the last line
    os.dup2(2, 1)
    main(prepare, answer)
