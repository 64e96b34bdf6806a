"""What each layer makes of an image, and how much of each layer is zero, dead or moved.

for number in shown_images(network):
    write_drawing(maps_drawing(network, number), maps_data(network, number), folder)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.chapter.drawing import Drawing
from analysis.network.load import Network
from analysis.network.tiles import FRAME, bare, mosaic, readable, show_picture, tiled
from analysis.plots import style
from ch6dist.catalog.look import LARGEST_PERCENTILE, SMALLEST_PERCENTILE
from ch6dist.runs.capture_signs import BOUNDS

WIDTH = 11.0  # inches
MAPS_INCHES, VECTOR_INCHES, HEAD_INCHES, PICTURE_INCHES = 0.62, 0.3, 0.28, 1.3
COLUMNS = 16  # maps side by side
ACTIVATIONS = ("ReLU", *BOUNDS)  # whose zeros and saturation mean something
BAR_INCHES = 0.26


def shown_images(network: Network) -> list[int]:
    """Return the numbers of the images whose feature maps are kept, from 1."""
    return [int(number) for number in network.tables["images.csv"]["image"]]


def maps_data(network: Network, number: int) -> pd.DataFrame:
    """Return a row per layer that is drawn, with its share of zeros and saturated outputs over all images."""
    table = network.tables["layers.csv"]
    kept = table[table["layer"].isin(network.maps)]
    return kept[["layer", "kind", "shape", "outputs", "zeros", "saturated", "low", "high"]].assign(image=number)


def maps_drawing(network: Network, number: int) -> Drawing:
    """Return the figure of an image's feature maps, of all layers that have some."""
    row = network.tables["images.csv"].iloc[number - 1]
    heights = [_height(maps.ndim) + HEAD_INCHES for maps in network.maps.values()]

    def _draw(figure: Figure, data: pd.DataFrame) -> None:
        axes = figure.subplots(1 + len(data), 1, squeeze=False, height_ratios=[PICTURE_INCHES, *heights])[:, 0]
        show_picture(axes[0], mosaic(network.arrays["images"][None, number - 1 : number], gaps=(0, 0)))
        for ax, layer in zip(axes[1:], data.to_dict("records"), strict=True):
            _draw_layer(ax, network.maps[layer["layer"]][number - 1])
            ax.set_title(_layer_title(layer, network), fontsize=9)

    true, predicted = readable(row["true"]), readable(row["predicted"])
    answer = f"predicted: {predicted} with {100 * row['probability']:.0f} %"
    return Drawing(
        name=f"feature_maps_{number}",
        title=lambda _: f"What does each layer make of image {number}? (class: {true}; {answer})",
        draw=_draw,
        size=lambda _: (WIDTH, 0.5 + PICTURE_INCHES + sum(heights)),
        caption=lambda data: _caption(network, data),
        synthetic=network.synthetic,
    )


def _caption(network: Network, data: pd.DataFrame) -> str:
    total = len(network.tables["layers.csv"])
    fewer = "" if len(data) == total else f" Of the {total} layers the {len(data)} that sum up the others are shown."
    return (
        f"{network.subject} One of {len(shown_images(network))} images, the first of the {network.split} split. Up to "
        f"{COLUMNS} maps of each layer; a layer that puts out single numbers is a strip of them. Black to white: from "
        f"the {SMALLEST_PERCENTILE}st to the {LARGEST_PERCENTILE}th percentile of the layer's outputs for all shown "
        f"images. The last strip is the outputs for the classes, in their order.{fewer}\nZero and dead: over all "
        f"{network.whole}. Zero: share of the outputs of a ReLU that are 0. Dead: share of its units that are 0 for "
        "every one of these images (capture calls them saturated); a map's units are its pixels."
    )


def _layer_title(layer: Mapping[Hashable, Any], network: Network) -> str:
    text = f"{layer['layer']} ({layer['kind']}), {layer['shape']}"
    maps = network.maps[str(layer["layer"])]
    if maps.ndim == 4 and str(layer["shape"]).partition("×")[0] != str(maps.shape[1]):
        text += f", the first {maps.shape[1]} maps"
    if layer["kind"] in ACTIVATIONS:
        name = "dead" if layer["kind"] not in BOUNDS else "saturated"
        text += f": {_percent(layer['zeros'])} zero, {_percent(layer['saturated'])} {name}"
    return text


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _height(dimensions: int) -> float:
    return MAPS_INCHES if dimensions == 4 else VECTOR_INCHES


def _draw_layer(ax: Axes, maps: np.ndarray) -> None:
    """Draw the outputs of a layer for one image: [maps, rows, columns] side by side, or [features] as a strip."""
    bare(ax)
    if maps.ndim == 1:
        ax.imshow(maps[None], cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
        ax.spines[:].set(visible=True, color=FRAME)
        return
    whole = tiled(maps[None])
    grey = mpl.colormaps["gray"].with_extremes(bad=FRAME)
    ax.imshow(np.ma.masked_invalid(whole), cmap=grey, vmin=0, vmax=255, aspect="equal", interpolation="nearest")
    ax.set_xlim(-0.5, COLUMNS * (maps.shape[2] + 1) + 0.5)
    ax.set_anchor("W")


def layers_data(network: Network) -> pd.DataFrame:
    """Return the table of the layers."""
    return network.tables["layers.csv"]


def layers_drawing(network: Network) -> Drawing:
    """Return the figure of how far layers moved, and of how much of the activations is zero or dead."""
    table = network.tables["layers.csv"]
    learning = table[table["moved"].notna()]
    active = table[table["kind"].isin(ACTIVATIONS)]
    most = max(len(learning), 2 * len(active), 4)

    def _draw(figure: Figure, _: pd.DataFrame) -> None:
        left, right = figure.subplots(1, 2)
        _bars(left, learning, {"moved": style.COLOURS[0]}, title="Change of the parameters, ÷ their start")
        _bars(
            right,
            active,
            {"zeros": style.COLOURS[5], "saturated": style.COLOURS[1]},
            title="Share of outputs, per cent",
        )

    dead = "; dead: share of units that are zero for every image" if len(active) else ""
    return Drawing(
        name="layers",
        title=lambda _: "How far did each layer move from its start, and how much of it is never used?",
        draw=_draw,
        size=lambda _: (WIDTH, 1.2 + BAR_INCHES * most),
        caption=lambda _: (
            f"{network.subject} Left: ‖w − w₀‖ ÷ ‖w₀‖ over all parameters of a layer together, w₀ before training. "
            f"Right: over all {network.whole}; zero: share of the outputs of an activation that are 0{dead}. A unit is "
            "one number that a layer puts out per image."
        ),
        synthetic=network.synthetic,
    )


def _bars(ax: Axes, table: pd.DataFrame, columns: dict[str, str], *, title: str) -> None:
    """Draw a group of bars per layer, the first layer on top, each with its number."""
    ax.set_title(title)
    places, height = np.arange(len(table)), 0.8 / len(columns)
    share = len(columns) > 1
    names = {"zeros": "zero", "saturated": "dead", "moved": ""}
    for number, (column, colour) in enumerate(columns.items()):
        values = table[column].to_numpy(dtype=float) * (100 if share else 1)
        ys = places + (number - (len(columns) - 1) / 2) * height
        ax.barh(ys, np.nan_to_num(values), height=height * 0.9, color=colour, label=names[column])
        for y, value in zip(ys, values, strict=True):
            ax.text(value, y, f" {value:.3g}{' %' if share else ''}", va="center", fontsize=8)
    ax.set_yticks(places, table["layer"])
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.margins(x=0.15)
    ax.grid(axis="y", visible=False)
    if share and len(table):
        ax.set_xlim(0, 100 * 1.12)
        handles = [Patch(color=colour) for colour in columns.values()]
        style.legend(ax, handles, [names[c] for c in columns], loc="lower right")
    if not len(table):
        ax.text(0.5, 0.5, "no such layer", transform=ax.transAxes, ha="center", color=style.GREY)
        ax.set(xticks=[], yticks=[])
    if len(table) and not math.isfinite(float(np.nan_to_num(table[list(columns)].to_numpy(dtype=float)).max())):
        ax.set_xlim(0, 1)
