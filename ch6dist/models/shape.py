"""What goes into a model and what comes out of it."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """A model's input and output: images [B, channels, height, width], logits [B, classes]."""

    channels: int
    height: int
    width: int
    classes: int
