"""What the animation shows: contours as SVG paths, and every path as numbers; and the still picture of both.

    scene = scene_of(visit)         # JSON can hold it; lab.js moves it
    scene["comparisons"][0]["paths"]

The still picture is drawn here, so that the page shows the paths where JavaScript is off.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from contourpy import contour_generator

from analysis.lab.load import Visit
from analysis.lab.surfaces import contour_levels
from ch6dist.catalog.lab import COMPARISONS
from ch6dist.catalog.text import number_text

SIZE, LEFT, BOTTOM, EDGE = 600, 52, 46, 10  # of the drawing, and its margins
MANY = 6  # paths above which only the best known ones are shown at first
SHADES = 7  # colours of an ordered setting in the style sheet
DASHES = ("", "7 4", "2 4", "9 3 2 3", "4 2 1 2")
FIRST_SHOWN = ("flavours", "adam")


def scene_of(visit: Visit) -> dict[str, Any]:
    """Return contours, ticks and every comparison of a visit; places are those of the drawing, numbers rounded."""
    return {
        "parameters": list(visit.parameters),
        "size": SIZE,
        "box": [LEFT, EDGE, SIZE - EDGE, SIZE - BOTTOM],
        "contours": _contours(visit),
        "ticks": _ticks(visit),
        "start": _place(visit, *visit.problem["start"]),
        "optimum": _place(visit, *visit.problem["optimum"]),
        "runs": {path["name"]: _run(visit, path["name"]) for path in visit.index["paths"]},
        "comparisons": [_comparison(visit, one["name"]) for one in visit.index["comparisons"]],
    }


def _comparison(visit: Visit, name: str) -> dict[str, Any]:
    paths, is_setting = visit.comparison(name), bool(COMPARISONS[name].setting)
    known = {visit.optimizer(path) for first in FIRST_SHOWN for path in visit.comparison(first)}
    shown = [path for path in paths if visit.optimizer(path) in known] if len(paths) > MANY else paths
    return {
        "name": name,
        "question": visit.question(name),
        "steps": max(visit.about(path)["steps"] for path in paths),
        "paths": [
            {
                "run": path,
                "label": visit.value(name, path) if is_setting else path,
                **(_ordered(place, len(paths)) if is_setting else _look(visit, path, paths)),
                "shown": path in (shown or paths[:MANY]),
            }
            for place, path in enumerate(paths)
        ],
    }


def _look(visit: Visit, path: str, among: list[str]) -> dict[str, str]:
    """Return colour and dashes: by optimizer; beside others of the same optimizer, dashes by schedule."""
    place = visit.place(path)
    same = [other for other in among if visit.place(other) == place]
    dash = same.index(path) if len(same) > 1 else place // SHADES
    return {"stroke": f"var(--g{place % SHADES})", "dash": DASHES[dash % len(DASHES)]}


def _ordered(place: int, count: int) -> dict[str, str]:
    """Return a colour for the value of a setting, from dark to light."""
    return {"stroke": f"var(--s{round((SHADES - 1) * place / max(1, count - 1))})", "dash": DASHES[place % len(DASHES)]}


def _run(visit: Visit, name: str) -> dict[str, Any]:
    rows, (first, second) = visit.path(name), visit.parameters
    points = [_place(visit, x, y) for x, y in zip(rows[first], rows[second], strict=True)]
    lrs = [_short(lr) for lr in rows["lr"].iloc[:-1]]
    return {
        "x": [point[0] for point in points],
        "y": [point[1] for point in points],
        "loss": [_short(loss) for loss in rows["loss"]],
        "lr": [*lrs, lrs[-1]],  # where a path ends no step follows
        "diverged": visit.about(name)["diverged"],
    }


def still(scene: dict[str, Any], comparison: int = 0) -> list[dict[str, str]]:
    """Return the shown paths of a comparison as whole lines: `d` of an SVG path, its look and label."""
    return [
        {"d": _line(scene["runs"][path["run"]]), "stroke": path["stroke"], "dash": path["dash"], "label": path["label"]}
        for path in scene["comparisons"][comparison]["paths"]
        if path["shown"]
    ]


def _line(run: dict[str, Any]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in zip(run["x"], run["y"], strict=True))


def _contours(visit: Visit) -> list[str]:
    surface = visit.surface
    generator = contour_generator(surface.xs, surface.ys, surface.loss)
    return [_contour(visit, generator.lines(level)) for level in contour_levels(visit)]


def _contour(visit: Visit, lines: Iterable[Any]) -> str:
    """Return the lines of a contour, each an array (points, 2), as one SVG path."""
    return "".join("M" + "L".join("{} {}".format(*_place(visit, x, y)) for x, y in line) for line in lines)


def _ticks(visit: Visit) -> list[dict[str, Any]]:
    """Return the round numbers within the window, with their places on both axes."""
    low, high = visit.problem["window"]
    step = 0.4 if high - low < 2 else 1.0
    numbers = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [
        {"text": number_text(round(value, 6)), "x": _place(visit, value, low)[0], "y": _place(visit, low, value)[1]}
        for value in numbers
    ]


def _place(visit: Visit, x: float, y: float) -> tuple[float, float]:
    """Return the place of parameters in the drawing; far outside they stay at a hundred times its size."""
    low, high = visit.problem["window"]
    inner_x, inner_y = SIZE - LEFT - EDGE, SIZE - BOTTOM - EDGE
    across, up = ((min(max((value - low) / (high - low), -100.0), 100.0)) for value in (x, y))
    return round(LEFT + across * inner_x, 1), round(EDGE + (1 - up) * inner_y, 1)


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
