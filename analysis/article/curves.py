"""Columns of the ledger's rows over the epochs, one line per configuration: the article's figures of trainings.

data = curves_data(groups, ("train_loss", "val_accuracy"))
picture = curves(groups, ("train_loss",), title="Does Adam lower the training loss faster than SGD?")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.article.picture import Picture
from analysis.article.sources import Group
from analysis.plots import style
from analysis.study.stats import mean_std
from ch6dist.catalog.labels import NO_SCHEDULE, SEPARATOR, Label, label_all
from ch6dist.catalog.wording import (
    format_count,
    format_count_range,
    format_mean_std,
    metric_label,
    short_number,
)
from ch6dist.runs.schema import Status

WIDE, NARROW, HEIGHT = 4.6, 3.9, 3.2  # inches of a panel; narrow: of three beside each other
BESIDE = 3  # panels in a row, but for four
NAMES = {"lr": "learning rate of the epoch's last step"}
HANDLE_INCHES, LETTER_INCHES = 0.8, 0.07  # of the legend
THIN = 0.35  # opacity of a seed
FEW_LRS = 6  # that are ticks each


def curves(groups: Sequence[Group], columns: Sequence[str], *, title: str) -> Picture | None:
    """Return a figure with a panel per column and a line per configuration; None where there are no values."""
    data = curves_data(groups, columns)
    if data.empty:
        return None
    columns = list(dict.fromkeys(data["column"]))  # without validation there are fewer
    study = groups[0].run.results.study
    return Picture(
        title=title,
        caption=_caption(groups, columns),
        size=_size(len(columns), list(dict.fromkeys(data["configuration"]))),
        draw=partial(draw_curves, data=data),
        data=data,
        source=groups[0].run.name,
        reading=reading(groups, columns),
        synthetic=study.synthetic,
    )


def curves_data(groups: Sequence[Group], columns: Sequence[str]) -> pd.DataFrame:
    """Return a row per column, configuration, seed and epoch."""
    parts = []
    for column in columns:
        for number, label in enumerate(short_labels(groups)):
            table = groups[number].curves(column).rename_axis(index="epoch", columns="trial").reset_index()
            table = table.melt(id_vars="epoch", value_name="value").dropna()
            parts.append(table.assign(column=column, configuration=label, order=number))
    return pd.concat(parts, ignore_index=True)[["column", "configuration", "order", "trial", "epoch", "value"]]


def short_labels(groups: Sequence[Group]) -> list[str]:
    """Return a name for each configuration that says how it differs from the others, and no more."""
    found = label_all([dict(group.config) for group in groups], cases=[group.case for group in groups])
    if len({label.case for label in found.labels}) == len(groups) > 1:
        return [label.case for label in found.labels]
    parts = [_parts(label, found.numbered) for label in found.labels]
    differing = [place for place in range(len(parts[0])) if len({each[place] for each in parts}) > 1]
    if not differing:
        return [str(label) for label in found.labels]
    return [SEPARATOR.join(each[place] for place in differing if each[place]) for each in parts]


def _parts(label: Label, numbered: Mapping[str, str]) -> tuple[str, ...]:
    schedule = "no schedule" if label.schedule == NO_SCHEDULE else label.schedule
    parts = (label.case, label.optimizer, schedule, label.setting, label.drawn, f"lr {label.lr}" if label.lr else "")
    return tuple(numbered.get(part, part) for part in parts)


def draw_curves(figure: Figure, data: pd.DataFrame) -> None:
    """Draw thin lines for seeds, a thick one for their mean, as far as all seeds have values."""
    columns = list(dict.fromkeys(data["column"]))
    axes = figure.subplots(*_grid(len(columns)), squeeze=False).ravel()
    handles: dict[str, Artist] = {}
    for ax, column in zip(axes, columns, strict=True):
        part = data[data["column"] == column]
        for order, lines in part.groupby("order"):
            steps = "steps-mid" if column == "lr" else "default"
            handles[lines["configuration"].iloc[0]] = _draw_lines(ax, lines, int(str(order)), steps=steps)
        ax.set_title(NAMES.get(column, metric_label(column)))
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if column == "lr":
            _lr_axis(ax, part["value"])
        elif column.endswith("loss"):
            style.loss_axis(ax)
        style.metric_axis(ax, column)
    if len(handles) > 1:
        numbers, ncols = [str(i) for i in range(len(handles))], _legend_columns(len(columns), list(handles))
        place: Any = "outside lower left"
        legend = figure.legend([*handles.values()], numbers, handlelength=3, loc=place, ncols=ncols, fontsize=8.5)
        for text, label in zip(legend.get_texts(), handles, strict=True):
            text.set_text(label)


def _grid(panels: int) -> tuple[int, int]:
    return style.grid_shape(panels, max_columns=2 if panels == 4 else BESIDE)


def _size(panels: int, labels: Sequence[str]) -> tuple[float, float]:
    rows, beside = _grid(panels)
    legend = 0.25 + 0.2 * -(-len(labels) // _legend_columns(panels, labels)) if len(labels) > 1 else 0.0
    return (NARROW if beside == BESIDE else WIDE) * beside, HEIGHT * rows + legend


def _legend_columns(panels: int, labels: Sequence[str]) -> int:
    """Return how many labels fit beside each other: a longer legend would be cut."""
    _, beside = _grid(panels)
    width = (NARROW if beside == BESIDE else WIDE) * beside
    return 2 if 2 * (HANDLE_INCHES + LETTER_INCHES * max(map(len, labels))) < width else 1


def _lr_axis(ax: Axes, lrs: pd.Series) -> None:
    """Format the y axis as learning rates; where only a few were used, they are its ticks."""
    style.lr_values_axis(ax, lrs)
    used = sorted(set(lrs[lrs > 0].tolist()))
    if 1 < len(used) <= FEW_LRS and ax.get_yscale() == "log":
        ax.set_yticks(used, [short_number(lr) for lr in used])


def _draw_lines(ax: Axes, lines: pd.DataFrame, order: int, *, steps: Any) -> Artist:
    colour = style.COLOURS[order % len(style.COLOURS)]
    dash = style.LINES[order % len(style.LINES)]
    table = lines.pivot(index="epoch", columns="trial", values="value")
    if table.shape[1] > 1:
        ax.plot(table.index, table, color=colour, lw=0.7, alpha=THIN, drawstyle=steps)
    mean = table.dropna().mean(axis=1)
    return ax.plot(
        mean.index, mean, color=colour, ls=dash, lw=2, marker="o" if len(mean) == 1 else "", drawstyle=steps
    )[0]


def reading(groups: Sequence[Group], columns: Sequence[str]) -> str:
    """Return what the configurations end with, in a sentence per column."""
    said = []
    for column in columns:
        if column == "lr":
            continue
        ends = []
        for group, label in zip(groups, short_labels(groups), strict=True):
            mean, std = mean_std([float(value) for value in group.last(column)])
            diverged = " (diverged)" if Status.DIVERGED in group.statuses else ""
            ends.append(f"{label}: {format_mean_std(mean, std, column)}{diverged}")
        epochs = format_count_range([group.epochs for group in groups])
        name = metric_label(column)
        said.append(f"{name[0].upper()}{name[1:]} after {epochs} epochs: {'; '.join(ends)}.")
    return " ".join(said)


def setting(group: Group) -> str:
    """Return what was trained, on what, and for how long."""
    config, data = group.config, group.config["data"]
    return (
        f"{config['model']['name']} on {data['name']}, batches of {data['batch_size']}, "
        f"{format_count(group.epochs, 'epoch')}"
    )


def _caption(groups: Sequence[Group], columns: Sequence[str]) -> str:
    seeds = format_count_range([group.n for group in groups])
    fresh = "; those of confirmed configurations are fresh" if any(group.is_fresh for group in groups) else ""
    lines = "one run each" if seeds == "1" else f"thin: one seed (n = {seeds}{fresh}), thick: their mean"
    training = (
        " Training values are means over the epoch, measured while the weights change."
        if any(column.startswith("train") for column in columns)
        else ""
    )
    return f"{setting(groups[0])}; {lines}.{training}"
