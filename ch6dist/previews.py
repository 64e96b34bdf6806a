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
from ch6dist.catalog.wording import DASH
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
        [number.strip(), f"{preview.schedule} · {preview.setting}", _spends(preview), preview.file or ""]
        for number, preview in zip(numbers, previews, strict=True)
    ]
    lines = [line.strip() for line in aligned(heads, left=(0, 1, 3))]
    lines += [SPENDS] if any(preview.budget is not None for preview in previews) else []
    for number, preview in zip(numbers, previews, strict=True):
        lines += [f"note{number}: {note}" for note in preview.notes]
    names = [
        name + number
        for number, preview in zip(numbers, previews, strict=True)
        for name in ("lr", preview.momentum_name or "momentum")
    ]
    table = [["epoch", "step", *names], *(_by_epoch if by == "epoch" else _by_step)(previews)]
    which = "   first step of each epoch, and the last" if by == "epoch" else ""
    head, *rows = aligned(table, left=())
    return "\n".join([*lines, "", head + which, *rows])


def _spends(preview: Preview) -> str:
    return "" if preview.budget is None else f"spends {100 * preview.budget:.1f} %"


def _by_epoch(previews: Sequence[Preview]) -> Iterator[list[str]]:
    """Yield a row per epoch; `step` is empty where it is not the same in all."""
    epochs = max(-(-len(preview.lrs) // preview.steps_per_epoch) for preview in previews)
    for epoch in range(epochs):
        places = [epoch * preview.steps_per_epoch for preview in previews]
        reached = [place for preview, place in zip(previews, places, strict=True) if place < len(preview.lrs)]
        yield [str(epoch + 1), _common(place + 1 for place in reached), *_cells(previews, places)]
    places = [len(preview.lrs) - 1 for preview in previews]
    yield ["last", _common(place + 1 for place in places), *_cells(previews, places)]


def _by_step(previews: Sequence[Preview]) -> Iterator[list[str]]:
    """Yield a row per step; `epoch` is empty where it is not the same in all."""
    for place in range(max(len(preview.lrs) for preview in previews)):
        training = [preview for preview in previews if place < len(preview.lrs)]
        epoch = _common(place // preview.steps_per_epoch + 1 for preview in training)
        yield [epoch, str(place + 1), *_cells(previews, [place] * len(previews))]


def _common(numbers: Iterable[int]) -> str:
    found = set(numbers)
    return str(found.pop()) if len(found) == 1 else ""


def _cells(previews: Sequence[Preview], places: Sequence[int]) -> Iterator[str]:
    """Yield learning rate and momentum of each preview at its place; nothing where it has ended."""
    for preview, place in zip(previews, places, strict=True):
        if place >= len(preview.lrs):
            yield from ("", "")
            continue
        used = preview.lrs[place]
        yield from (f"{used.lr:.6g}", DASH if used.momentum is None else f"{used.momentum:.4g}")
