"""The figures by name, and the files of one: NAME.png, NAME.svg and its numbers, NAME.csv.

written = write_figure(PLOTS["lr_sensitivity"], data, folder, study=study)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from pandas.api.types import is_numeric_dtype

from analysis.plots import (
    early_stopping,
    edf,
    generalization_gap,
    isolation,
    leaderboard,
    lr_range_test,
    lr_sensitivity,
    optimizer_schedule,
    pairwise,
    parallel_coordinates,
    range_tests_and_sweep,
    scaling,
    schedule_preview,
    search_history,
    stability,
    stop_earlier,
    style,
    sweep_health,
    time_to_target,
    timeline,
    training_curves,
    training_time,
    tuning_curve,
    two_axes,
    variance_explained,
)
from analysis.plots.plot import Plot
from analysis.study.load import Study
from analysis.study.searched import left_out
from ch6dist.catalog.labels import explain

LINE_INCHES = 0.16  # height of a line of the caption
TITLE_INCHES = 0.3  # height of a title

PLOTS: dict[str, Plot] = {
    plot.name: plot
    for plot in (
        leaderboard.PLOT,
        isolation.PLOT,
        parallel_coordinates.PLOT,
        pairwise.PLOT,
        stability.PLOT,
        tuning_curve.PLOT,
        variance_explained.PLOT,
        edf.PLOT,
        early_stopping.PLOT,
        search_history.PLOT,
        lr_sensitivity.PLOT,
        two_axes.PLOT,
        lr_range_test.PLOT,
        range_tests_and_sweep.PLOT,
        optimizer_schedule.PLOT,
        schedule_preview.PLOT,
        training_curves.PLOT,
        time_to_target.PLOT,
        generalization_gap.PLOT,
        stop_earlier.PLOT,
        training_time.PLOT,
        timeline.PLOT,
        scaling.PLOT,
        sweep_health.PLOT,
    )
}


@dataclass(frozen=True)
class Written:
    """A figure that was written."""

    png: Path
    body: tuple[float, float]  # what lies between title and caption: fractions of the height, from the top


def draw(plot: Plot, data: pd.DataFrame, *, study: Study, captioned: bool = True) -> Figure:
    """Return the figure of `data`, which are not empty. Call it within style.context().

    Args:
        captioned: with title and caption, for a file that stands alone; else where they are written beside it.
    """
    (width, height), legend = plot.size(data), caption_of(plot, data, study)
    if not captioned:
        figure = style.new_figure(width, height - TITLE_INCHES)
        plot.draw(figure, data, style.palette(study.trials["optimizer"]))
        if study.synthetic:
            style.title(figure, "", caption="", synthetic=True)
        return figure
    caption_height = LINE_INCHES * len(style.caption_lines(legend, width))
    figure = style.new_figure(width, height + caption_height)
    plot.draw(figure, data, style.palette(study.trials["optimizer"]))
    style.title(figure, plot.title, caption=legend, synthetic=study.synthetic)
    return figure


def caption_of(plot: Plot, data: pd.DataFrame, study: Study) -> str:
    """Return the caption of a figure, what has no score, and what the numbered names in it stand for."""
    without = left_out(study) if plot.of_scores else ""
    return "\n".join(filter(None, (f"{plot.caption(data)} {without}".rstrip(), explanation(data, study))))


def explanation(data: pd.DataFrame, study: Study) -> str:
    """Return what the numbered parts of labels in a figure's data stand for, a line each."""
    texts = [
        str(text) for column in data.columns if not is_numeric_dtype(data[column]) for text in data[column].unique()
    ]
    return "\n".join(f"{part}: {whole}" for part, whole in explain(texts, study.numbered).items())


def write_figure(plot: Plot, data: pd.DataFrame, folder: Path, *, study: Study) -> Written | None:
    """Write figures/NAME.png and .svg and data/NAME.csv under `folder`; return None without data.

    Without data, the files of an earlier report are removed: they would be taken for this one's.
    """
    figures, numbers = folder / "figures", folder / "data"
    figures.mkdir(parents=True, exist_ok=True)
    numbers.mkdir(exist_ok=True)
    if data.empty:
        for path in (figures / f"{plot.name}.png", figures / f"{plot.name}.svg", numbers / f"{plot.name}.csv"):
            path.unlink(missing_ok=True)
        return None
    (data.assign(synthetic=True) if study.synthetic else data).to_csv(numbers / f"{plot.name}.csv", index=False)
    with style.context():
        figure = draw(plot, data, study=study)
        style.save(figure, figures, plot.name)
        return Written(figures / f"{plot.name}.png", style.body(figure))
