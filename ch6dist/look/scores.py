"""What a network gets right, by class, superclass and confused pair: tables of counts of its confusion matrix.

confusion[true, predicted] counts images. Rows are tuples in the order of the columns of catalog/look.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ch6dist.catalog.look import TOP_PAIRS
from ch6dist.data.names import Names

Counts = NDArray[np.int64]
Row = tuple[Any, ...]
Z = NormalDist().inv_cdf(0.975)


def wilson(correct: int, images: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927); NaN of no images.

    It stays within [0, 1] and holds its level for a few images and for shares near 0, where the usual ± does not.
    """
    if not images:
        return math.nan, math.nan
    share, scale = correct / images, 1 + Z**2 / images
    middle = (share + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / images + Z**2 / (4 * images**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def class_rows(confusion: Counts, names: Names, coarse: Counts | None) -> list[Row]:
    """Return a row per class, in the order of their numbers."""
    rows = []
    for number, name in enumerate(names.classes):
        images, correct = int(confusion[number].sum()), int(confusion[number, number])
        superclass = "" if coarse is None else names.superclasses[coarse[number]]
        rows.append((name, superclass, images, *_accuracy(correct, images)))
    return rows


def superclass_rows(confusion: Counts, names: Names, coarse: Counts) -> list[Row]:
    """Return a row per superclass, in the order of their numbers."""
    rows = []
    for number, name in enumerate(names.superclasses):
        own = np.flatnonzero(coarse == number)
        images = int(confusion[own].sum())
        correct, within = int(confusion[own, own].sum()), int(confusion[np.ix_(own, own)].sum())
        rows.append((name, images, *_accuracy(correct, images), *_accuracy(within, images)))
    return rows


def pair_rows(confusion: Counts, names: Names, coarse: Counts | None) -> list[Row]:
    """Return the most confused pairs, true and predicted: most images first, then the largest share of the class."""
    images = confusion.sum(axis=1)
    return [
        (
            names.classes[true],
            names.classes[predicted],
            int(confusion[true, predicted]),
            int(images[true]),
            int(confusion[predicted, true]),
            int(images[predicted]),
            None if coarse is None else int(coarse[true] == coarse[predicted]),
        )
        for true, predicted in list(_pairs(confusion, images))[:TOP_PAIRS]
    ]


def _pairs(confusion: Counts, images: Counts) -> Iterator[tuple[int, int]]:
    found = [(int(a), int(b)) for a, b in zip(*np.nonzero(confusion), strict=True) if a != b]
    yield from sorted(found, key=lambda pair: (-confusion[pair], images[pair[0]], pair))


def _accuracy(correct: int, images: int) -> Row:
    return correct, correct / images if images else math.nan, *wilson(correct, images)
