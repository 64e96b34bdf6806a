"""Reads the folder that `ch6dist look` has written.

network = load_network(Path("out/network"))
network.tables["layers.csv"]                # a table
network.arrays["maps.conv1"]                # [images, maps, rows, columns]
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.chapter.index import read_index
from ch6dist.catalog.look import ARRAYS, FORMAT, INDEX, KIND, SPLITS, TABLES, WITH_SUPERCLASSES
from ch6dist.catalog.text import one_line
from ch6dist.errors import UsageError
from ch6dist.paths import given_path

TEXT = {"layer", "kind", "shape", "true", "predicted", "class", "superclass", "further"}
LATER = {"further"}  # columns that older looks have not: the last ones, and empty
# what numpy, pandas and zipfile raise for files that are cut off, overwritten, encrypted or of another kind
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError)
DAMAGED_ARCHIVE = (zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Network:
    """What was seen of a trained network: network.json, the arrays, and the tables by the names of their files."""

    index: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    tables: Mapping[str, pd.DataFrame]

    @property
    def synthetic(self) -> bool:
        """Return whether its images are generated."""
        return bool(self.dataset["synthetic"])

    @property
    def dataset(self) -> Mapping[str, Any]:
        """Return what network.json says of its data."""
        return dict(self.index["data"])

    @property
    def split(self) -> str:
        """Return what its split is called: validation or test."""
        return SPLITS[self.index["split"]]

    @property
    def filters(self) -> dict[str, NDArray[Any]]:
        """Return the filters that are kept of each convolution, [filters, channels, rows, columns], by layer."""
        return self._below("filters.")

    @property
    def maps(self) -> dict[str, NDArray[Any]]:
        """Return the feature maps of layers, [images, maps, rows, columns] or [images, features], in their order."""
        return self._below("maps.")

    @property
    def whole(self) -> str:
        """Return how many images of which split were looked at: `5,000 validation images`."""
        return f"{self.index['images']:,} {self.split} images"

    @property
    def subject(self) -> str:
        """Return what is looked at, as a caption says it: model, data, trial and checkpoint."""
        index, checkpoint = self.index, self.index["checkpoint"]
        return one_line(
            f"{index['model']['name']} on {index['data']['name']}, {index['label']} (trial {index['trial']}), its "
            f"{checkpoint['name']} checkpoint, epoch {checkpoint['epoch']} of {checkpoint['epochs']}."
        )

    def layer(self, name: str) -> Mapping[str, Any]:
        """Return the row of a layer."""
        table = self.tables["layers.csv"]
        return dict(table[table["layer"] == name].iloc[0])

    def _below(self, prefix: str) -> dict[str, NDArray[Any]]:
        names = [f"{prefix}{layer}" for layer in self.tables["layers.csv"]["layer"]]
        return {name.removeprefix(prefix): self.arrays[name] for name in names if name in self.arrays}


def load_network(folder: Path) -> Network:
    """Return what lies in a folder. UsageError if that is no look at a network, a newer one, or not whole."""
    folder = given_path(folder, key="FOLDER")
    command = f"ch6dist look RUN TRIAL -o {folder}"
    index = read_index(folder / INDEX, kind=KIND, version=FORMAT, command=command)
    try:
        network = Network(index, _arrays(folder), _tables(folder, index))
        _check(network)
    except (*DAMAGED, *DAMAGED_ARCHIVE) as error:
        raise UsageError(
            f"{folder} is not whole: {type(error).__name__}: {error}", f"write it again with `{command}`"
        ) from None
    return network


def _arrays(folder: Path) -> dict[str, NDArray[Any]]:
    content = io.BytesIO((folder / ARRAYS).read_bytes())  # numpy would leave a damaged file open
    with np.load(content, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _tables(folder: Path, index: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    needed = [name for name in TABLES if name != WITH_SUPERCLASSES or index["data"]["superclasses"]]
    return {name: _table(folder / name, list(TABLES[name])) for name in needed}


def _table(path: Path, expected: list[str]) -> pd.DataFrame:
    texts = dict.fromkeys(TEXT & set(expected), str)
    table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={n: [""] for n in set(expected) - TEXT})
    for name in LATER & set(expected) - set(table.columns):
        table[name] = ""
    if list(table.columns) != expected:
        raise ValueError(f"{path.name} has other columns than {', '.join(expected)}")
    words = [name for name in table.columns if name not in TEXT and not pd.api.types.is_numeric_dtype(table[name])]
    if words and len(table):
        raise ValueError(f"{path.name} has words for numbers in {', '.join(words)}")
    return table


def _check(network: Network) -> None:
    """Raise ValueError or KeyError where the files are not of one look, or lack what is drawn."""
    index, arrays, tables = network.index, network.arrays, network.tables
    classes, shown = index["data"]["classes"], len(tables["images.csv"])
    found = arrays["confusion"].shape, len(tables["classes.csv"]), len(arrays["samples"]), len(arrays["samples_found"])
    if found != ((classes, classes), classes, classes, classes):
        raise ValueError(f"its files are not all of {classes} classes")
    if arrays["confusion"].sum() != index["images"] or not index["images"]:
        raise ValueError(f"the confusion is not that of {index['images']} images")
    if any(len(maps) != shown for maps in [arrays["images"], *network.maps.values()]):
        raise ValueError(f"the feature maps are not all of {shown} images")
    if network.filters.keys() != index["filters"].keys() or any(f.ndim != 4 for f in network.filters.values()):
        raise ValueError("filters of another network")
    if arrays["augmented"].ndim != 5 or arrays["samples"].ndim != 5 or arrays["images"].ndim != 4:
        raise ValueError("images of another shape")
    network.subject, network.whole  # noqa: B018 — what every caption says has to be there
