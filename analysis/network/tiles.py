"""Pictures side by side in one array: what a grid of images, filters or feature maps is drawn from.

tiled(maps[None])                       # one row of maps, with a frame around each
mosaic(images[None], gaps=(0, 1))       # one row of images
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


def mosaic(pictures: NDArray[np.uint8], *, gaps: tuple[int, int]) -> NDArray[np.uint8]:
    """Return images of the data, [rows, columns, C, H, W] bytes, as one in colour, [height, width, 3], on white.

    Args:
        gaps: white pixels below and to the right of each: room for words.
    """
    rows, columns, _, height, width = pictures.shape
    cells = np.full((rows, columns, height + gaps[0], width + gaps[1], 3), 255, dtype=np.uint8)
    cells[:, :, :height, :width] = pictures.transpose(0, 1, 3, 4, 2)  # one channel gives all three: grey
    return cells.transpose(0, 2, 1, 3, 4).reshape(rows * cells.shape[2], columns * cells.shape[3], 3)


def show_picture(ax: Axes, picture: NDArray[np.uint8]) -> None:
    """Draw a picture in colour, [height, width, 3], with hard pixels."""
    bare(ax)
    ax.set_anchor("W")
    ax.imshow(picture, interpolation="nearest")


def bare(ax: Axes) -> None:
    """Remove what a picture has not: ticks, grid and spines."""
    ax.grid(False)
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def readable(name: str) -> str:
    """Return a name of a class without underscores."""
    return name.replace("_", " ")
