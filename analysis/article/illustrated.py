"""The figures of the illustrated article, the exercise on MNIST and the chapter on schedulers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.article.choose import all_of, choose, has_schedule, is_constant, is_model, is_on
from analysis.article.curves import curves, setting
from analysis.article.inside import gradient_size
from analysis.article.laboratory import lab_slot
from analysis.article.measured import EXERCISE, SIMPLE_NN, exercise_groups
from analysis.article.note import CIFAR
from analysis.article.picture import Picture, of_drawing
from analysis.article.readme import preview_slot
from analysis.article.slot import Part, See, Slot
from analysis.article.sources import Group, Sources
from analysis.chapter.averages import WEIGHTS, weights_data
from analysis.plots import style
from ch6dist.catalog.naming import optimizer_label

FIVE = 5  # days of the average whose weights are drawn
LEAST_LRS = 3


def _by_lr(sources: Sources) -> list[tuple[Group, ...]]:
    """Return, of the run with most of them, the trainings of each optimizer by learning rate, in its order."""
    found: list[list[tuple[Group, ...]]] = []
    for run in sources.runs:
        by_optimizer: dict[str, list[Group]] = {}
        for group in run.groups:
            if is_constant(group.config):
                by_optimizer.setdefault(optimizer_label(group.config["optimizer"]), []).append(group)
        lines = [
            tuple(sorted(groups, key=lambda group: group.config["optimizer"]["lr"]))
            for groups in by_optimizer.values()
            if len({group.config["optimizer"]["lr"] for group in groups}) >= LEAST_LRS
        ]
        if lines:
            found.append(lines)
    return max(found, key=lambda lines: sum(map(len, lines)), default=[])


def _loss_by_lr(sources: Sources) -> Picture | None:
    lines = _by_lr(sources)
    if not lines:
        return None
    parts = [
        {
            "optimizer": optimizer_label(group.config["optimizer"]),
            "lr": group.config["optimizer"]["lr"],
            "seed": seed,
            "val_loss": float(value),
        }
        for groups in lines
        for group in groups
        for seed, value in enumerate(group.last("val_loss"))
    ]
    data, first = pd.DataFrame(parts), lines[0][0]
    return Picture(
        title="Which learning rate ends with the lowest loss?",
        caption=f"Validation loss after the last epoch; dots: seeds that finished; lines: means. {setting(first)}.",
        size=(7.0, 4.0),
        draw=lambda figure: _draw_loss_by_lr(figure, data),
        data=data,
        source=first.run.name,
        synthetic=first.run.results.study.synthetic,
    )


def _draw_loss_by_lr(figure: Figure, data: pd.DataFrame) -> None:
    ax = figure.subplots()
    looks, ends = style.palette(data["optimizer"]), []
    for optimizer, part in data.groupby("optimizer"):
        look, means = looks[str(optimizer)], part.groupby("lr")["val_loss"].mean()
        ax.plot(part["lr"], part["val_loss"], look.marker, color=look.colour, ms=4, alpha=0.5)
        ax.plot(means.index, means, color=look.colour, ls=look.line)
        ends.append((float(np.log10(means.iloc[-1])), str(optimizer), look.colour))
    style.lr_axis(ax, data["lr"].tolist(), inches=5)
    style.loss_axis(ax)
    ax.set(xlabel="learning rate", ylabel="validation loss")
    _legend(figure, {str(name): looks[str(name)] for name in dict.fromkeys(data["optimizer"])})


def _legend(figure: Figure, looks: dict[str, style.Look]) -> None:
    ax = figure.axes[0]
    handles = [ax.plot([], [], color=look.colour, ls=look.line, marker=look.marker)[0] for look in looks.values()]
    style.legend(ax, handles, list(looks), loc="upper left", bbox_to_anchor=(1.02, 1))


def _cost_by_lr(sources: Sources) -> Picture | None:
    lines = _by_lr(sources)
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
    found = all_of(sources.runs, "schedule", where=CIFAR, needs=has_schedule("OneCycleLR"))
    title = "Do a warm-up or one cycle beat a constant learning rate?"
    return curves(found, ("lr", "train_loss", "val_accuracy"), title=title) if found else None


def _paths(sources: Sources) -> Picture | None:
    tests = [
        lambda config, n=nesterov, s=schedule: (
            bool(config["optimizer"].get("nesterov")) == n and has_schedule(s)(config)
        )
        for nesterov in (False, True)
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
        Slot(
            "loss_by_lr", "Learning rates", _loss_by_lr, "a sweep over three learning rates or more, without schedules"
        ),
        Slot(
            "cost_by_lr", "Cost by epoch", _cost_by_lr, "a sweep over three learning rates or more, without schedules"
        ),
        Slot("weights", "Weights by lag", _weights, "nothing"),
        See("Averages of a series", "averages", "simple, exponential and corrected averages"),
        lab_slot("adam_gradients", "Adam on a regression"),
        lab_slot("adam_settings", "β1, β2 and ε on a path"),
        lab_slot("adam_paths", "Paths of SGD and Adam"),
        lab_slot("losses", "Losses"),
        See("Momentum overshoots", "lab_flavours", "the paths of the three kinds of SGD"),
        lab_slot("velocities", "Gradient, momentum, look-ahead"),
        preview_slot("plateau", "A plateau", "ReduceLROnPlateau"),
        See("Cycles", "cyclic_lr", "the modes of CyclicLR"),
        Slot("simple_nn", "The small network", _simple_nn, "a sweep of simple_nn on MNIST with and without StepLR"),
        SIMPLE_NN,
        Slot(
            "gradient_size", "Size of the gradients", gradient_size, "a training that captured norms of its gradients"
        ),
    ),
)

EXERCISES = Part(
    heading="The exercise: four modifications on MNIST",
    intro=(
        "A baseline, a small learning rate, a schedule, another optimizer, and a split put right: did the models get "
        "better?"
    ),
    places=(Slot("exercise", "Modifications", _exercise, "a sweep of ConvNet on MNIST"), EXERCISE),
)

SCHEDULING = Part(
    heading="Schedules: warm-up, one cycle, and paths",
    intro="The chapter on schedulers asks for a constant learning rate in every comparison; so here is one.",
    places=(
        preview_slot("one_cycle_preview", "One cycle, step by step", "OneCycleLR"),
        Slot("one_cycle", "Warm-up and one cycle", _one_cycle, "a sweep over schedules on CIFAR-100 with OneCycleLR"),
        Slot(
            "schedule_paths",
            "Six schedules",
            _paths,
            "a sweep of momentum and Nesterov momentum, each constant, with StepLR and CyclicLR",
        ),
        lab_slot("schedules", "Paths with schedules"),
        lab_slot("schedule_losses", "Losses with schedules"),
        lab_slot("phase", "Which momentum converges"),
        lab_slot("errors", "The error along each eigenvector"),
    ),
)
