"""Pictures side by side in one array: what a grid of images, filters or feature maps is drawn from.

tiled(maps[None])               # one row of maps, with gaps between them
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

Array = NDArray[np.float64]
FRAME = "#c9d7e3"  # between pictures, which may be black and white


def tiled(pictures: NDArray[Any]) -> Array:
    """Return pictures [rows, columns, height, width] as one array, with a line of NaN around each."""
    rows, columns, height, width = pictures.shape
    framed = np.full((rows, columns, height + 1, width + 1), np.nan)
    framed[:, :, 1:, 1:] = pictures
    whole = framed.transpose(0, 2, 1, 3).reshape(rows * (height + 1), columns * (width + 1))
    return np.pad(whole, ((0, 1), (0, 1)), constant_values=np.nan)


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
