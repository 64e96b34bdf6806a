"""The tables of docs/sweep-file.md, from the fields and the catalog.

python -m docs.tables       # renews what stands between the markers of each table
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ch6dist.capture import CaptureConfig, SeriesConfig
from ch6dist.catalog.augmentations import AUGMENTATIONS
from ch6dist.catalog.datasets import DATASETS
from ch6dist.catalog.models import MODELS
from ch6dist.catalog.optimizers import OPTIMIZERS
from ch6dist.catalog.parameters import DERIVED, REQUIRED, Entry
from ch6dist.catalog.schedule_entries import SCHEDULES
from ch6dist.catalog.schedule_parts import BOTH, LAMBDA_PRESETS, ScheduleEntry
from ch6dist.catalog.schedules import WARMUP
from ch6dist.config import TrialConfig
from sweeps.spec.axes import NOT_HERE, PRESETS, Axis
from sweeps.spec.early_stop import RULES, EarlyStop
from sweeps.spec.sweep_file import SweepSpec

COMMAND = "python -m docs.tables"
PAGE = Path(__file__).parent / "sweep-file.md"
TABLE = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
LEFT_OUT = "; left out: "


def renew(page: str) -> str:
    """Return the page with every table between `<!-- table: NAME -->` and `<!-- end -->` written again."""
    made = tables()
    return TABLE.sub(lambda found: found[1] + "\n" + made[found[2]] + "\n" + found[3], page)


def main() -> None:
    """Renew the page."""
    PAGE.write_text(renew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def tables() -> dict[str, str]:
    """Return every table of the page, by its name there."""
    trial = {key: field for key, field in _fields(TrialConfig) if key not in NOT_HERE}
    presets = {name: ", ".join(f"{lr:g}" for lr in lrs) for name, lrs in PRESETS.items()}
    return {
        "sweep": _table(("key", "default", ""), _field_rows(dict(_fields(SweepSpec)))),
        "axis": _table(("key", ""), ((f"`{key}`", _with_choices(field)) for key, field in _fields(Axis))),
        "presets": _table(("name", "learning rates"), ((f"`{name}`", text) for name, text in presets.items())),
        "early stopping": _table(("rule", "", "keys (default)"), map(_rule, RULES.values())),
        "trial": _table(("key", "default", ""), _field_rows(trial)),
        "capture": _table(("key", "default", ""), _field_rows(dict(_fields(CaptureConfig)))),
        "captured series": _table(("key", "default", ""), _field_rows(dict(_fields(SeriesConfig)))),
        "data sets": _table(("name", ""), ((f"`{name}`", entry.description) for name, entry in DATASETS.items())),
        "augmentations": _entries(AUGMENTATIONS),
        "models": _entries(MODELS),
        "optimizers": _entries(OPTIMIZERS),
        "schedules": _entries({**SCHEDULES, WARMUP.name: WARMUP}),
        "lambda presets": _entries(LAMBDA_PRESETS),
    }


def _fields(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields of a section by dotted key; those of an inner section instead of the section."""
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, f"{prefix}{name}.")
        else:
            yield prefix + (field.alias or name), field


def _field_rows(fields: Mapping[str, FieldInfo]) -> Iterator[tuple[str, ...]]:
    for key, field in fields.items():
        text, _, left_out = _with_choices(field).partition(LEFT_OUT)
        yield f"`{key}`", left_out or _default(field), text


def _with_choices(field: FieldInfo) -> str:
    """Return the description, with the allowed names in it if it lacks one."""
    text, _, left_out = (field.description or "").partition(LEFT_OUT)
    kinds = (field.annotation, *get_args(field.annotation))
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if not all(f"`{choice}`" in text for choice in choices):
        text += ": " + ", ".join(f"`{choice}`" for choice in choices)
    return text + (LEFT_OUT + left_out if left_out else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default in (None, "", PydanticUndefined):
        return ""
    return f"`{_text(field.default)}`"


def _rule(kind: type[EarlyStop]) -> tuple[str, ...]:
    fields = ((name, field) for name, field in kind.model_fields.items() if name != "name")
    keys = ((f"`{name}`", field, "required" if field.is_required() else _text(field.default)) for name, field in fields)
    return (
        f"`{kind.label}`",
        kind.text,
        "; ".join(f"{name} ({default}): {field.description}" for name, field, default in keys),
    )


def _entries(registry: Mapping[str, Entry]) -> str:
    rows = ((f"`{name}`", entry.description, _parameters(entry)) for name, entry in registry.items())
    return _table(("name", "", "parameters (default)"), rows)


def _parameters(entry: Entry) -> str:
    schedulers = ["schedulers (required)"] if entry.name in BOTH else []
    warmup = ["warmup (required)"] if isinstance(entry, ScheduleEntry) and entry.needs_warmup else []
    return ", ".join([*schedulers, *warmup, *(f"{p.name} ({_text(p.default)})" for p in entry.parameters)])


def _text(value: Any) -> str:
    """Return a default as a sweep file writes it."""
    if value is REQUIRED or value is DERIVED:
        return "required" if value is REQUIRED else "follows"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join((cell or '').replace('|', chr(92) + '|') for cell in row)} |\n" for row in cells)


if __name__ == "__main__":
    main()
