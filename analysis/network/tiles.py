"""Pictures side by side in one array: what a grid of images, filters or feature maps is drawn from.

tiled(maps[None])               # one row of maps, with gaps between them
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Array = NDArray[np.float64]


def tiled(pictures: NDArray[np.generic], *, gap: int = 1) -> Array:
    """Return pictures [rows, columns, height, width] as one, with gaps of NaN between them."""
    rows, columns, height, width = pictures.shape
    whole = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + gap), column * (width + gap)
            whole[top : top + height, left : left + width] = pictures[row, column]
    return whole


def show_picture(ax: Axes, image: NDArray[np.uint8]) -> None:
    """Draw an image of the data, [C, H, W] bytes: in colour, or grey where it has one channel."""
    bare(ax)
    if len(image) == 3:
        ax.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    else:
        ax.imshow(image[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def bare(ax: Axes) -> None:
    """Remove what a picture has not: ticks, grid and spines."""
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def readable(name: str) -> str:
    """Return a name of a class without underscores."""
    return name.replace("_", " ")
