"""The article's figures of a trained network."""

from __future__ import annotations

from functools import partial

from analysis.article import needs
from analysis.article.picture import Picture, of_drawing
from analysis.article.slot import Part, See, Slot
from analysis.article.sources import Sources
from analysis.network.figures import network_figures


def _figure(sources: Sources, name: str) -> Picture | None:
    """Return a figure of the first network that has it: one without convolutions has no filters, for instance."""
    for network in sources.networks:
        for drawing, data in network_figures(network):
            if drawing.name == name:
                source = f"a look at trial {network.index['trial']}"
                return of_drawing(drawing, data, source=source, synthetic=network.synthetic)
    return None


def _slot(name: str, number: str) -> Slot:
    return Slot(name, number, partial(_figure, name=name), needs.LOOK)


FEATURE_MAPS = _slot("feature_maps_1", "Figure 4")

NETWORK = Part(
    heading="Inside a network",
    intro="The book looks at what a network has learned: filters, feature maps, and which classes it tells apart.",
    places=(
        _slot("class_samples", "Samples of classes"),
        _slot("augmented", "Augmented samples"),
        _slot("filters", "Filters"),
        See("Feature maps", FEATURE_MAPS.name, "what each layer makes of an image"),
        _slot("layers", "Layers"),
        _slot("class_accuracy", "Classes"),
        _slot("superclass_accuracy", "Superclasses"),
        _slot("confused_pairs", "Confused pairs"),
    ),
)
