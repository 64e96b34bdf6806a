"""Tables of what was measured, with what the documents report in columns of their own that say so."""

from __future__ import annotations

from analysis.article import needs, reported
from analysis.article.choose import (
    Config,
    all_of,
    choose,
    is_adam,
    is_constant,
    is_model,
    is_momentum,
    is_nesterov,
    is_on,
    is_plain_sgd,
)
from analysis.article.curves import setting, short_labels
from analysis.article.inside import insides
from analysis.article.note import CIFAR, schedules_of_one
from analysis.article.outcomes import (
    CONVERGED,
    best_epoch,
    converged,
    end,
    fallen,
    mean_text,
    pace,
    standing,
    total_time,
    wobble,
)
from analysis.article.reported import NEVER, THEIRS, cells_of
from analysis.article.slot import Measured, TableSlot
from analysis.article.sources import Group, Sources, values_at
from analysis.chapter.inside import inside_statistics
from analysis.report.tables import Table
from analysis.study.finals import seeds_notes
from ch6dist.catalog.naming import optimizer_label
from ch6dist.catalog.wording import DASH, format_interval, format_mean_std, format_seconds, is_finite, short_number

MEAN = "mean ± standard deviation over seeds"


def _optimizers(sources: Sources) -> Measured | None:
    tests = (is_plain_sgd, is_momentum, is_nesterov, is_adam)
    found = choose(sources.runs, tests, where=lambda config: CIFAR(config) and is_constant(config))
    if not found:
        return None
    heads = ["optimizer", "validation accuracy", "converged", "wobble", "seeds"]
    heads += [f"accuracy ({NEVER})", f"convergence ({NEVER})", f"stability ({NEVER})"]
    rows = [
        [label, end(group, "val_accuracy"), converged(group), wobble(group), group.seeds, *cells]
        for group, label in zip(found, short_labels(found), strict=True)
        if (cells := cells_of(reported.OPTIMIZERS, group.config))
    ]
    note = (
        f"{setting(found[0])}; {MEAN}. {CONVERGED} Reported: after 50 epochs, convergence and stability undefined "
        "there; each optimizer at the learning rate that its name gives, its best of those that the run tried."
    )
    return Measured("How do the four optimizers end?", Table(heads, rows), note, found[0].run.name)


def _adam_by_epoch(sources: Sources) -> Measured | None:
    found = choose(sources.runs, (is_adam,), where=lambda config: CIFAR(config) and is_constant(config))
    if not found:
        return None
    group, columns = found[0].finished(), ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    tables = {column: group.curves(column) for column in columns}
    names = ("training loss", "training accuracy", "validation loss", "validation accuracy")
    heads = ["epoch", *names, *(f"{name} ({NEVER})" for name in ("training", "test"))]
    rows = []
    for epoch, (loss, accuracy, test_loss, test_accuracy) in reported.ADAM_BY_EPOCH.items():
        if epoch in tables["val_loss"].index:
            cells = [mean_text(values_at(tables[column], epoch), column) for column in columns]
            rows.append([str(epoch), *cells, f"{loss}, {accuracy}", f"{test_loss}, {test_accuracy}"])
    note = f"{group.label}, {setting(group)}; {MEAN} (n = {group.seeds})."
    return Measured("How far does Adam come, epoch by epoch?", Table(heads, rows), note, group.run.name)


def _schedules(sources: Sources) -> Measured | None:
    found = schedules_of_one(sources)
    if not found:
        return None
    heads = ["schedule", "validation accuracy", "epoch of the best", "time per epoch", "seeds"]
    heads += [f"accuracy ({NEVER})", f"best epoch ({NEVER})", f"time per epoch ({NEVER})"]
    rows = []
    for group, label in zip(found, short_labels(found), strict=True):
        cells = cells_of(reported.SCHEDULES, group.config) or ("",) * 3
        rows.append([label, end(group, "val_accuracy"), best_epoch(group), pace(group), group.seeds, *cells])
    note = (
        f"{_optimizer(found[0])}, {setting(found[0])}; {MEAN}; epoch of the best accuracy: median over seeds. "
        "Reported: 100 epochs at a learning rate of 0.1."
    )
    return Measured("What does each schedule end with?", Table(heads, rows), note, found[0].run.name)


def _gradients(sources: Sources) -> Measured | None:
    for group, inside in insides(sources, is_adam):
        names = ["series", "variance", "of the raw one", "peak", "range", "autocorrelation"]
        heads = [*names, *(f"{name} ({NEVER})" for name in ("variance", "peak", "range"))]
        stages = [row for row in inside_statistics(inside).to_dict("records") if not row["series"].startswith("scale")]
        rows = [
            [
                str(row["series"]),
                f"{row['variance']:.3g}",
                f"{100 * row['kept']:.1f} %" if is_finite(row["kept"]) else DASH,
                f"{row['peak']:.3g}",
                f"{row['low']:.3g} to {row['high']:.3g}",
                f"{row['autocorrelation']:.2f}" if is_finite(row["autocorrelation"]) else DASH,
                *cells,
            ]
            for row, cells in zip(stages, reported.GRADIENTS, strict=False)
        ]
        elements = inside.stages[stages[0]["series"]].shape[1]
        note = (
            f"{inside.name} of {group.label}, {setting(group)}: {elements} elements over {len(inside.steps)} steps, in "
            "time. Variance: mean over the elements; peak: largest absolute value; range: lowest and highest. "
            "Reported: 100 mini-batches, whose code took 100 elements of the first one for a series."
        )
        return Measured("What does each stage of Adam do to a gradient?", Table(heads, rows), note, group.run.name)
    return None


def _is_exercise(config: Config) -> bool:
    return is_on("mnist")(config) and is_model("convnet")(config)


def exercise_groups(sources: Sources) -> tuple[Group, ...] | None:
    """Return the trainings of the exercise: ConvNet on MNIST, of the run that has most of them."""
    found = [tuple(group for group in run.groups if _is_exercise(group.config)) for run in sources.runs]
    best = max(found, key=len, default=())
    return best if len(best) > 1 else None


def _exercise(sources: Sources) -> Measured | None:
    found = exercise_groups(sources)
    if not found:
        return None
    names = ["configuration", "training accuracy", "validation accuracy", "validation loss"]
    names += ["epochs in which accuracy fell", "seeds", "verdict"]
    heads = [*names, *(f"{name} ({THEIRS})" for name in ("validation accuracy", "test accuracy", "epochs fallen"))]
    rows = []
    for group, label in zip(found, short_labels(found), strict=True):
        cells = cells_of(reported.EXERCISE, group.config) or ("",) * 3
        ends = [end(group, column) for column in ("train_accuracy", "val_accuracy", "val_loss")]
        rows.append([label, *ends, fallen(group), group.seeds, standing(group), *cells])
    note = (
        f"{setting(found[0])} or as the configuration says; {MEAN}; epochs fallen: mean over seeds, of a training's "
        "epochs. The documents name no schedule; here it is a cosine. Their last training is the one whose losses do "
        "not fit its accuracies, and whose validation accuracy is above its test accuracy. The test set is not looked "
        "at by a sweep: `sweeps final` reads it once, for the winner."
    )
    return Measured("Did the modifications help?", Table(heads, rows), note, found[0].run.name)


def _simple_nn(sources: Sources) -> Measured | None:
    found = all_of(sources.runs, "schedule", where=lambda c: is_on("mnist")(c) and is_model("simple_nn")(c))
    if not found:
        return None
    heads = ["schedule", "validation accuracy", "training accuracy", "seeds", f"accuracy ({THEIRS})"]
    rows = [
        [label, end(group, "val_accuracy"), end(group, "train_accuracy"), group.seeds, said]
        for group, label in zip(found, short_labels(found), strict=True)
        for said in ["" if is_constant(group.config) else reported.SIMPLE_NN]
    ]
    note = (
        f"{_optimizer(found[0])}, {setting(found[0])}; {MEAN}. Training accuracy: over the epoch, with dropout active."
    )
    return Measured("Does StepLR help the small network?", Table(heads, rows), note, found[0].run.name)


def _optimizer(group: Group) -> str:
    """Return the optimizer of a group and its learning rate, which all schedules of a comparison share."""
    optimizer = group.config["optimizer"]
    return f"{optimizer_label(optimizer)}, learning rate {short_number(optimizer['lr'])}"


def _finals(sources: Sources) -> Measured | None:
    heads = ["run", "configuration", "epochs", "test accuracy", "95 % t interval", "seeds"]
    rows = [
        [
            run.name,
            str(row["label"]),
            str(row["epochs"]),
            format_mean_std(row["test_accuracy"], row["std"], "test_accuracy"),
            format_interval(row["low"], row["high"], "test_accuracy"),
            f"{row['n']} of {row['seeds']}" if row["n"] < row["seeds"] else str(row["n"]),
        ]
        for run in sources.runs
        for row in run.results.finals.to_dict("records")
    ]
    if not rows:
        return None
    notes = [note for run in sources.runs for note in seeds_notes(run.results.study)]
    note = " ".join([f"{MEAN}; the test set was read once, at the end.", *notes])
    return Measured("What do the chosen configurations reach on the test set?", Table(heads, rows), note, "final runs")


def _consolidated(sources: Sources) -> Measured | None:
    groups = [group for run in sources.runs for group in run.groups]
    if not groups:
        return None
    heads = [
        "run",
        "configuration",
        "data",
        "epochs",
        "seeds",
        "validation accuracy",
        "epoch of the best",
        "time per run",
    ]
    rows = [
        [
            group.run.name,
            group.label,
            str(group.config["data"]["name"]),
            str(group.epochs),
            group.seeds,
            end(group, "val_accuracy"),
            best_epoch(group),
            format_seconds(total_time(group)),
        ]
        for group in groups
    ]
    note = (
        f"{MEAN}, after the last epoch; in the order of each run's ranking, which averages the last epochs. Epoch of "
        "the best accuracy: median over seeds; time: training and evaluation of a run, mean over seeds."
    )
    return Measured("What did every training end with?", Table(heads, rows), note, "all runs")


ADAM_BY_EPOCH = TableSlot("adam_by_epoch", "Table 1", _adam_by_epoch, needs.OPTIMIZERS)
GRADIENTS = TableSlot("gradient_stages", "Table 2", _gradients, needs.CAPTURED)
OPTIMIZERS = TableSlot("optimizer_table", "Table 3", _optimizers, needs.OPTIMIZERS)
SCHEDULES = TableSlot("schedule_table", "Table 4", _schedules, needs.SCHEDULES)
EXERCISE = TableSlot("exercise_table", "Table 6", _exercise, needs.CONVNET)
SIMPLE_NN = TableSlot("simple_nn_table", "Table 5", _simple_nn, needs.SIMPLE_NN)
FINALS = TableSlot("final_trainings", "Table 7", _finals, needs.FINAL)
CONSOLIDATED = TableSlot("all_trainings", "Table 8", _consolidated, needs.TRAININGS)
