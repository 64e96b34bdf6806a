"""What was captured of a training, without torch: series over its steps, in a file per epoch of a trial.

    ledger = read(run)
    found = read_captures(run, ledger, trial)
    found["gradients"].of("conv1.weight")               # [steps]: its norm, step by step
    found["gradients"].steps                            # [steps]: the steps, from 1
    found["parameters"].of("conv1.weight", "sample")    # [steps, elements]

Axis 0 of every array is time. A file is an npz archive; its name says trial, attempt and epoch (names.py). An epoch
that is trained again after a kill replaces its file, and a file beyond the rows of the ledger does not count.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ch6dist.errors import UsageError
from ch6dist.runs.folders import captures_root
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.names import capture_name
from ch6dist.storage.files import Folder, open_folder

SHARD_FORMAT = 1


@dataclass(frozen=True)
class Series:
    """One kind of what was captured, such as the gradients, over S steps of N tensors."""

    steps: NDArray[np.int64]  # [S], optimizer steps from 1
    names: tuple[str, ...]  # of the N tensors
    sizes: tuple[int, ...]  # elements of each; of activations, the values per image
    values: Mapping[str, NDArray[Any]]  # by what was kept: `norm`, `mean`, … [S, N]; `sample` [S, elements of all]
    elements: tuple[NDArray[np.int64], ...] = ()  # of `sample`: which elements of each tensor, as if it were flat

    def of(self, name: str, what: str = "norm") -> NDArray[Any]:
        """Return the series of one tensor: [S], of `sample` [S, elements]. KeyError for what was not captured."""
        if name not in self.names or what not in self.values:
            raise KeyError(f"{name}: {what}")
        index = self.names.index(name)
        if what != "sample":
            return self.values[what][:, index]
        start = sum(map(len, self.elements[:index]))
        return self.values[what][:, start : start + len(self.elements[index])]


Captured = Mapping[str, Series]  # by kind


def encode_captured(captured: Captured, *, about: Mapping[str, Any]) -> bytes:
    """Return a file of what was captured in an epoch; the same bytes for the same content.

    Args:
        about: what else to say in it, as plain data: trial, attempt, epoch, workers.
    """
    kinds: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for kind, series in captured.items():
        kinds[kind] = {
            "names": series.names,
            "sizes": series.sizes,
            "counts": [*map(len, series.elements)],
            "values": [*series.values],
        }
        values = {"steps": series.steps, **series.values}
        if series.elements:
            values["elements"] = np.concatenate(series.elements).astype(np.int32)
        arrays |= {f"{kind}.{what}": array for what, array in values.items()}
    content = io.BytesIO()
    head = json.dumps({"format": SHARD_FORMAT, **about, "kinds": kinds})
    np.savez(content, head=np.frombuffer(head.encode(), dtype=np.uint8), **arrays)
    return content.getvalue()


def decode_captured(content: bytes, *, place: str) -> tuple[dict[str, Any], dict[str, Series]]:
    """Return what a file says about itself, and what it holds. UsageError, naming `place`, for any other file."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("head").tobytes())
        found = {kind: _series(kind, said, arrays) for kind, said in about.pop("kinds").items()}
    except Exception as error:  # numpy and zipfile raise many kinds for a damaged file
        hint = "train the trial again (`sweeps rerun`), or remove the folder with its captures"
        raise UsageError(f"{place} is no readable capture ({type(error).__name__})", hint) from error
    if about.get("format", 0) > SHARD_FORMAT:
        raise UsageError(f"{place} was written by a newer ch6dist", "update ch6dist")
    return about, found


def read_captures(run: Path, ledger: Ledger, trial: str) -> dict[str, Series]:
    """Return all that was captured of a trial's newest attempt, up to its last row; empty when it captured nothing.

    Raises UsageError for a file that is missing or damaged, and where the storage does not answer.
    """
    last = max((row["epoch"] for row in ledger.rows if row["trial"] == trial), default=0)
    if not ledger.trials[trial]["config"].get("capture"):
        return {}
    folder = open_folder(captures_root(run, storage=ledger.spec.get("storage")))
    names = [capture_name(trial, epoch, attempt=ledger.attempt(trial)) for epoch in range(1, last + 1)]
    return join_series([_read(folder, name)[1] for name in names], place=f"{folder}/{trial}")


def join_series(shards: Sequence[Captured], *, place: str) -> dict[str, Series]:
    """Return the series of epochs, one behind the other. UsageError, naming `place`, where they do not fit."""
    found: dict[str, Series] = {}
    for kind in dict.fromkeys(kind for shard in shards for kind in shard):
        parts = [shard[kind] for shard in shards if kind in shard]
        first, steps = parts[0], np.concatenate([part.steps for part in parts])
        if not all(_fits(part, first) for part in parts) or np.any(np.diff(steps) <= 0):
            raise UsageError(f"{place}: the epochs do not fit together in {kind}", "train the trial again")
        values = {what: np.concatenate([part.values[what] for part in parts]) for what in first.values}
        found[kind] = Series(steps, first.names, first.sizes, values, first.elements)
    return found


def _fits(part: Series, first: Series) -> bool:
    """Return whether a series is of the same tensors, elements and measures as another one."""
    if (part.names, part.values.keys(), len(part.elements)) != (first.names, first.values.keys(), len(first.elements)):
        return False
    return all(np.array_equal(a, b) for a, b in zip(part.elements, first.elements, strict=True))


def _read(folder: Folder, name: str) -> tuple[dict[str, Any], dict[str, Series]]:
    place = f"{folder}/{name}"
    try:
        content = folder.read(name)
    except OSError as error:
        raise UsageError(f"{place} cannot be read: {error}", "try again") from error
    if content is None:
        raise UsageError(f"{place} is missing, though the ledger has its epoch", "restore it from a copy")
    return decode_captured(content, place=place)


def _series(kind: str, said: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Series:
    values = {what: arrays[f"{kind}.{what}"] for what in said["values"]}
    steps, flat = arrays[f"{kind}.steps"], arrays[f"{kind}.elements"] if said["counts"] else np.empty(0)
    ends = np.cumsum(said["counts"], dtype=int)
    elements = tuple(np.split(flat.astype(np.int64), ends[:-1])) if said["counts"] else ()
    series = Series(steps, tuple(said["names"]), tuple(said["sizes"]), values, elements)
    for what, array in values.items():
        width = len(flat) if what == "sample" else len(series.names)
        if array.shape != (len(steps), width) or sum(said["counts"]) != len(flat):
            raise ValueError(f"{kind}.{what} has shape {array.shape}")
    return series
