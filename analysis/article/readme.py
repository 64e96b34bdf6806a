"""The sixteen graphs of the documents' README."""

from __future__ import annotations

from functools import partial

from analysis.article import needs
from analysis.article.choose import choose, is_adam, is_constant, is_momentum, is_nesterov, is_plain_sgd
from analysis.article.curves import curves
from analysis.article.inside import smoothed_gradient
from analysis.article.laboratory import lab_slot
from analysis.article.measured import ADAM_BY_EPOCH, GRADIENTS, OPTIMIZERS, SCHEDULES
from analysis.article.note import CIFAR, schedules_of_one
from analysis.article.picture import Picture, of_drawing
from analysis.article.slot import Part, See, Slot
from analysis.article.sources import Sources
from analysis.chapter.averages import AVERAGES, averages_data, beta_to_draw
from analysis.chapter.schedules import schedules_data, schedules_drawing
from analysis.chapter.series import made_up_series

FLAVOURS = (is_plain_sgd, is_momentum, is_nesterov, is_adam)


def _averages(sources: Sources) -> Picture:
    data = averages_data(made_up_series(), beta=beta_to_draw(period=19))
    return of_drawing(AVERAGES, data, source="made up")


def _adam(sources: Sources) -> Picture | None:
    found = choose(sources.runs, (is_adam,), where=lambda config: CIFAR(config) and is_constant(config))
    columns = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    title = "Does Adam overfit: how far apart are training and validation?"
    return curves(found, columns, title=title) if found else None


def _optimizers(sources: Sources) -> Picture | None:
    found = choose(sources.runs, FLAVOURS, where=lambda config: CIFAR(config) and is_constant(config))
    title = "Which optimizer lowers the loss fastest, and which ends best?"
    return curves(found, ("train_loss", "val_loss", "val_accuracy"), title=title) if found else None


def _schedules(sources: Sources) -> Picture | None:
    found = schedules_of_one(sources)
    title = "Which schedule ends best, and when does it get there?"
    return curves(found, ("train_loss", "val_accuracy"), title=title) if found else None


def previewed(sources: Sources, schedule: str) -> Picture | None:
    """Return what the previews of a schedule do step by step."""
    found = [preview for preview in sources.previews if preview.schedule.startswith(schedule)]
    if not found:
        return None
    return of_drawing(schedules_drawing(is_log=False), schedules_data(found), source="computed, without training")


def preview_slot(name: str, number: str, schedule: str) -> Slot:
    """Return the place of a schedule's preview."""
    return Slot(name, number, partial(previewed, schedule=schedule), needs.preview(schedule))


README = Part(
    heading="Sixteen graphs: averages, Adam, momentum, schedules",
    intro=(
        "The README counts sixteen graphs. Its tables were never measured: what it reports stands in columns of its "
        "own, beside what these trainings measured."
    ),
    places=(
        Slot("averages", "Graph 1", _averages, needs.NOTHING),
        Slot("smoothed_gradient", "Graph 2", partial(smoothed_gradient, test=is_adam), needs.CAPTURED),
        Slot("adam_training", "Graphs 3 to 5", _adam, needs.OPTIMIZERS),
        ADAM_BY_EPOCH,
        See("Graphs 6 to 8", "gradients", "raw, smoothed and adapted gradients"),
        GRADIENTS,
        lab_slot("flavours", "Graphs 9 to 11"),
        Slot("optimizers", "Graph 12", _optimizers, needs.OPTIMIZERS),
        OPTIMIZERS,
        preview_slot("step_lr", "Graph 13", "StepLR"),
        preview_slot("cyclic_lr", "Graph 14", "CyclicLR"),
        Slot("schedules", "Graph 15", _schedules, needs.SCHEDULES),
        SCHEDULES,
        See("Graph 16", "lr_range_test", "the range test"),
    ),
)
