"""The loss that each learning rate ends with, by optimizer: the article's first figure, made from trainings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.article.choose import is_constant, setting_of
from analysis.article.curves import setting
from analysis.article.picture import Picture
from analysis.article.sources import Group, Sources
from analysis.plots import style
from ch6dist.catalog.naming import optimizer_label
from ch6dist.catalog.wording import format_count
from ch6dist.runs.schema import Status

LEAST_LRS = 3


def lines_by_lr(sources: Sources) -> list[tuple[Group, ...]]:
    """Return, of the run with most of them, the trainings of each optimizer by learning rate, in its order.

    They are alike in data, network and epochs.
    """
    found: list[list[tuple[Group, ...]]] = []
    for run in sources.runs:
        by_optimizer: dict[tuple[str, str], list[Group]] = {}
        for group in run.groups:
            if is_constant(group.config) and group.curves("val_loss").notna().to_numpy().any():
                key = setting_of(group.config), optimizer_label(group.config["optimizer"])
                by_optimizer.setdefault(key, []).append(group)
        settings: dict[str, list[tuple[Group, ...]]] = {}
        for (place, _), groups in by_optimizer.items():
            ordered = tuple(sorted(groups, key=lambda group: float(group.config["optimizer"]["lr"])))
            if len({group.config["optimizer"]["lr"] for group in ordered}) >= LEAST_LRS:
                settings.setdefault(place, []).append(ordered)
        found += settings.values()
    return max(found, key=lambda lines: sum(map(len, lines)), default=[])


def loss_by_lr(sources: Sources) -> Picture | None:
    """Return the loss after the last epoch by learning rate, an optimizer a line; what diverged stands below."""
    lines = lines_by_lr(sources)
    data = loss_by_lr_data(lines)
    if data.empty:
        return None
    first = lines[0][0]
    lost = int(data["diverged"].sum())
    crosses = f" Red X: {format_count(lost, 'seed')} that diverged." if lost else ""
    return Picture(
        title="Which learning rate ends with the lowest loss?",
        caption=f"Validation loss after the last epoch; dots: seeds; lines: means.{crosses} {setting(first)}.",
        size=(7.0, 4.0),
        draw=lambda figure: draw_loss_by_lr(figure, data),
        data=data,
        source=first.run.name,
        synthetic=first.run.results.study.synthetic,
    )


def loss_by_lr_data(lines: Sequence[Sequence[Group]]) -> pd.DataFrame:
    """Return a row per training that finished or diverged: optimizer, lr, trial, val_loss (NaN: diverged)."""
    rows = [
        {
            "optimizer": optimizer_label(group.config["optimizer"]),
            "lr": float(group.config["optimizer"]["lr"]),
            "trial": trial,
            "val_loss": group.run.results.study.last(trial, "val_loss") if status == Status.FINISHED else None,
            "diverged": status == Status.DIVERGED,
        }
        for groups in lines
        for group in groups
        for trial, status in zip(group.trials, group.statuses, strict=True)
        if status in (Status.FINISHED, Status.DIVERGED)
    ]
    columns = ["optimizer", "lr", "trial", "val_loss", "diverged"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).astype({"val_loss": "float64", "diverged": bool})


def draw_loss_by_lr(figure: Figure, data: pd.DataFrame) -> None:
    """Draw dots and means by learning rate, all that were tried on the axis."""
    ax = figure.subplots()
    looks = style.palette(data["optimizer"])
    handles = []
    for optimizer in dict.fromkeys(data["optimizer"]):
        look, part = looks[optimizer], data[(data["optimizer"] == optimizer) & data["val_loss"].notna()]
        means = part.groupby("lr")["val_loss"].mean()
        ax.plot(part["lr"], part["val_loss"], look.marker, color=look.colour, ms=4, alpha=0.5)
        handles += ax.plot(means.index, means, color=look.colour, ls=look.line, marker=look.marker, ms=4)
    style.lr_axis(ax, data["lr"].tolist(), inches=5)
    if data["val_loss"].notna().any():
        style.loss_axis(ax)
    lost = data[data["diverged"]]
    ax.plot(lost["lr"], [0.02] * len(lost), "x", color=style.RED, ms=7, mew=1.8, transform=ax.get_xaxis_transform())
    ax.set(xlabel="learning rate", ylabel="validation loss")
    style.legend(ax, handles, list(dict.fromkeys(data["optimizer"])), loc="upper left", bbox_to_anchor=(1.02, 1))
