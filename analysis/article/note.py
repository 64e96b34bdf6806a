"""The six figures of the documents' note, in its order."""

from __future__ import annotations

from functools import partial

from analysis.article import needs
from analysis.article.choose import (
    all_of,
    choose,
    has_schedule,
    is_adam,
    is_constant,
    is_momentum,
    is_nesterov,
    is_on,
    is_plain_sgd,
)
from analysis.article.curves import curves
from analysis.article.inside import gradients
from analysis.article.networks import FEATURE_MAPS
from analysis.article.picture import Picture, of_plot
from analysis.article.slot import Part, Slot
from analysis.article.sources import Group, Sources
from analysis.plots.registry import PLOTS

CIFAR = is_on("cifar100")


def _range_test(sources: Sources) -> Picture | None:
    for run in sources.runs:
        if (run.results.study.trials["type"] == "range_test").any():
            return of_plot(PLOTS["lr_range_test"], run.results)
    return None


def _adam_vs_sgd(sources: Sources) -> Picture | None:
    found = choose(sources.runs, (is_adam, is_plain_sgd), where=lambda c: CIFAR(c) and is_constant(c))
    title = "Does Adam lower the training loss faster than plain SGD?"
    return curves(found, ("train_loss", "val_accuracy"), title=title) if found else None


def _schedule_examples(sources: Sources) -> Picture | None:
    found = schedules_of_one(sources)
    wanted = [g for g in found or () if has_schedule("StepLR")(g.config) or has_schedule("ReduceLROnPlateau")(g.config)]
    title = "When do StepLR and ReduceLROnPlateau lower the learning rate, and does the loss follow?"
    return curves(wanted, ("lr", "val_loss"), title=title) if len(wanted) > 1 else None


def schedules_of_one(sources: Sources) -> tuple[Group, ...] | None:
    """Return one training per schedule, alike in all else, on CIFAR-100, the constant learning rate among them."""
    return all_of(sources.runs, "schedule", where=CIFAR, least=3, needs=(has_schedule("StepLR"), is_constant))


def _momentum_vs_nesterov(sources: Sources) -> Picture | None:
    found = choose(sources.runs, (is_momentum, is_nesterov), where=lambda c: CIFAR(c) and is_constant(c))
    title = "Does Nesterov momentum train faster than momentum?"
    return curves(found, ("train_loss", "val_accuracy"), title=title) if found else None


NOTE = Part(
    heading="Six figures: from the range test to Nesterov momentum",
    intro="The note on CIFAR-100 asks for six figures, in this order. All are made from trainings that ran.",
    places=(
        Slot("lr_range_test", "Figure 1", _range_test, needs.RANGE_TESTS),
        Slot("adam_vs_sgd", "Figure 2", _adam_vs_sgd, needs.OPTIMIZERS),
        Slot("gradients", "Figure 3", partial(gradients, test=is_adam), needs.CAPTURED),
        FEATURE_MAPS,
        Slot("schedule_examples", "Figure 5", _schedule_examples, needs.SCHEDULES),
        Slot("momentum_vs_nesterov", "Figure 6", _momentum_vs_nesterov, needs.OPTIMIZERS),
    ),
)
