"""What a schedule does to a trial, step by step, as data: what `ch6dist preview --json` prints and `analysis` reads.

text = to_json(previews)
previews = from_json(text, file="preview.json")
print(previews_text(previews, by="epoch"))
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from ch6dist.catalog.text import aligned
from ch6dist.errors import InputError
from ch6dist.sections import Frozen, parse_section

By = Literal["epoch", "step"]
MomentumName = Literal["momentum", "beta1"]
SPENDS = "spends: mean learning rate of all steps ÷ the configured one (optimizer.lr)"


class Step(Frozen):
    """What one step of the optimizer uses."""

    label: ClassVar[str] = "a step"

    step: int = Field(ge=1, description="which step of the training run, from 1")
    lr: float = Field(description="the learning rate that it uses")
    momentum: float | None = Field(description="the momentum, or beta1, that it uses; null without one")


class Preview(Frozen):
    """The learning rates of a trial, known without training it."""

    label: ClassVar[str] = "a preview"

    schedule: str = Field(description="the schedule's label; `constant` without one")
    setting: str = Field(
        description="the label of all else: the optimizer, what differs among trials, the learning rate"
    )
    file: str | None = Field(description="the trial file; null without one")
    steps_per_epoch: int = Field(ge=1, description="optimizer steps of an epoch")
    configured_lr: float | None = Field(description="optimizer.lr; null for a range test, which ignores it")
    budget: float | None = Field(description="mean learning rate of all steps ÷ configured_lr; null without that")
    momentum_name: MomentumName | None = Field(description="what `momentum` is; null without one")
    notes: list[str] = Field(description="what the schedule overrides, derives or leaves without effect")
    lrs: list[Step] = Field(min_length=1, description="every step, in order")


class _Document(Frozen):
    label: ClassVar[str] = "the document"

    trials: list[Preview] = Field(min_length=1, description="what `ch6dist preview --json` prints")


def to_json(previews: Sequence[Preview]) -> str:
    """Return previews as one JSON document."""
    return json.dumps(_Document(trials=list(previews)).model_dump(), ensure_ascii=False)


def from_json(text: str, *, file: str) -> list[Preview]:
    """Return the previews of a document. InputError names the file, the key and what is allowed."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("", text[:40], "what `ch6dist preview --json` prints", file=file) from None
    try:
        return parse_section(_Document, content).trials
    except InputError as error:
        raise error.in_file(file) from None


def previews_text(previews: Sequence[Preview], *, by: By) -> str:
    """Return previews side by side: what each spends, its notes, and a table of learning rates and momentum.

    Args:
        by: `epoch`, for the first step of each epoch and the last of all, or `step`.
    """
    numbers = [f" {number}" if len(previews) > 1 else "" for number in range(1, len(previews) + 1)]
    heads = [
        [
            number.strip(),
            f"{preview.schedule} · {preview.setting}",
            _constant(preview),
            _spends(preview),
            preview.file or "",
        ]
        for number, preview in zip(numbers, previews, strict=True)
    ]
    lines = [line.strip() for line in aligned(heads, left=(0, 1, 2, 4))]
    lines += [SPENDS] if any(preview.budget is not None for preview in previews) else []
    for number, preview in zip(numbers, previews, strict=True):
        lines += [f"note{number}: {note}" for note in preview.notes]
    which = "   first step of each epoch, and the last" if by == "epoch" else ""
    head, *rows = aligned(_table(previews, numbers, by=by), left=())
    return "\n".join([*lines, "", head + which, *rows])


def _table(previews: Sequence[Preview], numbers: Sequence[str], *, by: By) -> list[list[str]]:
    """Return the cells of the table, its head first; a momentum that never changes has no column."""
    table, columns = [["epoch", "step"]], []
    for place, (number, preview) in enumerate(zip(numbers, previews, strict=True)):
        columns.append((place, "lr", ".6g"))
        table[0].append(f"lr{number}")
        if _cycles(preview):
            columns.append((place, "momentum", ".4g"))
            table[0].append(f"{preview.momentum_name}{number}")
    for epoch, step, used in (_by_epoch if by == "epoch" else _by_step)(previews):
        cells = (format(getattr(used[place], name), digits) if used[place] else "" for place, name, digits in columns)
        table.append([epoch, step, *cells])
    return table


def _cycles(preview: Preview) -> bool:
    """Return whether the momentum changes: else it is said once and has no column."""
    return len({used.momentum for used in preview.lrs}) > 1


def _constant(preview: Preview) -> str:
    momentum = preview.lrs[0].momentum
    return "" if momentum is None or _cycles(preview) else f"{preview.momentum_name} {momentum:.4g}"


def _spends(preview: Preview) -> str:
    return "" if preview.budget is None else f"spends {100 * preview.budget:.1f} %"


def _by_epoch(previews: Sequence[Preview]) -> Iterator[tuple[str, str, list[Step | None]]]:
    """Yield epoch, step and what each trial uses, per epoch and at the end; the step only where all have the same."""
    epochs = max(-(-len(preview.lrs) // preview.steps_per_epoch) for preview in previews)
    for epoch in range(epochs):
        used = [_at(preview, epoch * preview.steps_per_epoch) for preview in previews]
        yield str(epoch + 1), _common(step.step for step in used if step), used
    last = [preview.lrs[-1] for preview in previews]
    yield "last", _common(step.step for step in last), [*last]


def _by_step(previews: Sequence[Preview]) -> Iterator[tuple[str, str, list[Step | None]]]:
    """Yield epoch, step and what each trial uses, for every step; the epoch only where all have the same."""
    for place in range(max(len(preview.lrs) for preview in previews)):
        training = [preview for preview in previews if place < len(preview.lrs)]
        epoch = _common(place // preview.steps_per_epoch + 1 for preview in training)
        yield epoch, str(place + 1), [_at(preview, place) for preview in previews]


def _at(preview: Preview, place: int) -> Step | None:
    """Return what a step uses; None where the trial has ended."""
    return preview.lrs[place] if place < len(preview.lrs) else None


def _common(numbers: Iterable[int]) -> str:
    found = set(numbers)
    return str(found.pop()) if len(found) == 1 else ""
