"""The article's figures of captured gradients."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.article.choose import Test
from analysis.article.curves import setting
from analysis.article.picture import Picture, of_drawing
from analysis.article.sources import Group, Sources
from analysis.chapter.averages import AVERAGES, averages_data, beta_to_draw
from analysis.chapter.formulas import RAW
from analysis.chapter.influence import INFLUENCE, influence_data
from analysis.chapter.inside import INSIDE, Inside, inside_data, inside_statistics, look_inside
from analysis.chapter.norm_drawings import MAGNITUDE
from analysis.chapter.norms import magnitude_data, read_norms
from analysis.chapter.series import Series
from ch6dist.catalog.wording import format_count
from ch6dist.errors import UsageError

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


def influence(sources: Sources, test: Test) -> Picture | None:
    """Return what each setting of an optimizer does to the gradients of a training that a test tells."""
    for group, inside in insides(sources, test):
        return of_drawing(INFLUENCE, influence_data(inside), source=group.run.name)
    return None


def gradient_size(sources: Sources) -> Picture | None:
    """Return the size of all gradients over the longest training that captured it, raw and averaged."""
    captured = [group for run in sources.runs for group in run.groups if _has_norms(group)]
    if not captured:
        return None
    group = max(captured, key=lambda one: one.epochs)
    norms = read_norms(group.run.folder, group.run.ledger, group.trials[0])
    return of_drawing(MAGNITUDE, magnitude_data(norms, beta=BETA), source=group.run.name)


def _has_norms(group: Group) -> bool:
    gradients = (group.config.get("capture") or {}).get("gradients") or {}
    return gradients.get("keep") in ("norm", "summary")


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
