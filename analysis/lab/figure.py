"""A figure of the laboratory as a record: its question, its drawing, its size, and how to read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from analysis.lab.load import Visit


@dataclass(frozen=True)
class LabFigure:
    """One figure. Registered in analysis/lab/figures.py."""

    name: str  # of its files
    heading: str  # on the page
    title: str  # the question it answers
    tables: tuple[str, ...]  # the files its numbers stand in
    draw: Callable[[Figure, Visit], None]
    size: Callable[[Visit], tuple[float, float]]  # width and height in inches
    caption: Callable[[Visit], str]  # what is drawn, with n
    has_shades: bool = False  # cells whose lightness means something: on a dark page they stay as they are, on white
