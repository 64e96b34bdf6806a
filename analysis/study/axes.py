"""What a sweep varied, by configuration: optimizer, schedule, learning rate, weight decay, …, each a column.

    axes = axes_of(study)
    axes.table                  # one row per configuration: optimizer, schedule, learning rate, weight decay, …
    axes.numeric                # the columns that are numbers
    axes.levels()               # those with few values, as text, without the learning rate

A number of the optimizer that was swept by itself is an axis of its own and no part of the optimizer's name: AdamW with
three weight decays is one optimizer here, while SGD and SGD with momentum 0.9 are two. What only follows from the
cases of a sweep is no axis beside them: nothing tells its effect from theirs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.study.load import Study
from ch6dist.catalog.data_keys import UNNAMED
from ch6dist.catalog.labels import leaves
from ch6dist.catalog.naming import ABBREVIATIONS, optimizer_label
from ch6dist.catalog.text import distinct_numbers, number_text, one_line, value_text

OPTIMIZER, SCHEDULE, LEARNING_RATE = "optimizer", "schedule", "learning rate"
NONE = "–"  # the text of what a configuration has not
MAX_LEVELS = 16  # an axis with more values was drawn by a search, or is no axis for levels
LR = "optimizer.lr"
SEVERAL, MANY = 2, 3  # values of a parameter within an optimizer that make it an axis: in two optimizers, or in one
APART = (
    "type",
    "seed",
    "range_test",
    "evaluate_test",
    "data.root",
    *UNNAMED,
    "capture",
    "metrics",
)  # they are no configuration, or of no training run
Flat = dict[str, Any]


@dataclass(frozen=True)
class Axes:
    """What varies among the training runs that are ranked."""

    table: pd.DataFrame  # (configurations, axes), index: configuration; text, or numbers with NaN where there is none
    numeric: tuple[str, ...]
    optimizers: pd.Series  # of each configuration, as the table calls it, where it is no axis of the table too
    looks: dict[str, str]  # by optimizer: the label whose colour and marker it has in figures

    @property
    def names(self) -> list[str]:
        """The axes, in the order of the table."""
        return list(self.table.columns)

    def levels(self) -> pd.DataFrame:
        """Return (configurations, axes): each value as text, of the axes with two to MAX_LEVELS values.

        Without the learning rate, and without an axis that divides the configurations as an earlier one does.
        """
        kept: dict[str, pd.Series] = {}
        parts: list[list[int]] = []
        for name in self.names:
            values = self._texts(name)
            part = pd.factorize(values)[0].tolist()
            if name != LEARNING_RATE and values.nunique() <= MAX_LEVELS and part not in parts:
                kept[name] = values
                parts.append(part)
        return pd.DataFrame(kept, index=self.table.index)

    def _texts(self, name: str) -> pd.Series:
        values = self.table[name]
        if name not in self.numeric:
            return values
        tried = sorted(values.dropna().unique())
        return values.map(dict(zip(tried, number_texts(tried), strict=True))).fillna(NONE)


def axes_of(study: Study) -> Axes:
    """Return the axes along which at least two values were tried, in training runs other than final ones."""
    trials = study.trials[(study.trials["type"] == "train") & ~study.trials["final"]]
    firsts = trials.drop_duplicates("configuration").set_index("configuration")
    configs = [study.ledger.trials[trial]["config"] for trial in firsts["trial"]]
    flat = [{path: value for path, value in leaves(config) if not _is_apart(path)} for config in configs]
    own = _own_parameters(flat, swept=_swept(study))
    columns: dict[str, list[Any]] = {
        OPTIMIZER: [_base_label(config["optimizer"], own) for config in configs],
        SCHEDULE: list(firsts["scheduler"]),
    }
    for path in _varied(flat, firsts, own):
        name = _name(path)
        columns[path if name in columns else name] = [paths.get(path) for paths in flat]
    optimizers = columns[OPTIMIZER]
    for axis, names in _cases(study, firsts).items():
        kept = {name: values for name, values in columns.items() if not _follows(values, names)}
        columns = {f"{axis} (cases)" if axis in kept else axis: names, **kept}
    if len(study.runs) > 1:
        columns["run"] = list(firsts["run"])
    made = {name: _column(values) for name, values in columns.items()}
    table = pd.DataFrame({name: column for name, column in made.items() if column.nunique() > 1})
    table.index = firsts.index
    numeric = tuple(name for name in table.columns if pd.api.types.is_numeric_dtype(table[name]))
    looks: dict[str, str] = {}
    for name, label in sorted(zip(optimizers, firsts["optimizer"], strict=True)):
        looks.setdefault(name, label)
    return Axes(table, numeric, pd.Series(optimizers, index=firsts.index, dtype="object"), looks)


def number_texts(numbers: Sequence[float], *, digits: int = 4) -> list[str]:
    """Return the ticks of an axis: as many digits as tell them apart, `digits` or more; 1024 and no 1.024e3."""
    shown = distinct_numbers(numbers, digits=digits)
    rounded = [shown[number] for number in numbers]
    return [str(int(n)) if n == int(n) and abs(n) < 1e5 else number_text(n) for n in rounded]


def _is_apart(path: str) -> bool:
    return f"{path}.".startswith(tuple(f"{section}." for section in APART))


def _swept(study: Study) -> set[str]:
    """Return the keys that the sweeps name as axes: optimizer.lr, data.batch_size, …"""
    return {key for run in study.runs for key in run.ledger.spec.get("parameters", {})}


def _cases(study: Study, firsts: pd.DataFrame) -> dict[str, list[str]]:
    """Return the name of each configuration's case on every axis of cases, NONE where it has none."""
    cases = [study.ledger.trials[trial].get("case") or {} for trial in firsts["trial"]]
    return {one_line(axis): [one_line(case.get(axis, NONE)) for case in cases] for axis in _keys(cases)}


def _keys(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for mapping in mappings for key in mapping))


def _follows(values: Sequence[Any], names: Sequence[str]) -> bool:
    """Return whether a column has one value for each name."""
    return len({(name, _text(value)) for name, value in zip(names, values, strict=True)}) == len(set(names))


def _own_parameters(flat: list[Flat], *, swept: set[str]) -> set[str]:
    """Return the paths of the optimizer's numbers that are axes of their own."""
    values: dict[str, dict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for paths in flat:
        for path, value in paths.items():
            if path.startswith("optimizer.") and _is_number(value):
                values[path][paths["optimizer.name"]].add(value)
    found = {LR}
    for path, by_name in values.items():
        counts = [len(numbers) for numbers in by_name.values()]
        if path in swept or max(counts) >= MANY or sum(count >= SEVERAL for count in counts) >= SEVERAL:
            found.add(path)
    return found


def _varied(flat: list[Flat], firsts: pd.DataFrame, own: set[str]) -> list[str]:
    """Return the paths that are columns: the optimizer's own, what a search drew for a schedule, and all the others."""
    paths = _keys(flat)
    schedules = firsts["scheduler"].to_numpy()
    found = sorted(own & set(paths), key=lambda path: (path != LR, path))
    for path in paths:
        if path.startswith("optimizer."):
            continue
        values = pd.Series([_text(one.get(path)) for one in flat])
        if path.startswith("schedule."):
            if values.groupby(schedules).nunique().max() > 1:
                found.append(path)
        elif values.nunique() > 1:
            found.append(path)
    return found


def _base_label(optimizer: Mapping[str, Any], own: set[str]) -> str:
    """Return an optimizer's label without the parameters that are axes."""
    kept = {key: value for key, value in optimizer.items() if f"optimizer.{key}" not in own}
    if kept.get("nesterov") and "momentum" not in kept:
        return optimizer_label({k: v for k, v in kept.items() if k != "nesterov"}) + " nesterov"
    return optimizer_label(kept)


def _column(values: list[Any]) -> pd.Series:
    if all(value is None or _is_number(value) for value in values) and any(value is not None for value in values):
        return pd.Series(values, dtype="float64")
    return pd.Series([_text(value) for value in values], dtype="object")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return NONE if value is None else value if isinstance(value, str) else value_text(value)


def _name(path: str) -> str:
    """Return the name of an axis: learning rate, weight decay, batch size, model."""
    if path == LR:
        return LEARNING_RATE
    section, _, key = path.rpartition(".")
    key = section if key == "name" else key
    return ABBREVIATIONS.get(key, key).replace("wd", "weight decay").replace("_", " ")
