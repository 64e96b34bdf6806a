"""Fixtures that tests of reports use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.plots.registry import PLOTS
from analysis.report import figures


@pytest.fixture
def draw_only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let reports have these figures alone, where a test is not of the figures: to draw all takes seconds."""

    def keep(*names: str) -> None:
        monkeypatch.setattr(figures, "PLOTS", {name: PLOTS[name] for name in names})

    return keep
