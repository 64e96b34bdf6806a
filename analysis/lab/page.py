"""The page of the laboratory: one self-contained HTML file, an animation of the paths and the still figures below.

write_page(load_visit(Path("out/lab")), Path("out/lab"))

index.html                  the page: it opens by a double click and needs nothing else
figures/NAME.png, .svg      each figure
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import analysis.report
from analysis.lab.figure import LabFigure
from analysis.lab.figures import FIGURES, write_figure
from analysis.lab.load import Visit
from analysis.lab.scene import scene_of, still
from analysis.report.explore import page_json
from analysis.report.figures import Embedded, embed, writing
from analysis.report.forked import forked
from ch6dist.catalog.lab import PROBLEMS
from ch6dist.catalog.text import number_text
from ch6dist.storage.atomic import replace_file

TITLE = "Two parameters"
# steps in a second, of a path of 50 steps; a longer one takes as long as a whole
SPEEDS = {"½ ×": 4, "1 ×": 8, "2 ×": 16, "4 ×": 32}


@dataclass(frozen=True)
class Shown:
    """A figure on the page."""

    figure: LabFigure
    caption: str
    embedded: Embedded


def write_page(visit: Visit, folder: Path) -> Path:
    """Write all figures into `folder` and return the path of its index.html, which is written last.

    UsageError if the folder cannot be written.
    """
    with writing(folder):
        figures = list(FIGURES.values())
        parts = forked(lambda figure: _show(figure, visit, folder), figures)  # without the figures, which hold lambdas
        shown = [Shown(figure, *part) for figure, part in zip(figures, parts, strict=True)]
        replace_file(folder / "index.html", _page(visit, shown))
    return folder / "index.html"


def _show(figure: LabFigure, visit: Visit, folder: Path) -> tuple[str, Embedded]:
    """Write the files of a figure and return its caption and its picture."""
    written = write_figure(figure, visit, folder)
    return figure.caption(visit), embed(written, whole=False, shades=figure.has_shades)


def _page(visit: Visit, shown: list[Shown]) -> str:
    environment = Environment(
        loader=PackageLoader("analysis.lab", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    scene = scene_of(visit)
    report, here = Path(analysis.report.__path__[0]), Path(__file__).parent
    return environment.get_template("lab.html.j2").render(
        css=(report / "report.css").read_text(encoding="utf-8") + (here / "lab.css").read_text(encoding="utf-8"),
        script=(here / "lab.js").read_text(encoding="utf-8"),
        title=f"{TITLE}: {visit.problem['name']}",
        facts=_facts(visit),
        scene=scene,
        scene_json=page_json(scene),
        still=still(scene),
        speeds=SPEEDS,
        shown=shown,
        made=visit.index["made"],
    )


def _facts(visit: Visit) -> str:
    """Return the problem in a few sentences."""
    problem = visit.problem
    settings = ", ".join(f"{key} {number_text(value)}" for key, value in problem["settings"].items())
    (first, second), (x, y) = visit.parameters, problem["optimum"]
    small, large = problem["eigenvalues"]
    return (
        f"{PROBLEMS[problem['name']].description}{f' ({settings})' if settings else ''}. "
        f"The smallest training loss, {problem['smallest_loss']:.3g}, lies at {first} = {x:.4g}, {second} = {y:.4g}; "
        f"curvatures {small:.3g} and {large:.3g}."
    )
