"""The network of an engine's lanes, read once: put together of lane layers, or as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ch6dist.catalog.lookup import is_foreign
from ch6dist.catalog.models import LaneForm
from ch6dist.engines.evaluation_weights import statistics_of
from ch6dist.engines.fits import FORMS, form_of
from ch6dist.engines.lanes import Activations, LaneLayer, Rows
from ch6dist.errors import InputError
from ch6dist.models.dropout import Dropout


class Network:
    """The model of an engine's lanes, the same for all of them, since it holds no weights."""

    def __init__(self) -> None:
        self.form: LaneForm = "layers"
        self.layer: LaneLayer = FORMS[self.form](nn.Identity())
        self.dropout_layers = 0
        self.statistics: tuple[str, ...] = ()  # the buffers of batch normalisation that a training averages
        self.config: Mapping[str, Any] = {}

    def __call__(self, x: Activations, rows: Rows) -> Activations:
        """Compute the network over lanes."""
        return self.layer(x, rows)

    def read(self, model: nn.Module, config: Mapping[str, Any], shape: Mapping[str, int]) -> None:
        """Become the network of a resolved model, unless it is that already. InputError where it does not fuse.

        A foreign one is tried as fits.py does, so that it is computed as what counted it has said.
        """
        if self.config == config:
            return
        form: LaneForm = "layers"
        if is_foreign("model", config["name"]):
            form, reason = form_of(config, shape)
            if reason:
                raise InputError("model.name", config["name"], f"a network that fuses, or the eager engine: {reason}")
        numbers = [module.layer + 1 for module in model.modules() if isinstance(module, Dropout)]
        self.statistics = statistics_of(model)
        self.form, self.layer = form, FORMS[form](model)
        self.dropout_layers, self.config = max(numbers, default=0), config
