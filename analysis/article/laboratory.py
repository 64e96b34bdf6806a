"""The article's figures of the two-parameter laboratory."""

from __future__ import annotations

from functools import partial

from analysis.article import needs
from analysis.article.picture import Picture, of_lab
from analysis.article.slot import Slot
from analysis.article.sources import Sources
from analysis.lab.figures import FIGURES


def _figure(sources: Sources, name: str) -> Picture | None:
    return of_lab(FIGURES[name], sources.visits[0]) if sources.visits else None


def lab_slot(name: str, number: str) -> Slot:
    """Return the place of a figure of the laboratory."""
    return Slot(f"lab_{name}", number, partial(_figure, name=name), needs.LAB)
