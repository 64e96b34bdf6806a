"""The cells of a heat map as rectangles, with texts that can be read on them.

draw_cells(ax, x, y, colours)          # one collection, however many cells
text_colour(colour)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import ArrayLike

Colour = Sequence[float]


def draw_cells(ax: Axes, x: ArrayLike, y: ArrayLike, *, inset: float = 0.0, **looks: Any) -> None:
    """Draw squares of side 1 around (n,) points, made smaller by `inset` on every side."""
    centres = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (0.5 - inset)
    ax.add_collection(PolyCollection(list(centres[:, None, :] + corners), **looks), autolim=False)


def text_colour(colour: Colour) -> str:
    """Return the colour of a text on a cell, black or white, whichever has the greater contrast (WCAG 2.1)."""
    rgb = np.asarray(colour[:3], dtype=float)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "black" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "white"


def plain_frame(ax: Axes, columns: int, rows: int) -> None:
    """Limit the axes to the cells, the first row on top, without ticks' marks, grid or frame."""
    ax.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
