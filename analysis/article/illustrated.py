"""The figures of the illustrated article, the exercise on MNIST and the chapter on schedulers."""

from __future__ import annotations

from functools import partial

from analysis.article import needs
from analysis.article.choose import (
    all_of,
    choose,
    has_schedule,
    is_adam,
    is_constant,
    is_model,
    is_momentum,
    is_nesterov,
    is_on,
)
from analysis.article.curves import curves
from analysis.article.inside import gradient_size, influence
from analysis.article.laboratory import lab_slot
from analysis.article.learning_rates import lines_by_lr, loss_by_lr
from analysis.article.measured import EXERCISE, SIMPLE_NN, exercise_groups
from analysis.article.note import CIFAR
from analysis.article.picture import Picture, of_drawing
from analysis.article.readme import preview_slot
from analysis.article.slot import Part, See, Slot
from analysis.article.sources import Sources
from analysis.chapter.averages import WEIGHTS, weights_data

FIVE = 5  # days of the average whose weights are drawn


def _cost_by_lr(sources: Sources) -> Picture | None:
    lines = lines_by_lr(sources)
    if not lines:
        return None
    title = "How does the loss fall with too small, good and too large learning rates?"
    longest = max(lines, key=len)
    return curves(longest, ("train_loss", "val_accuracy"), title=title)


def _simple_nn(sources: Sources) -> Picture | None:
    found = all_of(sources.runs, "schedule", where=lambda c: is_on("mnist")(c) and is_model("simple_nn")(c))
    title = "Does halving the learning rate every five epochs help, and where does it act?"
    return curves(found, ("lr", "train_accuracy", "val_accuracy"), title=title) if found else None


def _exercise(sources: Sources) -> Picture | None:
    found = exercise_groups(sources)
    title = "What do the modifications do to loss and accuracy on MNIST?"
    return curves(found, ("val_loss", "val_accuracy"), title=title) if found else None


def _one_cycle(sources: Sources) -> Picture | None:
    found = all_of(sources.runs, "schedule", where=CIFAR, needs=(has_schedule("OneCycleLR"), is_constant))
    title = "Do a warm-up or one cycle beat a constant learning rate?"
    return curves(found, ("lr", "train_loss", "val_accuracy"), title=title) if found else None


def _paths(sources: Sources) -> Picture | None:
    tests = [
        lambda config, kind=kind, schedule=schedule: kind(config) and has_schedule(schedule)(config)
        for kind in (is_momentum, is_nesterov)
        for schedule in ("none", "StepLR", "CyclicLR")
    ]
    found = choose(sources.runs, tests, where=CIFAR)
    title = "Do momentum and Nesterov momentum gain alike from a schedule?"
    return curves(found, ("train_loss", "val_accuracy"), title=title) if found else None


def _weights(sources: Sources) -> Picture:
    return of_drawing(WEIGHTS, weights_data(beta=1 - 2 / (FIVE + 1)), source="a formula")


ILLUSTRATED = Part(
    heading="The illustrated article: two parameters, and MNIST",
    intro="The article explains optimizers on a linear regression, and trains a small network on MNIST at the end.",
    places=(
        Slot("loss_by_lr", "Learning rates", loss_by_lr, needs.LRS),
        Slot("cost_by_lr", "Cost by epoch", _cost_by_lr, needs.LRS),
        Slot("weights", "Weights by lag", _weights, needs.NOTHING),
        See("Averages of a series", "averages", "simple, exponential and corrected averages"),
        lab_slot("adam_gradients", "Adam on a regression"),
        lab_slot("adam_settings", "β1, β2 and ε on a path"),
        Slot("influence", "β1, β2 and ε on a training", partial(influence, test=is_adam), needs.CAPTURED),
        lab_slot("adam_paths", "Paths of SGD and Adam"),
        lab_slot("losses", "Losses"),
        See("Momentum overshoots", "lab_flavours", "the paths of the three kinds of SGD"),
        lab_slot("velocities", "Gradient, momentum, look-ahead"),
        preview_slot("plateau", "A plateau", "ReduceLROnPlateau"),
        See("Cycles", "cyclic_lr", "the modes of CyclicLR"),
        Slot("simple_nn", "The small network", _simple_nn, needs.SIMPLE_NN),
        SIMPLE_NN,
        Slot("gradient_size", "Size of the gradients", gradient_size, needs.NORMS),
    ),
)

EXERCISES = Part(
    heading="The exercise: four modifications on MNIST",
    intro=(
        "A baseline, a small learning rate, a schedule, another optimizer, and a split put right: did the models get "
        "better?"
    ),
    places=(Slot("exercise", "Modifications", _exercise, needs.CONVNET), EXERCISE),
)

SCHEDULING = Part(
    heading="Schedules: warm-up, one cycle, and paths",
    intro="The chapter on schedulers asks for a constant learning rate in every comparison; so each here has one.",
    places=(
        preview_slot("one_cycle_preview", "One cycle, step by step", "OneCycleLR"),
        Slot("one_cycle", "Warm-up and one cycle", _one_cycle, needs.ONE_CYCLE),
        Slot("schedule_paths", "Six schedules", _paths, needs.PATHS),
        lab_slot("schedules", "Paths with schedules"),
        lab_slot("schedule_losses", "Losses with schedules"),
        lab_slot("phase", "Which momentum converges"),
        lab_slot("errors", "The error along each eigenvector"),
    ),
)
