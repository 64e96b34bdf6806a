"""The figures of a report: drawn, written beside the page, and made small for it, in sections.

shown = show_figures(results, folder)       # figures/NAME.png and .svg, data/NAME.csv
sections(shown)                             # as the page shows them
write_plot("lr_sensitivity", results, folder)
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from analysis.plots.plot import Plot, Section
from analysis.plots.registry import PLOTS, Written, caption_of, write_figure
from analysis.report.forked import forked
from analysis.study.results import Results
from ch6dist.errors import UsageError

SECTIONS: tuple[str, ...] = get_args(Section)
GAP = 2  # pixels below a title that its letters may reach
PAPER = np.array([0x17, 0x18, 0x1A]) / 255  # of the dark scheme in report.css
INK = np.array([0xE8, 0xE8, 0xE6]) / 255
COLOURS = 160  # of such a picture: text and lines need few, and a page stays a few megabytes


@dataclass(frozen=True)
class Shown:
    """A figure on the page. Without data it has no picture, and the page says why instead."""

    plot: Plot
    caption: str  # with what numbered names stand for
    picture: str = ""  # a data URL
    dark: str = ""  # the same for the dark scheme; empty: the other one, on white
    width: int = 0  # of the picture, in pixels
    height: int = 0

    @property
    def csv(self) -> str:
        """Return where its numbers lie, seen from the page."""
        return f"data/{self.plot.name}.csv"

    @property
    def png(self) -> str:
        """Return where its picture lies, seen from the page."""
        return f"figures/{self.plot.name}.png"

    @property
    def svg(self) -> str:
        """Return where its drawing lies, seen from the page."""
        return f"figures/{self.plot.name}.svg"


def show_figures(results: Results, folder: Path) -> list[Shown]:
    """Write the files of every figure under `folder` and return the figures as a page shows them."""
    plots = list(PLOTS.values())
    parts = forked(lambda plot: _show(plot, results, folder), plots)  # without the plots, which no process can send
    return [Shown(plot, *part) for plot, part in zip(plots, parts, strict=True)]


def sections(shown: Sequence[Shown]) -> dict[str, tuple[list[Shown], list[Shown]]]:
    """Return the figures of each section, in the order of the page: those with a picture, and those without data."""
    return {
        section: (
            [figure for figure in shown if figure.plot.section == section and figure.picture],
            [figure for figure in shown if figure.plot.section == section and not figure.picture],
        )
        for section in SECTIONS
    }


def write_plot(name: str, results: Results, folder: Path) -> Path:
    """Write one figure and its numbers under `folder` and return the path of its PNG.

    Raises:
        UsageError: the study has no data for the figure, or the folder cannot be written.
    """
    plot = PLOTS[name]
    data = plot.data(results)
    with writing(folder):
        written = write_figure(plot, data, folder, study=results.study)
    if written is None:
        raise UsageError(f"nothing to draw for {name}: {plot.empty}")
    return written.png


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into a UsageError that names the folder."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}", "choose another folder with -o") from None


@dataclass(frozen=True)
class Embedded:
    """A picture as a page holds it."""

    picture: str  # a data URL
    dark: str  # the same for the dark scheme; empty: the other one, on white
    width: int  # in pixels
    height: int


def embed(written: Written, *, whole: bool, shades: bool) -> Embedded:
    """Return a written figure without title and caption, which the page has as text.

    Args:
        whole: leave the title, which says that data are synthetic.
        shades: keep all colours, since shades mean something; it has no dark form then.
    """
    picture = _picture(written, whole=whole, shades=shades)
    return Embedded(_url(picture), "" if shades else _url(_darkened(picture)), *picture.size)


def _show(plot: Plot, results: Results, folder: Path) -> tuple[str, str, str, int, int]:
    """Write the files of a figure and return the fields of `Shown`, in order, but for the plot."""
    data, study = plot.data(results), results.study
    written = write_figure(plot, data, folder, study=study)
    if written is None:
        return "", "", "", 0, 0
    found = embed(written, whole=study.synthetic, shades=plot.has_shades)
    return caption_of(plot, data, study), found.picture, found.dark, found.width, found.height


def _url(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def _picture(written: Written, *, whole: bool, shades: bool) -> Image.Image:
    """Return a figure without title and caption, which the page has as text, in few colours.

    Args:
        whole: leave the title, which says that data are synthetic.
        shades: keep all colours, since shades mean something.
    """
    with Image.open(written.png) as opened:
        picture = opened.convert("RGB")
    top, bottom = (round(share * picture.height) for share in written.body)
    picture = picture.crop((0, 0 if whole else top + GAP, picture.width, bottom))
    return picture if shades else picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def _darkened(picture: Image.Image) -> Image.Image:
    """Return a picture with a palette for the dark scheme: white is the page, black its ink, and colours stay bright.

    A colour is a mixture of white, black and a pure hue (Smith and Lyons 1996, HWB); the first two are exchanged. To
    invert lightness as a whole would make orange brown. The white of a vivid colour stays, so that pink is no purple.
    """
    colours = np.array(picture.getpalette(), dtype=np.float64).reshape(-1, 3) / 255
    white, largest = colours.min(axis=1, keepdims=True), colours.max(axis=1, keepdims=True)
    vivid = ((1 - white / largest.clip(1 / 255) - 0.2) / 0.4).clip(0, 1)  # by saturation: 0 for shades, 1 for lines
    paper = PAPER + vivid * (1 - PAPER)
    dark = white * paper + (1 - largest) * INK + (0.6 + 0.5 * vivid) * (colours - white)
    picture = picture.copy()
    picture.putpalette((255 * dark.clip(0, 1)).round().astype(np.uint8).ravel().tolist())
    return picture
