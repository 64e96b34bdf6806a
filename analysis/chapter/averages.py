"""What a moving average does to a series: its weights by lag, its course beside the values, and what it keeps of them.

series = made_up_series()
write_drawing(WEIGHTS, weights_data(beta=0.9), folder)
write_drawing(AVERAGES, averages_data(series, beta=0.9), folder)
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.chapter.drawing import Drawing
from analysis.chapter.series import Series
from analysis.plots import style
from ch6dist.averages import (
    beta_of,
    describe,
    ewma,
    exponential_age,
    exponential_weights,
    simple,
    simple_age,
    simple_weights,
    white_noise_share,
    window_of,
)
from ch6dist.catalog.text import number_text
from ch6dist.catalog.wording import format_count, short_number
from ch6dist.errors import InputError

LINES = {  # column → colour, line and label
    "simple": ("#E69F00", "-", "simple"),
    "exponential": ("#56B4E9", "--", "exponential"),
    "corrected": ("#0072B2", "-", "exponential, bias-corrected"),
}
VALUE = "#b5b5b5"
MAX_BARS = 60  # lags; more are lines
PERIOD, LONGEST = 19.0, 1_000_000  # of beta 0.9; of an average that is drawn
FEWEST_LAGS, MOST_LAGS = 10, 2001
NEAR = 0.01  # relative difference from which on an average counts as corrected by itself


def beta_to_draw(**given: float | None) -> float:
    """Return beta from at most one of beta, period and alpha; without any, that of PERIOD. InputError for others."""
    chosen = {key: value for key, value in given.items() if value is not None} or {"period": PERIOD}
    beta = beta_of(**chosen)
    if round(window_of(beta)) > LONGEST:
        raise InputError(next(iter(chosen)), next(iter(chosen.values())), f"what has a period of at most {LONGEST:,}")
    return beta


def weights_data(*, beta: float) -> pd.DataFrame:
    """Return a row per lag: its weight in the average by beta, and in the simple one as old."""
    window = _window(beta)
    end = max(FEWEST_LAGS - 1, 2 * window)
    lags = np.unique(np.linspace(0, end, min(end + 1, MOST_LAGS)).round().astype(int))
    return pd.DataFrame(
        {
            "lag": lags,
            "simple": simple_weights(lags, window=window),
            "exponential": exponential_weights(lags, beta=beta),
            "window": window,
            "beta": beta,
        }
    )


def averages_data(series: Series, *, beta: float) -> pd.DataFrame:
    """Return a row per step: the value and the averages; `simple` is missing until its window is full."""
    window = _window(beta)
    return pd.DataFrame(
        {
            "step": np.arange(len(series.values)),
            "value": series.values,
            "simple": simple(series.values, window=window),
            "exponential": ewma(series.values, beta=beta, corrected=False),
            "corrected": ewma(series.values, beta=beta, corrected=True),
            "window": window,
            "beta": beta,
            "series": series.name,
            "left_out": series.left_out,
            "made_up": series.is_made_up,
        }
    )


def statistics_data(data: pd.DataFrame) -> pd.DataFrame:
    """Return what the series and each average of `averages_data` is like, all over the steps that have all of them.

    `kept`: share of the series' variance; `white_noise`: the share that the average would keep of white noise.
    """
    window, beta = _parameters(data)
    whole = data.iloc[window - 1 :] if len(data) > window else data.drop(columns="simple")
    noise = {"value": 1.0, "simple": 1 / window, "exponential": white_noise_share(beta)}
    all_of_it, rows = float(describe(whole["value"].to_numpy()).variance), []
    for column in ("value", *LINES):
        if column in whole:
            found = describe(whole[column].to_numpy())
            row = {"series": "value" if column == "value" else LINES[column][2], "steps": len(whole)}
            kept = found.variance / all_of_it if all_of_it > 0 else math.nan
            row |= {"variance": found.variance, "kept": kept, "white_noise": noise.get(column, white_noise_share(beta))}
            row |= {name: getattr(found, name) for name in ("peak", "low", "high", "autocorrelation")}
            rows.append(row)
    numbers = ["variance", "kept", "white_noise", "peak", "low", "high", "autocorrelation"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))


def draw_weights(figure: Figure, data: pd.DataFrame) -> None:
    """Draw the weights of both averages by lag, and their average age."""
    ax = figure.subplots()
    lags, handles = data["lag"].to_numpy(), []
    for column, shift in (("simple", -0.2), ("exponential", 0.2)):
        colour = LINES["corrected" if column == "exponential" else column][0]
        if len(lags) <= MAX_BARS:
            handles.append(ax.bar(lags + shift, data[column], width=0.4, color=colour)[0])
        else:
            handles.append(ax.plot(lags, data[column], color=colour, drawstyle="steps-mid")[0])
    age = ax.axvline(exponential_age(float(data["beta"].iloc[0])) - 1, color="black", lw=1, ls="--")
    ax.set_xlabel("lag: how many steps ago the value was")
    ax.set_ylabel("weight in the average")
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    ax.grid(visible=False, axis="x")
    labels = [f"simple, window {data['window'].iloc[0]}", f"exponential, beta {_beta(data)}", "average lag"]
    style.legend(ax, [*handles, age], labels, loc="upper right")


def draw_averages(figure: Figure, data: pd.DataFrame) -> None:
    """Draw the series with its averages; below, where the averages begin, if that is a small part of it."""
    begin = 2 * int(data["window"].iloc[0])
    panels = [data, data.iloc[:begin]] if len(data) > 2 * begin and begin > 2 else [data]
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for ax, panel in zip(axes, panels, strict=True):
        handles = _draw_lines(ax, panel)
        ax.set_ylabel("value")
        ax.set_xlabel("step")
    if len(panels) == 2:
        axes[0].set_title("all steps")
        axes[1].set_title("where the averages begin")
    labels = ["value", *(label for _, _, label in LINES.values())]
    style.legend(
        axes[0], handles, labels, loc="lower left", bbox_to_anchor=(0, 1.12 if len(panels) == 2 else 1.02), ncols=4
    )


def _draw_lines(ax: Axes, data: pd.DataFrame) -> list[Artist]:
    few = len(data) <= MAX_BARS
    handles: list[Artist] = [*ax.plot(data["step"], data["value"], color=VALUE, lw=1, marker="o" if few else "", ms=4)]
    for column, (colour, line, _) in LINES.items():
        handles += ax.plot(data["step"], data[column], color=colour, ls=line, lw=1.9, marker=_marker(data[column]))
    ax.margins(x=0.01)
    return handles


def _marker(values: pd.Series) -> str:
    return "o" if values.notna().sum() == 1 else ""  # a line of one point would not be seen


def _weights_caption(data: pd.DataFrame) -> str:
    window, beta = _parameters(data)
    return (
        f"The values in both averages are {_age(beta)} old on average{_rounded(window, beta)}, the newest being 1 step "
        f"old (dashed: that lag). The simple average forgets a value after {format_count(window, 'step')} at once; in "
        f"the exponential one the last {window} have {_sum_of_weights(window, beta)} of the weight, and none is ever "
        "forgotten. alpha = 1 − beta = 2 / (window + 1), window = (1 + beta) / (1 − beta)."
    )


def _averages_caption(data: pd.DataFrame) -> str:
    (window, beta), steps = _parameters(data), len(data)
    near = math.ceil(math.log(NEAR) / math.log(beta)) if beta > 0 else 1
    until = " (here there never are)" if steps < window else ""
    left_out = int(data["left_out"].iloc[0])
    missing = f" {format_count(left_out, 'value')} of the file, missing or not finite, left out." if left_out else ""
    made_up = "Made up: " if data["made_up"].iloc[0] else ""
    return (
        f"{made_up}{data['series'].iloc[0]}, n = {format_count(steps, 'value')}.{missing} Simple: mean of the last "
        f"{format_count(window, 'value')}, none before there are so many{until}. Exponential: beta {_beta(data)}, its "
        f"values {_age(beta)} old on average, as those of the simple one{_rounded(window, beta)}; it begins at 0, and "
        f"its weights add up to {_sum_of_weights(window, beta)} after {format_count(window, 'step')}, to 99 % after "
        f"{near}. Bias-corrected: divided by that sum."
    )


def _age(beta: float) -> str:
    return f"{short_number(exponential_age(beta))} {'step' if beta == 0 else 'steps'}"


def _sum_of_weights(window: int, beta: float) -> str:
    return f"{100 * (1 - beta**window):.1f} %"


def _rounded(window: int, beta: float) -> str:
    """Return what to say of a period that is no whole number, as a window has to be."""
    exact = window_of(beta)
    if abs(exact - window) <= 1e-9 * window:
        return ""
    age = short_number(simple_age(window))
    return f" (but for rounding: the period is {exact:.4g}, and the simple one's age {age})"


def _parameters(data: pd.DataFrame) -> tuple[int, float]:
    return int(data["window"].iloc[0]), float(data["beta"].iloc[0])


def _beta(data: pd.DataFrame) -> str:
    return number_text(float(f"{data['beta'].iloc[0]:.6g}"))


def _window(beta: float) -> int:
    return max(1, round(window_of(beta)))


WEIGHTS = Drawing(
    name="average_weights",
    title=lambda data: "How much does a value weigh in a moving average, and for how long?",
    draw=draw_weights,
    size=lambda data: (8.0, 3.9),
    caption=_weights_caption,
)
AVERAGES = Drawing(
    name="averages",
    title=lambda data: (
        ("MADE-UP SERIES: w" if data["made_up"].iloc[0] else "W") + "hat does a moving average make of it?"
    ),
    draw=draw_averages,
    size=lambda data: (9.0, 6.6 if len(data) > 4 * data["window"].iloc[0] > 4 else 4.6),
    caption=_averages_caption,
)
