"""How large gradients and parameters are over a training: the norms of each layer, and one raw against smoothed.

    norms = read_norms(run, ledger, trial)
    write_drawing(NORMS, norms_data(norms, beta=0.9), folder)
    write_drawing(MAGNITUDE, magnitude_data(norms, beta=0.9), folder)

The series were captured while the trial trained (`capture:` in its trial; `{}` is enough for the norms). Steps are
marked by the definitions of ch6dist/runs/capture_signs.py, those behind the signs in the ledger's rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ch6dist.averages import describe, ewma, white_noise_share
from ch6dist.catalog.labels import label_all
from ch6dist.catalog.text import one_line
from ch6dist.errors import UsageError
from ch6dist.runs.capture_signs import is_exploding, is_small, whole_norm
from ch6dist.runs.captures import Series, read_captures
from ch6dist.runs.ledger import Ledger

GRADIENTS, PARAMETERS, UPDATES = "gradient norm", "parameter norm", "update ÷ parameter"
TOGETHER = "the norm of all captured gradients together"
MEAN_ABSOLUTE = "the mean absolute gradient of each captured parameter, by its sampled elements, added up"
HOW = "train it with `capture: {}`, which keeps the norms of all gradients and parameters"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Norms:
    """What was captured of a trial's gradients and parameters; one of the two at least."""

    label: str  # of the configuration
    trial: str
    gradients: Series | None
    parameters: Series | None


def read_norms(run: Path, ledger: Ledger, trial: str) -> Norms:
    """Return what a trial captured of its gradients and parameters. UsageError where nothing can be drawn of it."""
    captured = read_captures(run, ledger, trial)
    gradients, parameters = captured.get("gradients"), captured.get("parameters")
    if gradients is None and (parameters is None or not ("norm" in parameters.values or _has_updates(parameters))):
        raise UsageError(f"{trial} captured no norms", HOW)
    label = one_line(str(label_all([ledger.trials[trial]["config"]]).labels[0]))
    return Norms(label=label, trial=trial, gradients=gradients, parameters=parameters)


def norms_data(norms: Norms, *, beta: float) -> pd.DataFrame:
    """Return a row per panel, layer and captured step: the norm, and its bias-corrected average, of parameters none.

    The panels are those that the capture allows: an update takes single elements of the parameters at every step. Empty
    where it allows none.
    """
    parts = []
    gradients, parameters = norms.gradients, norms.parameters
    if gradients is not None and "norm" in gradients.values:
        exploding, small = is_exploding(gradients), is_small(gradients)
        for layer, places in _layers(gradients).items():
            value = _together(gradients.values["norm"][:, places].astype(np.float64) ** 2)
            vanishing = np.asarray(small[:, places].any(axis=1))
            signs = {"exploding": exploding, "vanishing": vanishing}
            parts.append(_panel(GRADIENTS, layer, steps=gradients.steps, value=value, beta=beta, **signs))
    if parameters is not None and "norm" in parameters.values:
        for layer, places in _layers(parameters).items():
            value = _together(parameters.values["norm"][:, places].astype(np.float64) ** 2)
            parts.append(_panel(PARAMETERS, layer, steps=parameters.steps, value=value))
    if parameters is not None and _has_updates(parameters):
        for layer, places in _layers(parameters).items():
            value = _update(parameters, places)
            parts.append(_panel(UPDATES, layer, steps=parameters.steps[1:], value=value, beta=beta))
    data = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return data.assign(beta=beta, configuration=norms.label)


def magnitude_data(norms: Norms, *, beta: float) -> pd.DataFrame:
    """Return a row per captured step: one number for all gradients, and its bias-corrected average; empty without any.

    Which number: their norm, or of single elements the sum over the parameters of their mean absolute value.
    """
    gradients = norms.gradients
    if gradients is None:
        return pd.DataFrame()
    if "norm" in gradients.values:
        value, what = whole_norm(gradients), TOGETHER
    else:
        value, what = _mean_absolute(gradients), MEAN_ABSOLUTE
    return pd.DataFrame(
        {
            "step": gradients.steps,
            "value": value,
            "smoothed": ewma(value, beta=beta, corrected=True),
            "beta": beta,
            "what": what,
            "configuration": norms.label,
        }
    )


def magnitude_statistics(data: pd.DataFrame) -> pd.DataFrame:
    """Return what the series of `magnitude_data` is like raw and smoothed, over the steps before the first not finite.

    `kept`: share of the raw one's variance; `white_noise`: what the average would keep of white noise.
    """
    finite, rows = np.isfinite(data["smoothed"].to_numpy()), []
    if not finite.any():
        return pd.DataFrame(columns=["series", "steps"])
    share = white_noise_share(data["beta"].iloc[0])
    for name, column, noise in (("raw", "value", 1.0), ("smoothed", "smoothed", share)):
        found, raw = describe(data.loc[finite, column]), describe(data.loc[finite, "value"])
        kept = float(found.variance / raw.variance) if raw.variance > 0 else math.nan
        row = {"series": name, "steps": int(finite.sum()), "variance": float(found.variance), "kept": kept}
        row |= {"white_noise": noise}
        row |= {key: float(getattr(found, key)) for key in ("peak", "low", "high", "autocorrelation")}
        rows.append(row)
    return pd.DataFrame(rows)


def _panel(
    panel: str,
    layer: str,
    *,
    steps: NDArray[np.int64],
    value: Floats,
    beta: float | None = None,
    exploding: NDArray[np.bool_] | bool = False,
    vanishing: NDArray[np.bool_] | bool = False,
) -> pd.DataFrame:
    smoothed = math.nan if beta is None else ewma(value, beta=beta, corrected=True)
    columns = {"step": steps, "value": value, "smoothed": smoothed, "exploding": exploding, "vanishing": vanishing}
    return pd.DataFrame({"panel": panel, "layer": layer, **columns})


def _layers(series: Series) -> dict[str, list[int]]:
    """Return the places of each layer's tensors; a tensor of no layer is one of its own."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(series.names):
        found.setdefault(name.rpartition(".")[0] or name, []).append(place)
    return found


def _together(squares: Floats) -> Floats:
    """Return the norm of tensors together, [S], from the squares of theirs, [S, N]."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(squares.sum(axis=1)))


def _has_updates(parameters: Series) -> bool:
    steps = parameters.steps
    return "sample" in parameters.values and len(steps) > 1 and bool(np.all(np.diff(steps) == 1))


def _update(parameters: Series, places: list[int]) -> Floats:
    """Return the norm of a layer's updates over that of its parameters before them, from the second step on.

    Of each tensor by its sampled elements, which stand for all of them: their squares count size ÷ elements times.
    """
    steps = len(parameters.steps) - 1
    changes, before = np.zeros((steps, len(places))), np.zeros((steps, len(places)))
    for column, place in enumerate(places):
        values = parameters.of(parameters.names[place], "sample").astype(np.float64)
        share = parameters.sizes[place] / values.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):
            changes[:, column] = (np.diff(values, axis=0) ** 2).sum(axis=1) * share
            before[:, column] = (values[:-1] ** 2).sum(axis=1) * share
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(_together(changes) / _together(before))


def _mean_absolute(gradients: Series) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [np.abs(gradients.of(name, "sample").astype(np.float64)).mean(axis=1) for name in gradients.names]
        return np.asarray(np.sum(parts, axis=0))
