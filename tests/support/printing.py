"""What a terminal shows of something that rich renders."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType


def printed(shown: RenderableType) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(shown)
    return console.export_text()
