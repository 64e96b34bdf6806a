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


def _is_synthetic(group: Group) -> bool:
    return group.run.results.study.synthetic


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
            synthetic=_is_synthetic(group),
        )
    return None


def smoothed_gradient(sources: Sources, test: Test) -> Picture | None:
    """Return the moving averages of one captured element of a gradient, the one that varies most."""
    for group, inside in insides(sources, test):
        values = inside.stages[RAW]
        element = int(np.argmax(values.var(axis=0)))
        series = Series(f"one element of the gradient of {inside.name} ({setting(group)})", values[:, element])
        data = averages_data(series, beta=beta_to_draw(beta=BETA))
        return of_drawing(AVERAGES, data, source=group.run.name, synthetic=_is_synthetic(group))
    return None


def influence(sources: Sources, test: Test) -> Picture | None:
    """Return what each setting of an optimizer does to the gradients of a training that a test tells."""
    for group, inside in insides(sources, test):
        return of_drawing(INFLUENCE, influence_data(inside), source=group.run.name, synthetic=_is_synthetic(group))
    return None


def gradient_size(sources: Sources) -> Picture | None:
    """Return the size of all gradients over the longest training that captured it, raw and averaged."""
    captured = [group for run in sources.runs for group in run.groups if _has_norms(group)]
    for group in sorted(captured, key=lambda one: one.epochs, reverse=True):
        try:
            norms = read_norms(group.run.folder, group.run.ledger, group.trials[0])
        except UsageError:  # its captures are not kept with the run
            continue
        data = magnitude_data(norms, beta=BETA)
        every = group.config["capture"]["gradients"]["every"]
        note = f"Captured at every {every}th step, so its average goes over {every} times as many." if every > 1 else ""
        if len(data):
            synthetic = _is_synthetic(group)
            return of_drawing(MAGNITUDE, data, source=group.run.name, reading=note, synthetic=synthetic)
    return None


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
