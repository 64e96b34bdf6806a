"""All figures of a look at a network, each with its table, written as PNG, SVG and CSV.

write_network(load_network(Path("out/network")), Path("out/network"))
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.chapter.drawing import Drawing, write_drawing
from analysis.network.filters import filters_data, filters_drawing
from analysis.network.load import Network
from analysis.network.maps import layers_data, layers_drawing, maps_data, maps_drawing, shown_images
from analysis.network.samples import augmented_drawing, classes_data, classes_drawing
from analysis.network.scores import (
    accuracy_data,
    accuracy_drawing,
    pairs_data,
    pairs_drawing,
    superclass_data,
    superclass_drawing,
)
from analysis.report.figures import writing


def network_figures(network: Network) -> list[tuple[Drawing, pd.DataFrame]]:
    """Return the figures that a network has, in order: one without convolutions has no filters, for instance."""
    figures = [(classes_drawing(network), classes_data(network))]
    if network.dataset["augment"] != "none":
        figures.append((augmented_drawing(network), network.tables["augmented.csv"]))
    if network.filters:
        figures.append((filters_drawing(network), filters_data(network)))
    figures.append((layers_drawing(network), layers_data(network)))
    figures += [(maps_drawing(network, number), maps_data(network, number)) for number in shown_images(network)]
    figures.append((accuracy_drawing(network), accuracy_data(network)))
    if network.dataset["superclasses"]:
        figures.append((superclass_drawing(network), superclass_data(network)))
    if len(pairs_data(network)):
        figures.append((pairs_drawing(network), pairs_data(network)))
    return figures


def write_network(network: Network, folder: Path) -> list[Path]:
    """Write figures/NAME.png and .svg and data/NAME.csv of every figure and return the paths of the PNGs.

    UsageError if the folder cannot be written.
    """
    with writing(folder):
        return [write_drawing(drawing, data, folder) for drawing, data in network_figures(network)]
