"""The phase diagram of momentum: predicted and measured factor per step over α and β, with the borders."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from analysis.lab.load import Visit
from analysis.plots import style

DIVERGES = "#d9d9d9"
BORDERS = {"oscillates": "--", "alternates": ":", "diverges": "-"}
MAP = "cividis_r"


def draw_phase(figure: Figure, visit: Visit) -> None:
    """Draw the factor per step of the slower eigenvector, predicted beside measured, and the regimes."""
    axes = figure.subplots(1, 3, sharex=True, sharey=True, width_ratios=(1, 1, 1))
    table = visit.tables["phase.csv"]
    whole = table[table["eigenvalue"] == "all"]
    image = None
    for ax, column, heading in zip(axes, ("radius", "measured_radius"), ("predicted", "measured"), strict=False):
        image = _factors(ax, whole, column)
        ax.set_title(f"factor per step, {heading}")
    _regimes(axes[2], whole)
    axes[2].set_title("regime, measured")
    for ax in axes:
        _draw_borders(ax, visit)
        best = visit.index["phase"]["best"]
        ax.plot(best["alpha"], best["beta"], "*", color="white", mec="black", ms=15, zorder=5)
        ax.set_xlabel("learning rate α")
        ax.grid(False)
        ax.set(xlim=_extent(whole)[:2], ylim=_extent(whole)[2:])
    axes[0].set_ylabel("momentum β")
    assert image is not None
    bar = figure.colorbar(image, ax=axes[:2], location="bottom", shrink=0.5, aspect=40)
    bar.set_label("factor on the error per step; grey: above 1, it diverges")


def phase_caption(visit: Visit) -> str:
    """Return the caption of `draw_phase`."""
    phase = visit.index["phase"]
    small, large = phase["eigenvalues"]
    best = phase["best"]
    return (
        f"{phase['cells']} settings, each the slower of two eigenvectors, with curvatures {small:.3g} and {large:.3g}. "
        "Predicted: the spectral radius of the iteration matrix; measured: "
        f"{phase['steps']} steps of torch's SGD without noise. Borders for the larger curvature: α λ = (1 − √β)² "
        "(dashed: from here on it oscillates), (1 + √β)² (dotted: it changes sign at every step), 2 (1 + β) (solid: it "
        "diverges). The regimes, the worse of both eigenvectors, are the predicted ones in "
        f"{100 * phase['agreement']:.1f} % of the settings. Star: Polyak's choice, α {best['alpha']:.3g}, β "
        f"{best['beta']:.2g}, factor {best['radius']:.2f}."
    )


def _factors(ax: Axes, table: pd.DataFrame, column: str) -> AxesImage:
    grid = _grid(table, column)
    ax.set_facecolor(DIVERGES)
    return ax.imshow(
        np.where(grid < 1, grid, np.nan), origin="lower", aspect="auto", extent=_extent(table), cmap=MAP,
        vmin=math.floor(100 * grid.min()) / 100, vmax=1,
    )  # fmt: skip


def _regimes(ax: Axes, table: pd.DataFrame) -> None:
    names = ("monotone", "oscillating", "diverging")
    colours = ("#9fd3bf", "#9cc4e4", DIVERGES)
    places = table.assign(place=[names.index(name) for name in table["measured_regime"]])
    ax.imshow(
        _grid(places, "place"), origin="lower", aspect="auto", extent=_extent(table), cmap=ListedColormap(colours),
        vmin=-0.5, vmax=2.5,
    )  # fmt: skip
    patches = [Patch(facecolor=colour, edgecolor="black", linewidth=0.6) for colour in colours]
    style.legend(ax, patches, names, loc="lower right", bbox_to_anchor=(0.99, 0.03), fontsize=9)


def _draw_borders(ax: Axes, visit: Visit) -> None:
    table, large = visit.tables["borders.csv"], visit.index["phase"]["eigenvalues"][1]
    for column, line in BORDERS.items():
        ax.plot(table[column] / large, table["beta"], color="white", lw=3, zorder=3)
        ax.plot(table[column] / large, table["beta"], color="black", ls=line, lw=1.3, zorder=4)


def _grid(table: pd.DataFrame, column: str) -> np.ndarray:
    return table.pivot(index="beta", columns="alpha", values=column).to_numpy(dtype=float)


def _extent(table: pd.DataFrame) -> tuple[float, float, float, float]:
    """Return the edges of the cells: half a cell beyond the outer values."""
    alphas, betas = sorted(table["alpha"].unique()), sorted(table["beta"].unique())
    da, db = (alphas[1] - alphas[0]) / 2, (betas[1] - betas[0]) / 2
    return alphas[0] - da, alphas[-1] + da, betas[0] - db, betas[-1] + db
