"""Which learning rate to start from, and did the range test predict the sweep's best?

    data = lr_range_test_data(results)    # one row per point and per mark; `series` says which

The marks are drawn as the range test recorded them, not computed again.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.plots import style
from analysis.plots.plot import Plot
from analysis.plots.style import Palette
from analysis.study.results import Results
from ch6dist.catalog.wording import short_number
from ch6dist.runs.schema import Line

MARKS = ("steepest", "valley", "slide", "minimum")
MAX_PANELS = 12
MAX_COLUMNS = 2
COLUMNS = ["trial", "panel", "optimizer", "seed", "series", "lr", "loss", "advice"]
NO_SIGNAL = "the loss falls by no more than its noise"  # what older artifacts say, which have no advice
ADVICE_WIDTH = 64  # characters
CURVES = ("smoothed", "raw")


def lr_range_test_data(results: Results) -> pd.DataFrame:
    """Return one row per point and mark of each range test.

    `series` is raw or smoothed (curves), one of MARKS, interval (two rows), diverged, no_signal or sweep_best; `advice`
    says of no_signal why, and what to change.
    """
    study, board = results.study, results.board
    records: list[Line] = []
    for _, trial in study.trials[study.trials["type"] == "range_test"].iterrows():
        head = {
            "trial": trial["trial"],
            "panel": f"{trial['label']}, seed {trial['seed']}",
            "optimizer": trial["optimizer"],
            "seed": trial["seed"],
            "advice": "",
        }
        rows = study.rows[trial["trial"]]
        points = [("raw", row.get("lr"), row.get("train_loss")) for row in rows]
        artifact = study.ledger.artifacts.get((trial["trial"], "range_test"))
        points += _marks(artifact["value"], rows) if artifact else []
        points += _sweep_best(trial["optimizer"], board) if rows else []
        records += [{**head, "series": series, "lr": lr, "loss": loss} for series, lr, loss in points]
        if artifact and artifact["value"].get("no_signal"):
            records.append({**head, "series": "no_signal", "advice": artifact["value"].get("advice") or NO_SIGNAL})
    return pd.DataFrame(records, columns=pd.Index(COLUMNS)).astype({"lr": "float64", "loss": "float64"})


def _marks(value: dict[str, Any], rows: list[Line]) -> list[tuple[str, float | None, float | None]]:
    points = [("smoothed", lr, loss) for lr, loss in zip(value["lr"], value["smoothed"], strict=False)]
    points += [(mark, value[mark], None) for mark in MARKS if value.get(mark) is not None]
    points += [("interval", lr, None) for lr in value.get("interval") or []]
    at = {row["step"]: row.get("lr") for row in rows}.get(value.get("diverged_at"))
    return points + ([("diverged", at, None)] if at is not None else [])


def _sweep_best(optimizer: str, board: pd.DataFrame) -> list[tuple[str, float | None, float | None]]:
    same = board[(board["optimizer"] == optimizer) & board["score"].notna() & (board["diverged"] == 0)]
    return [("sweep_best", float(same.iloc[0]["lr"]), None)] if len(same) else []


def draw_lr_range_test(figure: Figure, data: pd.DataFrame, palette: Palette) -> None:
    """Draw a panel per range test: the loss curve above, the recommended learning rates as labelled rows below."""
    panels = [panel for _, panel in data.groupby("trial", sort=False)][:MAX_PANELS]
    rows, columns = style.grid_shape(len(panels), max_columns=MAX_COLUMNS)
    for part, panel in zip(figure.subfigures(rows, columns, squeeze=False).flat, panels, strict=False):
        upper, lower = part.subplots(2, 1, sharex=True, height_ratios=(3, 1.25))
        _draw_curve(upper, panel, palette[panel["optimizer"].iloc[0]].colour)
        _draw_marks(lower, panel)
        _limit_lrs(upper, panel["lr"])
        style.log_axis(upper, "x", style.lr_formatter())
        upper.set_title(panel["panel"].iloc[0])
        lower.set_xlabel("learning rate")


def _draw_curve(ax: Axes, panel: pd.DataFrame, colour: str) -> None:
    series = {str(name): part for name, part in panel.groupby("series")}
    if "interval" in series:
        low, high = sorted(series["interval"]["lr"])
        ax.axvspan(low, high, color=colour, alpha=0.08, lw=0)
    if "raw" in series:
        ax.plot(series["raw"]["lr"], series["raw"]["loss"], color=colour, lw=0.9, alpha=0.4)
    if "smoothed" in series:
        ax.plot(series["smoothed"]["lr"], series["smoothed"]["loss"], color=colour, lw=2)
    if "diverged" in series:
        ax.axvline(series["diverged"]["lr"].iloc[0], color=style.RED, lw=1.5, ls="--")
    _limit_loss(ax, series)
    said = f"no signal: {series['no_signal']['advice'].iloc[0]}" if "no_signal" in series else ""
    if not any(series[name]["loss"].notna().any() for name in CURVES if name in series):
        said = said or "no step has a finite loss"
        ax.set_yticks([])
    if said:
        ax.text(
            0.5,
            0.95,
            textwrap.fill(said, ADVICE_WIDTH),
            transform=ax.transAxes,
            ha="center",
            va="top",
            fontsize=8.5,
            color=style.RED,
            bbox={"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 2},
        )
    ax.set_ylabel("training loss")


def _draw_marks(ax: Axes, panel: pd.DataFrame) -> None:
    """Draw a row per recommendation, so that labels of close learning rates do not overlap."""
    names = {**dict.fromkeys(MARKS), "minimum": "minimum ÷ 10", "sweep_best": "best in sweep"}
    series = panel.set_index("series")["lr"]
    low, high = panel["lr"].min(), panel["lr"].max()
    for y, mark in enumerate(names):
        if mark not in series.index:
            ax.annotate("–", (0.02, y), xycoords=("axes fraction", "data"), va="center", color=style.GREY)
            continue
        lr = float(series[mark])
        right = math.log(lr / low) > 0.7 * math.log(high / low)
        ax.plot(lr, y, "*" if mark == "sweep_best" else "o", color="black", ms=6)
        side, shift = ("right", -7) if right else ("left", 7)
        ax.annotate(
            short_number(lr), (lr, y), (shift, 0), textcoords="offset points", va="center", ha=side, fontsize=8.5
        )
    ax.set_yticks(range(len(names)), [label or mark for mark, label in names.items()], fontsize=8.5)
    ax.set_ylim(len(names) - 0.5, -0.5)


def _limit_lrs(ax: Axes, lrs: pd.Series) -> None:
    """Limit the axis to the learning rates: without a finite loss, nothing that is drawn does."""
    low, high = lrs[lrs > 0].min(), lrs.max()
    if pd.notna(low):
        pad = max(high / low, 10.0) ** 0.05
        ax.set_xlim(low / pad, high * pad)
    else:
        ax.set_xlim(0.1, 1.0)


def _limit_loss(ax: Axes, series: dict[str, pd.DataFrame]) -> None:
    """Limit the axis to where the loss falls and as far above its start: at the end of a good test it explodes."""
    curve, raw = (series[name]["loss"].dropna() if name in series else pd.Series(dtype=float) for name in CURVES)
    curve = curve if len(curve) else raw
    if len(curve):
        start, low = curve.iloc[0], curve.min()
        noise = raw.iloc[: max(len(raw) // 10, 5)].std()
        above = max(start - low, 4 * noise if noise > 0 else 0.0, 0.005 * abs(start))
        high = min(curve.max(), start + above)
        pad = 0.12 * (high - low) or 0.05
        room = 0.5 * (high - low) if "no_signal" in series else 0.0
        ax.set_ylim(low - pad, high + 2 * pad + room)


def _size(data: pd.DataFrame) -> tuple[float, float]:
    rows, columns = style.grid_shape(min(MAX_PANELS, data["trial"].nunique()), max_columns=MAX_COLUMNS)
    return (8.5 if columns == 1 else 11.0), 4.0 * rows + 1.0


def _caption(data: pd.DataFrame) -> str:
    return (
        "Thin: loss of each batch; thick: smoothed loss, cut where it explodes; red dashes: where the test stopped as "
        "diverged; tinted: the recommended interval. Below: the learning rates of steepest descent, valley, slide and "
        "a tenth of that at the minimum, and the best of the sweep if it trained this optimizer."
        + style.cut_note(data["trial"].nunique(), MAX_PANELS, "range tests", "lr_range_test")
    )


PLOT = Plot(
    name="lr_range_test",
    section="Learning rates",
    heading="Learning-rate range tests",
    title="Which learning rate to start from, and did the range test predict the sweep's best?",
    data=lr_range_test_data,
    draw=draw_lr_range_test,
    size=_size,
    caption=_caption,
    empty="The run has no range test with a completed step.",
)
