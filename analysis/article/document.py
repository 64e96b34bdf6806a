"""The article as blocks, and as Markdown. What stands in a block is text; it becomes markup here or in the template.

blocks = [Heading("Six figures"), Text("…"), FigureBlock("Figure 1", …)]
markdown(title, blocks)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from analysis.report.tables import MARKUP, Table, markdown_text
from ch6dist.catalog.text import one_line

NUMBER = re.compile(r"$|[-−–±+<> \d]")  # how the cell of a number begins; or empty
LONG = 30  # characters
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Heading:
    """A heading of a part."""

    kind: ClassVar[str] = "heading"
    text: str

    @property
    def anchor(self) -> str:
        """Return its id on the page."""
        return re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-")


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands between backticks is code."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class FigureBlock:
    """A figure with its files, seen from the article."""

    kind: ClassVar[str] = "figure"
    number: str
    name: str
    title: str
    caption: str
    reading: str
    source: str
    png: str
    csv: str  # empty: its numbers are tables of the source


@dataclass(frozen=True)
class TableBlock:
    """A table with the file of its numbers."""

    kind: ClassVar[str] = "table"
    number: str
    name: str
    title: str
    table: Table
    note: str
    source: str
    csv: str

    @property
    def classes(self) -> list[str]:
        """Return the CSS classes of each column: of text, which stands on the left, and of long text, which wraps."""
        columns = [*zip(*self.table.rows, strict=True)] or [()] * len(self.table.heads)
        return [
            " ".join(
                name
                for name, is_so in (
                    ("text", any(not NUMBER.match(cell) for cell in cells)),
                    ("long", any(len(cell) > LONG for cell in cells)),
                )
                if is_so
            )
            for cells in columns
        ]


@dataclass(frozen=True)
class Missing:
    """A figure or table that nothing given has data for."""

    kind: ClassVar[str] = "missing"
    number: str
    needs: str


@dataclass(frozen=True)
class Reference:
    """What the documents show once more: another figure of the article has it."""

    kind: ClassVar[str] = "reference"

    number: str
    what: str
    name: str  # of the figure
    shown_as: str  # its number


Block = Heading | Text | FigureBlock | TableBlock | Missing | Reference


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """Return the article as Markdown, with links to the figures beside it."""
    return "\n\n".join([f"# {markdown_text(title)}", *(_markdown(block) for block in blocks)]) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {markdown_text(text)}"
        case Text(text):
            return _inline(text)
        case Reference(number, what, _, shown_as):
            return _inline(f"{number}, {what}: see {shown_as}.")
        case Missing(number, needs):
            return f"**{markdown_text(number)}** is not here: it needs {_inline(needs)}."
        case TableBlock():
            heading = f"**{markdown_text(f'{block.number}. {block.title}')}**"
            end = f"{_inline(block.note)} Source: {_inline(block.source)} ([numbers]({block.csv}))."
            return "\n\n".join([heading, block.table.markdown(), end])
        case FigureBlock():
            heading = f"**{markdown_text(f'{block.number}. {block.title}')}**"
            picture = f"![{markdown_text(block.title)}]({block.png})"
            numbers = f" ([numbers]({block.csv}))" if block.csv else ""
            parts = [heading, picture, f"*{_inline(block.caption)}* Source: {_inline(block.source)}{numbers}."]
            return "\n\n".join([*parts, *([_inline(block.reading)] if block.reading else [])])


def _inline(text: str) -> str:
    """Return text as Markdown, code between backticks left as it is."""
    parts = CODE.split(one_line(text))
    return "".join(f"`{part}`" if i % 2 else MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts))
