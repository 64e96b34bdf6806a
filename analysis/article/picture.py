"""A figure of the article, whatever it is made of: its question, its drawing, its numbers, and what they say.

    written = write_picture("adam_vs_sgd", picture, folder)

Title and caption stand in the text beside it, not in the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.chapter.drawing import Drawing, write_table
from analysis.lab.figure import LabFigure
from analysis.lab.load import Visit
from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.registry import explanation
from analysis.study.results import Results
from ch6dist.catalog.datasets import SYNTHETIC

DIGITS = 6  # of a figure's numbers: more than it can show


@dataclass(frozen=True)
class Picture:
    """A figure that can be drawn."""

    title: str  # the question it answers
    caption: str  # how to read it, with n
    size: tuple[float, float]  # width and height in inches
    draw: Callable[[Figure], None]
    data: pd.DataFrame | None  # the numbers behind it; None: the source itself holds them as tables
    source: str  # what it was made from
    reading: str = ""  # what its numbers say
    synthetic: bool = False


def of_plot(plot: Plot, results: Results) -> Picture | None:
    """Return a figure of the report; None where the runs have no data for it."""
    data, study = plot.data(results), results.study
    if data.empty:
        return None
    legend = explanation(data, study)
    return Picture(
        title=plot.title,
        caption="\n".join(text for text in (plot.caption(data), legend) if text),
        size=plot.size(data),
        draw=lambda figure: plot.draw(figure, data, style.palette(study.trials["optimizer"])),
        data=data,
        source=study.title(),
        synthetic=study.synthetic,
    )


def of_drawing(
    drawing: Drawing, data: pd.DataFrame, *, source: str, reading: str = "", synthetic: bool = False
) -> Picture:
    """Return a figure of the chapter."""
    return Picture(
        title=drawing.title(data),
        caption=drawing.caption(data),
        size=drawing.size(data),
        draw=lambda figure: drawing.draw(figure, data),
        data=data,
        source=source,
        reading=reading,
        synthetic=synthetic,
    )


def of_lab(figure: LabFigure, visit: Visit) -> Picture:
    """Return a figure of the laboratory."""
    return Picture(
        title=figure.title,
        caption=figure.caption(visit),
        size=figure.size(visit),
        draw=lambda drawn: figure.draw(drawn, visit),
        data=None,
        source=f"laboratory: {visit.problem['name']}",
    )


def write_picture(name: str, picture: Picture, folder: Path) -> Path:
    """Write figures/NAME.png and .svg and data/NAME.csv under `folder` and return the path of the PNG."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    with style.context():
        figure = style.new_figure(*picture.size)
        picture.draw(figure)
        if picture.synthetic:
            style.title(figure, "", caption="", synthetic=True)
        style.save(figure, figures, name)
    if picture.data is not None:
        marked = picture.data.assign(**({SYNTHETIC: True} if picture.synthetic else {}))
        write_table(name, marked, folder, digits=DIGITS)
    return figures / f"{name}.png"
