"""The article's figures of captured gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.article.choose import Test
from analysis.article.curves import setting
from analysis.article.picture import Picture, of_drawing
from analysis.article.sources import Group, Run, Sources
from analysis.chapter.averages import AVERAGES, averages_data, beta_to_draw
from analysis.chapter.inside import INSIDE, RAW, Inside, inside_data, inside_statistics, look_inside
from analysis.chapter.series import Series
from ch6dist.catalog.wording import format_count
from ch6dist.errors import UsageError
from ch6dist.runs.captures import read_captures

BETA = 0.9


def insides(sources: Sources, test: Test) -> Iterator[tuple[Group, Inside]]:
    """Yield what was captured of trainings that a test tells, as far as their gradients can be followed."""
    for run in sources.runs:
        for group in run.groups:
            if test(group.config) and group.config.get("capture"):
                try:
                    yield group, look_inside(run.folder, run.ledger, group.trials[0])
                except UsageError:  # it captured something else
                    continue


def gradients(sources: Sources, test: Test) -> Picture | None:
    """Return what an optimizer makes of the gradients of a training that a test tells."""
    for group, inside in insides(sources, test):
        return of_drawing(
            INSIDE,
            inside_data(inside),
            source=group.run.name,
            reading=_reading(inside),
            synthetic=group.run.results.study.synthetic,
        )
    return None


def smoothed_gradient(sources: Sources, test: Test) -> Picture | None:
    """Return the moving averages of one captured element of a gradient, the one that varies most."""
    for group, inside in insides(sources, test):
        values = inside.stages[RAW]
        element = int(np.argmax(values.var(axis=0)))
        series = Series(f"one element of the gradient of {inside.name} ({setting(group)})", values[:, element])
        return of_drawing(AVERAGES, averages_data(series, beta=beta_to_draw(beta=BETA)), source=group.run.name)
    return None


def gradient_size(sources: Sources) -> Picture | None:
    """Return the size of all gradients over a training, raw and averaged, of the longest that captured it."""
    found = [
        (group, series) for run in sources.runs for group in run.groups if (series := _size(run, group)) is not None
    ]
    if not found:
        return None
    group, series = max(found, key=lambda pair: pair[0].epochs)
    return of_drawing(AVERAGES, averages_data(series, beta=beta_to_draw(beta=BETA)), source=group.run.name)


def _size(run: Run, group: Group) -> Series | None:
    """Return the norm of all captured gradients of a training over its steps."""
    capture = group.config.get("capture") or {}
    if (capture.get("gradients") or {}).get("keep") not in ("norm", "summary"):
        return None
    captured = read_captures(run.folder, run.ledger, group.trials[0])["gradients"]
    norm = np.sqrt((captured.values["norm"].astype(np.float64) ** 2).sum(axis=1))
    every = int(np.diff(captured.steps).max()) if len(captured.steps) > 1 else 1
    name = f"gradient norm, every {format_count(every, 'step')[2:] if every == 1 else f'{every} steps'}"
    return Series(f"{name} ({group.label}, {setting(group)})", norm[np.isfinite(norm)])


def _reading(inside: Inside) -> str:
    """Return what each stage does to the variance, peak and range, in words."""
    rows = inside_statistics(inside).to_dict("records")
    parts = [
        f"{row['series'].split(':')[0]}: variance {row['variance']:.3g}, peak {row['peak']:.3g}, "
        f"range {row['low']:.3g} to {row['high']:.3g}"
        for row in rows
        if not str(row["series"]).startswith("scale")
    ]
    return f"Over {format_count(len(inside.steps), 'step')} and all captured elements: {'; '.join(parts)}."
