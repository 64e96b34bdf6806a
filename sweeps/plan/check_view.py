"""Render what `sweeps check` has found for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from sweeps.plan.check import Checked, CheckedModel
from sweeps.units import format_bytes


def render_check(found: Checked) -> RenderableType:
    """Return the models with their sizes, and the kinds of trials with what came of them."""
    models = Table(title="Models", title_justify="left")
    models.add_column("model")
    for heading in ("parameters", "Mflop", "outputs"):
        models.add_column(heading, justify="right")
    models.add_column("engine on a GPU")
    for one in found.models:
        size = one.size
        outputs = format_bytes(size.activation_bytes_per_image)
        models.add_row(one.name, f"{size.parameter_count:,}", f"{size.mflop_per_image:,.3g}", outputs, _engines(one))
    kinds = Table(title="Kinds of trials, trained for two epochs", title_justify="left")
    for heading in ("kind", "train loss", "stopped after one, and resumed"):
        kinds.add_column(heading)
    for kind in found.kinds:
        kinds.add_row(kind.name, " → ".join(f"{loss:.3g}" for loss in kind.losses), kind.verdict)
    return Group(models, "Mflop and outputs are per image, forward and backward", kinds)


def _engines(model: CheckedModel) -> str:
    return "\n".join(f"{engine}: {why}" if why else engine for engine, why in model.engines)
