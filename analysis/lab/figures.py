"""The figures of the laboratory by name, and their files: figures/NAME.png and .svg.

for figure in FIGURES.values():
    write_figure(figure, visit, folder)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from analysis.lab import phase, series, surfaces
from analysis.lab.figure import LabFigure
from analysis.lab.load import Visit
from analysis.plots import style
from analysis.plots.registry import Written
from ch6dist.catalog.lab import COMPARISONS

CAPTION_LINE = 0.16  # inches
PATHS = ("paths.csv", "contours.csv")
ADAM_SETTINGS = ("beta1", "beta2", "eps")


def _names(visit: Visit, comparison: str) -> list[str]:
    return visit.comparison(comparison)


def _loss_names(visit: Visit) -> list[str]:
    """Return the three kinds of SGD, and Adam."""
    return list(dict.fromkeys([*visit.comparison("flavours"), *visit.comparison("adam")]))


def _setting_names(visit: Visit) -> list[str]:
    return [name for comparison in ADAM_SETTINGS for name in visit.comparison(comparison)]


def _draw_settings(figure: Figure, visit: Visit) -> None:
    titles = [visit.value(comparison, name) for comparison in ADAM_SETTINGS for name in visit.comparison(comparison)]
    surfaces.draw_panels(figure, visit, _setting_names(visit), columns=4, titles=titles)


def _panels(name: str, heading: str, *, comparison: str, columns: int) -> LabFigure:
    return LabFigure(
        name=name,
        heading=heading,
        title=COMPARISONS[comparison].question,
        tables=PATHS,
        draw=lambda figure, visit: surfaces.draw_panels(figure, visit, _names(visit, comparison), columns=columns),
        size=lambda visit: surfaces.panels_size(len(_names(visit, comparison)), columns=columns),
        caption=lambda visit: surfaces.paths_caption(visit, _names(visit, comparison)),
    )


def _losses(name: str, heading: str, title: str, *, schedules: bool) -> LabFigure:
    def names(visit: Visit) -> Sequence[str]:
        return visit.comparison("schedules") if schedules else _loss_names(visit)

    columns = 3 if schedules else 4
    return LabFigure(
        name=name,
        heading=heading,
        title=title,
        tables=("epochs.csv",),
        draw=lambda figure, visit: series.draw_losses(figure, visit, names(visit), columns=columns),
        size=lambda visit: (11.0, 4.0 if not schedules else 6.4),
        caption=lambda visit: series.losses_caption(visit, names(visit)),
    )


def _settings_caption(visit: Visit) -> str:
    return (
        surfaces.paths_caption(visit, _setting_names(visit))
        + " Rows: β1, β2 and ε, the others at Adam's defaults (0.9, 0.999, 1e-8)."
    )


FIGURES: dict[str, LabFigure] = {
    figure.name: figure
    for figure in (
        _panels("optimizers", "Every optimizer's path", comparison="optimizers", columns=4),
        _panels("adam_paths", "SGD and Adam", comparison="adam", columns=2),
        LabFigure(
            "adam_gradients", "Adam's adapted gradient", "How does Adam turn a gradient into a step?", ("adam.csv",),
            series.draw_adam, lambda _: (11.0, 6.2), series.adam_caption,
        ),
        LabFigure(
            "adam_settings", "β1, β2 and ε", "What do β1, β2 and ε each do to Adam's path?", PATHS,
            _draw_settings,
            lambda visit: surfaces.panels_size(len(_setting_names(visit)), columns=4), _settings_caption,
        ),
        _panels("flavours", "SGD, momentum, Nesterov", comparison="flavours", columns=3),
        LabFigure(
            "velocities", "Gradient, momentum, look-ahead",
            "What do momentum and Nesterov's look-ahead add to a gradient?", ("velocities.csv",),
            series.draw_velocities, lambda _: (11.0, 4.2), series.velocities_caption,
        ),
        _losses("losses", "Losses", "How fast does each lower the loss, and does it overshoot?", schedules=False),
        LabFigure(
            "schedules", "Schedules", COMPARISONS["schedules"].question, PATHS,
            series.draw_schedules, lambda _: (10.0, 9.6), series.schedules_caption,
        ),
        _losses("schedule_losses", "Losses with schedules", "Does a schedule end at a lower loss?", schedules=True),
        LabFigure(
            "phase", "Which α and β converge", "Which learning rate and momentum converge, how fast, and in what way?",
            ("phase.csv", "borders.csv"), phase.draw_phase, lambda _: (12.0, 5.6), phase.phase_caption, has_shades=True,
        ),
        LabFigure(
            "errors", "The error along each eigenvector", "How fast does the error along each eigenvector shrink?",
            ("errors.csv",), series.draw_errors, lambda _: (11.0, 4.6), series.errors_caption,
        ),
    )
}  # fmt: skip


def write_figure(figure: LabFigure, visit: Visit, folder: Path) -> Written:
    """Write figures/NAME.png and .svg under `folder`."""
    figures = folder / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    with style.context():
        drawn = draw(figure, visit)
        style.save(drawn, figures, figure.name)
        return Written(figures / f"{figure.name}.png", style.body(drawn))


def draw(figure: LabFigure, visit: Visit) -> Figure:
    """Return the figure with title and caption. Call it within style.context()."""
    width, height = figure.size(visit)
    caption = figure.caption(visit)
    drawn = style.new_figure(width, height + CAPTION_LINE * len(style.caption_lines(caption, width)))
    figure.draw(drawn, visit)
    style.title(drawn, figure.title, caption=caption, synthetic=False)
    return drawn
