"""The label of a configuration among others: what it is called in every table, on every line and point of a figure.

    found = label_all([trial["config"] for trial in trials])
    str(found.labels[0])        # 'SGD nesterov 0.9 · StepLR 15 ×0.1 · batch 256 · lr 0.03'
    found.numbered              # {'schedule 1': 'LinearLR to 5 → CosineAnnealingLR eta_min 1e-5 → …'}

Configurations that differ in anything (seeds and data roots aside) have different labels. Optimizer and schedule are
named by what differs from the defaults, an optimizer also by a default beside which others of its name have other
values (AdamW wd 0.01), all else (data, model, epochs, precision, …) only where it differs among training runs, final
training runs or range tests. Numbers have the digits that tell them apart. A part that would make
labels longer than LIMIT is numbered, in the order of appearance. A configuration that is a case of its sweep file has
the name of the case first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ch6dist.catalog.augmentations import words
from ch6dist.catalog.data_keys import UNNAMED
from ch6dist.catalog.naming import ABBREVIATIONS, optimizer_label, schedule_label
from ch6dist.catalog.text import one_line, round_values, value_text

LIMIT = 80  # characters of a label that is not numbered; longer ones leave a figure no width
MAX_VALUES = 8  # a parameter with more values was drawn by a search: it is no name of a group, but of a point
SEPARATOR = " · "
NO_SCHEDULE = "none"
NUMBERED = re.compile(r"\b(?:run|optimizer|schedule|setting|drawn) \d+\b")
_NAMES = {
    "data.batch_size": "batch",
    "data.train_size": "images",
    "data.val_size": "validation images",
    "data.name": "",
    "data.seed": "data seed",
    "vary": "varying",
    "range_test.mode": "",
    "model.name": "",
    "precision": "",
}
_LR = "optimizer.lr"
_APART = {"type", "seed", "data.root", "evaluate_test", *UNNAMED}  # they say which kind of trial, or name none
_IGNORED_BY_RANGE_TESTS = ("schedule.", "epochs.", "optimizer.lr.")  # as in the identity of a range test (config.py)

Config = Mapping[str, Any]
Flat = dict[str, Any]
Scope = tuple[str, str]


@dataclass(frozen=True)
class Label:
    """What a configuration is called, in parts; any but the optimizer may be empty."""

    run: str  # of several runs that are shown together
    case: str  # its name in the sweep file
    optimizer: str
    schedule: str  # "none" without one
    setting: str  # what else differs
    drawn: str  # the parameters that a search drew, which differ from point to point
    lr: str

    def __str__(self) -> str:
        return SEPARATOR.join(part for part in (*self.parts(), f"lr {self.lr}" if self.lr else "") if part)

    def parts(self) -> tuple[str, ...]:
        """Return what stands before the learning rate; a missing schedule is no part."""
        schedule = "" if self.schedule == NO_SCHEDULE else self.schedule
        return self.run, self.case, self.optimizer, schedule, self.setting, self.drawn


@dataclass(frozen=True)
class Labels:
    """Labels of configurations, in their order, and what the numbered parts stand for."""

    labels: tuple[Label, ...]
    numbered: dict[str, str]


def label_all(
    configs: Sequence[Config], *, runs: Sequence[str] = (), cases: Sequence[Mapping[str, str] | None] = ()
) -> Labels:
    """Return one label per resolved configuration, in order; equal only where configuration and run are equal.

    Args:
        runs: the name of the run of each, where several runs are shown together.
        cases: of each the names of its cases by axis, as its line in the ledger has them.
    """
    flat = [_flatten(config) for config in configs]
    seen = _values(configs, flat)
    drawn = {scope for scope, values in seen.items() if len(values) > MAX_VALUES and _may_be_drawn(scope[1])}
    differing = {scope for scope, values in seen.items() if len(values) > 1} - drawn
    rounding = {scope: round_values(list(values.values())) for scope, values in seen.items()}
    labels = [
        _label(config, paths, drawn=drawn, differing=differing, rounding=rounding)
        for config, paths in zip(configs, flat, strict=True)
    ]
    named = zip(labels, runs or [""] * len(labels), cases or [None] * len(labels), strict=True)
    return _numbered([replace(label, run=run, case=_case(case or {})) for label, run, case in named])


def explain(texts: Iterable[str], numbered: Mapping[str, str]) -> dict[str, str]:
    """Return those of the numbered parts that stand in one of the texts, such as labels, in their order."""
    found = {part for text in set(texts) for part in NUMBERED.findall(text)}
    return {part: whole for part, whole in numbered.items() if part in found}


def leaves(section: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted paths of a configuration with their values; a length such as {epochs: 2} is one value.

    A list of augmentations is one too, as a few words.
    """
    for key, value in section.items() if isinstance(section, Mapping) else enumerate(section):
        here = f"{path}.{key}" if path else str(key)
        if here == "data.augment":
            yield here, words(value) if isinstance(value, list) else value
        elif _has_parts(value):
            yield from leaves(value, here)
        else:
            yield here, value


def _kind(config: Config) -> str:
    """Return what configurations are compared within: training runs, final ones, or range tests."""
    return "final" if config.get("evaluate_test") else str(config["type"])


def _flatten(config: Config) -> Flat:
    """Return what belongs to a configuration, by dotted path, names of optimizers and schedules included."""
    unused = _IGNORED_BY_RANGE_TESTS if config["type"] == "range_test" else ("range_test.",)
    paths = dict(leaves(config))
    if not paths.get("vary"):  # nothing varies, as where the key is not there: in older runs
        paths.pop("vary", None)
    return {k: v for k, v in paths.items() if k not in _APART and not _under(k, (*unused, "capture.", "metrics."))}


def _has_parts(value: Any) -> bool:
    if isinstance(value, (str, float, int)):  # most are
        return False
    if isinstance(value, Mapping):
        return set(value) != {"epochs"}
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _under(path: str, sections: tuple[str, ...]) -> bool:
    """Return whether a path is one of the sections, each with a dot behind it, or lies in one."""
    return f"{path}.".startswith(sections)


def _scope(config: Config, path: str) -> Scope:
    """Return within what values of a path are compared: one optimizer, one schedule, or one kind of trial."""
    section = path.partition(".")[0]
    return (config[section]["name"] if section in ("optimizer", "schedule") else _kind(config)), path


def _values(configs: Sequence[Config], flat: Sequence[Flat]) -> dict[Scope, dict[str, Any]]:
    """Return the different values of every path, by their text; a path that some have not is a difference too."""
    seen: dict[Scope, dict[str, Any]] = defaultdict(dict)
    kinds: dict[str, int] = defaultdict(int)
    having: dict[Scope, int] = defaultdict(int)
    for config, paths in zip(configs, flat, strict=True):
        kinds[_kind(config)] += 1
        for path, value in paths.items():
            scope = _scope(config, path)
            seen[scope].setdefault(repr(value), value)
            having[scope] += 1
    for scope, count in having.items():
        if count < kinds.get(scope[0], 0):
            seen[scope].setdefault("", None)
    return seen


def _may_be_drawn(path: str) -> bool:
    return path != _LR and path.rpartition(".")[2] != "name"


def _label(
    config: Config,
    paths: Flat,
    *,
    drawn: set[Scope],
    differing: set[Scope],
    rounding: Mapping[Scope, Mapping[str, Any]],
) -> Label:
    scopes = {path: _scope(config, path) for path in paths}
    shown = {path: rounding[scopes[path]][repr(value)] for path, value in paths.items()}
    named = {path: value for path, value in shown.items() if scopes[path] not in drawn}
    others = [path for path in named if not _under(path, ("optimizer.", "schedule.")) and scopes[path] in differing]
    has_schedule = config["type"] != "range_test"
    return Label(
        run="",
        case="",
        optimizer=_optimizer(_rebuild(config["optimizer"], "optimizer", named), scopes, drawn, differing),
        schedule=schedule_label(_rebuild(config["schedule"], "schedule", named)) if has_schedule else NO_SCHEDULE,
        setting=", ".join(_setting_part(path, shown[path]) for path in others),
        drawn=", ".join(_setting_part(path, shown[path]) for path in shown if scopes[path] in drawn),
        lr=value_text(shown[_LR]) if _LR in shown else "",
    )


def _case(names: Mapping[str, str]) -> str:
    """Return the name of a case; of several axes each with its axis, as two may use one name."""
    texts = [name if len(names) == 1 else f"{axis} {name}" for axis, name in names.items()]
    return one_line(", ".join(texts))


def _optimizer(section: Config, scopes: Mapping[str, Scope], drawn: set[Scope], differing: set[Scope]) -> str:
    """Return an optimizer's label; nesterov, whose momentum a search drew, stands without it."""
    varied = [key for key in section if scopes.get(f"optimizer.{key}") in differing]
    if scopes.get("optimizer.momentum") in drawn and section.get("nesterov"):
        return optimizer_label({k: v for k, v in section.items() if k != "nesterov"}, varied=varied) + " nesterov"
    return optimizer_label(section, varied=varied)


def _rebuild(section: Any, path: str, named: Mapping[str, Any]) -> Any:
    """Return a section with the values that are named, rounded; others are left out."""
    if isinstance(section, list):
        return [_rebuild(item, f"{path}.{index}", named) for index, item in enumerate(section)]
    found = {}
    for key, value in section.items():
        here = f"{path}.{key}"
        if _has_parts(value):
            found[key] = _rebuild(value, here, named)
        elif here in named:
            found[key] = named[here]
    return found


def _setting_part(path: str, value: Any) -> str:
    section, _, key = path.partition(".")
    if section in ("optimizer", "schedule"):
        name = ABBREVIATIONS.get(key, key)
    else:
        name = _NAMES.get(path, path.rpartition(".")[2].replace("_", " "))
    return f"{name} {value_text(value)}".strip()


def _numbered(labels: Sequence[Label]) -> Labels:
    """Replace parts by numbers where labels are too long, one kind of part after another, the longest first."""
    numbered: dict[str, str] = {}
    kinds = [field.name for field in fields(Label) if field.name not in ("case", "lr")]
    longest = {kind: max((len(getattr(label, kind)) for label in labels), default=0) for kind in kinds}
    for kind in sorted(kinds, key=lambda kind: longest[kind], reverse=True):
        texts = dict.fromkeys(getattr(label, kind) for label in labels if len(str(label)) > LIMIT)
        short = {text: f"{kind} {number}" for number, text in enumerate(filter(_worth_it(kind), texts), start=1)}
        numbered |= {number: text for text, number in short.items()}
        if short:
            labels = [replace(label, **{kind: short.get(text := getattr(label, kind), text)}) for label in labels]
    return Labels(tuple(labels), numbered)


def _worth_it(kind: str) -> Callable[[str], bool]:
    """Return whether a number is shorter than a text."""
    return lambda text: len(text) > len(f"{kind} 10")
