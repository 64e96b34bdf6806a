"""The names of a data set's classes and superclasses.

names = class_names("cifar100")
names.classes[11], names.superclasses[14]       # 'boy', 'people'
"""

from __future__ import annotations

from typing import NamedTuple

from ch6dist.catalog.dataset_files import check_file
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.own_data import Found, class_names_of
from ch6dist.data.stored import read_pickle
from ch6dist.trial_sections import DataConfig


class Names(NamedTuple):
    """Names by number: [classes] and [superclasses], the latter empty where there are none."""

    classes: tuple[str, ...]
    superclasses: tuple[str, ...]


def names_of(data: DataConfig) -> Names:
    """Return the names of the classes of a trial's images: of one's own, those of its folders or of its file."""
    if data.source is None or data.found is None:
        return class_names(data.name, root=data.root)
    return Names(class_names_of(data.source, Found(**data.found)), ())


def class_names(name: str, *, root: str | None = None) -> Names:
    """Return the names of a data set's classes: from its own file, else from the catalog, else their numbers.

    DataFilesError if the file with the names is missing or damaged.
    """
    entry = DATASETS[name]
    if entry.names_file is not None:
        content = read_pickle(check_file(name, entry.names_file, root=root))
        keys = (b"fine_label_names", b"coarse_label_names") if entry.coarse_classes else (b"label_names", b"")
        return Names(*(tuple(one.decode() for one in content.get(key, ())) for key in keys))
    kind = "class " if entry.synthetic else ""
    classes = entry.class_names or tuple(f"{kind}{number}" for number in range(entry.classes))
    return Names(classes, tuple(f"superclass {number}" for number in range(entry.coarse_classes)))
