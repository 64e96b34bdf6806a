"""The filters of every convolution, and how far each layer moved from its start.

write_drawing(filters_drawing(network), filters_data(network), folder)
"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analysis.chapter.drawing import Drawing
from analysis.network.load import Network
from analysis.network.tiles import FRAME, bare, tiled
from ch6dist.catalog.wording import format_count

WIDTH = 10.0  # inches
MOST_ROWS = 40  # of channels, in the whole figure: a deep network shows fewer of each layer
HEAD_INCHES, LEAST_COLUMNS = 0.42, 16
RGB = 3  # channels of a layer that sees colours: its filters are drawn as colours too

Filters = NDArray[np.float64]


def filters_data(network: Network) -> pd.DataFrame:
    """Return a row per convolution: its filters, channels, kernel, and how far it moved."""
    rows = []
    for name, (filters, channels, height, width) in network.index["filters"].items():
        rows.append(
            {
                "layer": name,
                "filters": filters,
                "channels": channels,
                "kernel": f"{height}×{width}",
                "moved": network.layer(name)["moved"],
                "largest": _finite_largest(network.filters[name]),
            }
        )
    return pd.DataFrame(rows)


def filters_drawing(network: Network) -> Drawing:
    """Return the figure of the filters; only where there are convolutions."""
    channels = max(RGB, MOST_ROWS // len(network.filters))
    parts = {name: filters[:, :channels].astype(np.float64) for name, filters in network.filters.items()}
    coloured = {name for name, shape in network.index["filters"].items() if shape[1] == RGB}
    heights = [_height(filters, rows=filters.shape[1] + (name in coloured)) for name, filters in parts.items()]

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        axes = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, row in zip(axes, data.to_dict("records"), strict=True):
            filters = parts[row["layer"]]
            _draw_layer(ax, filters, in_colour=row["layer"] in coloured)
            cut = "" if filters.shape[:2] == (row["filters"], row["channels"]) else ", of which the first "
            shown = cut and f"{cut}{len(filters)} and {filters.shape[1]} are shown"
            moved = "" if math.isnan(row["moved"]) else f"; moved by {row['moved']:.2f} of its start"
            count = f"{format_count(row['filters'], 'filter')} × {format_count(row['channels'], 'channel')}"
            ax.set_title(f"{row['layer']}: {count} of {row['kernel']}{shown}{moved}", fontsize=9.5)

    return Drawing(
        name="filters",
        title=lambda _: "What does each convolution look for, and how far did training move it?",
        draw=_draw,
        size=lambda _: (WIDTH, 0.6 + sum(heights)),
        caption=lambda data: _caption(network, data, in_colour=bool(coloured)),
        synthetic=network.synthetic,
    )


def _caption(network: Network, data: pd.DataFrame, *, in_colour: bool) -> str:
    return (
        f"{network.subject} {format_count(int(data['filters'].sum()), 'filter')} in "
        f"{format_count(len(data), 'convolution')}; a column is a filter, a row one of its input channels"
        + (" (of the first layer red, green, blue, and below them all three as a colour)" if in_colour else "")
        + ". Red: the weight is above 0, blue: below, white: 0; the scale of a layer ends at its largest weight. "
        "Moved: ‖w − w₀‖ ÷ ‖w₀‖, all parameters of the layer together, w₀ before training: at 1.00 the change is as "
        "large as what was there."
    )


def _draw_layer(ax: Axes, filters: Filters, *, in_colour: bool) -> None:
    """Draw the filters of a layer, [filters, channels, height, width], by channel; of three, also as colours."""
    bare(ax)
    picture = _signed(filters)
    if in_colour:
        picture = np.concatenate([picture[:-1], _coloured(filters)])
    ax.imshow(picture, interpolation="nearest", aspect="equal")
    ax.set_xlim(-0.5, max(LEAST_COLUMNS, len(filters)) * (filters.shape[3] + 1) + 0.5)
    ax.set_anchor("W")


def _signed(filters: Filters) -> Filters:
    """Return the weights as red and blue, [rows, columns, 3], a row of filters for each channel."""
    shares = np.clip(tiled(filters.transpose(1, 0, 2, 3)) / (_finite_largest(filters) or 1.0), -1, 1)
    picture = mpl.colormaps["RdBu_r"].with_extremes(bad=FRAME)(np.ma.masked_invalid((1 + shares) / 2))
    return np.asarray(picture[..., :3])


def _coloured(filters: Filters) -> Filters:
    """Return each filter of three channels as a colour, [rows, columns, 3], from its smallest to its largest weight."""
    low, high = (end(filters, axis=(1, 2, 3), keepdims=True) for end in (np.min, np.max))
    shares = (filters - low) / np.where(high > low, high - low, 1)
    picture = np.stack([tiled(shares[None, :, channel]) for channel in range(3)], axis=2)
    return np.where(np.isnan(picture), mpl.colors.to_rgb(FRAME), picture)


def _height(filters: Filters, *, rows: int) -> float:
    """Return the inches of a layer with its title: a cell is as wide as the number of filters leaves it."""
    return rows * (WIDTH - 0.4) / max(LEAST_COLUMNS, len(filters)) + HEAD_INCHES


def _finite_largest(filters: Filters) -> float:
    return float(np.abs(filters[np.isfinite(filters)]).max(initial=0.0))
