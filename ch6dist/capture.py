"""What a trial keeps of the inside of its training: the section `capture:`, what its names may be, what it takes.

    capture = parse_section(CaptureConfig, {"gradients": {"names": "conv*", "every": 10}})
    matching(capture.gradients.names, ["conv1.weight", "fc1.weight"], key="…")      # ['conv1.weight']

A capture looks at a training and changes nothing of it, so it is no part of a trial's id (config.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from ch6dist.catalog.layers import Layer
from ch6dist.catalog.lookup import optimizer_of
from ch6dist.catalog.optimizers import keeps_state
from ch6dist.errors import InputError, suggestion
from ch6dist.sections import Frozen

Kind = Literal["gradients", "parameters", "activations", "optimizer_state"]
KINDS: tuple[Kind, ...] = ("gradients", "parameters", "activations", "optimizer_state")
SUMMARY = ("norm", "mean", "std", "max_abs", "zeros")  # what `keep: summary` keeps of a tensor
STEP_BYTES = 8  # of the number of a captured step
ELEMENT_BYTES = 4  # of the number of a sampled element, once per epoch
ARRAY_BYTES, NAME_BYTES, FILE_BYTES = 400, 24, 600  # of an epoch's file: per array, per tensor, and in all; about


class SeriesConfig(Frozen):
    """What is kept of the gradients, say: of which tensors, how often, how much."""

    label: ClassVar[str] = "a series"

    names: list[str] = Field(
        default_factory=lambda: ["*"],
        description="of which parameters (of `activations`: layers), as names and patterns: `conv1.weight`, `fc*`; the "
        "name of a layer means all of its parameters; left out: all",
    )
    every: int = Field(1, ge=1, description="steps from one capture to the next: 10 captures steps 1, 11, 21, …")
    keep: Literal["norm", "summary", "sample"] = Field(
        "norm",
        description="`norm`: the Euclidean norm of each tensor. `summary`: also mean, standard deviation, largest "
        "absolute value, share of zeros, and of activations the share that is saturated. `sample`: single elements",
    )
    sample: int = Field(
        64,
        ge=1,
        description="keep sample: elements of each tensor, the same in every step and trial; all of a smaller one",
    )

    @field_validator("names", mode="before")
    @classmethod
    def _listed(cls, given: Any) -> Any:
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, (list, tuple)) or not listed or not all(isinstance(name, str) for name in listed):
            raise InputError("", given, "a list of names and patterns, such as [conv1, fc*.weight]")
        return list(listed)


class CaptureConfig(Frozen):
    """What is captured of a training; nothing said, the norms of all gradients and parameters in every step."""

    label: ClassVar[str] = "a capture"

    gradients: SeriesConfig | None = Field(
        None,
        description="gradients as the optimizer gets them, of all workers together; left out: nothing, or `{}` where "
        "none of the four is given",
    )
    parameters: SeriesConfig | None = Field(None, description="parameters after the step; left out: as for `gradients`")
    activations: SeriesConfig | None = Field(
        None,
        description="outputs of layers on the training batches; of several workers, of the first one's share; left "
        "out: nothing",
    )
    optimizer_state: SeriesConfig | None = Field(
        None,
        description="what the optimizer keeps of each parameter, after the step: `exp_avg`, `momentum_buffer`, …; "
        "left out: nothing",
    )
    max_bytes: int = Field(
        256_000_000, ge=1, description="the most bytes that the capture of a trial may take; a larger one is refused"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and all(given.get(kind) is None for kind in KINDS):
            return {"gradients": {}, "parameters": {}, **{k: v for k, v in given.items() if k not in KINDS}}
        return given

    @property
    def series(self) -> dict[Kind, SeriesConfig]:
        """Return what is kept, by kind."""
        found = {kind: getattr(self, kind) for kind in KINDS}
        return {kind: series for kind, series in found.items() if series is not None}


@dataclass(frozen=True)
class Capturable:
    """What of a trial says what can be captured, and how much that is."""

    layers: Mapping[str, Layer] | None  # None: a model whose layers only it itself knows
    optimizer: Mapping[str, Any]
    steps: int
    steps_per_epoch: int
    itemsize: int  # bytes of a number

    @property
    def epochs(self) -> int:
        """Return the epochs, also those that are not whole: each has a file."""
        return -(-self.steps // self.steps_per_epoch)

    def sizes(self, kind: Kind) -> dict[str, int]:
        """Return the elements of each tensor of a kind by name; of activations, the values per image."""
        layers = self.layers or {}
        if kind == "activations":
            return {name: layer.outputs for name, layer in layers.items() if layer.outputs}
        return {name: count for layer in layers.values() for name, count in layer.parameters.items()}


def matching(patterns: Sequence[str], names: Sequence[str], *, key: str) -> list[str]:
    """Return those of `names` that a pattern means: by the whole name, or by that of the layer whose parameter it is.

    Raises InputError, with the names there are, for a pattern that means none.
    """
    for pattern in patterns:
        if not any(_means(pattern, name) for name in names):
            raise InputError(key, pattern, f"{suggestion(pattern, names)}a name or pattern of {', '.join(names)}")
    return [name for name in names if any(_means(pattern, name) for pattern in patterns)]


def check_capture(capture: CaptureConfig, training: Capturable) -> None:
    """Raise InputError for names that mean nothing, and for more than `max_bytes`."""
    total = capture_bytes(capture, training)
    if total > capture.max_bytes:
        allowed = (
            f"{total} or more, for up to {total // training.epochs:,} bytes in an epoch, {total:,} in all of the "
            "training; a larger `every`, fewer `names` or a smaller `sample` take less"
        )
        raise InputError("capture.max_bytes", capture.max_bytes, allowed)


def capture_bytes(capture: CaptureConfig | None, training: Capturable) -> int:
    """Return the most bytes that a capture takes; 0 for none, and for a model whose layers are not known.

    Raises InputError for names that mean nothing.
    """
    if capture is None or training.layers is None:
        return 0
    return FILE_BYTES * training.epochs + sum(
        _series_bytes(kind, series, training) for kind, series in capture.series.items()
    )


def _series_bytes(kind: Kind, series: SeriesConfig, training: Capturable) -> int:
    sizes = training.sizes(kind)
    chosen = [sizes[name] for name in matching(series.names, list(sizes), key=f"capture.{kind}.names")]
    if kind == "optimizer_state":
        chosen *= optimizer_of(training.optimizer).state_tensors if keeps_state(training.optimizer) else 0
    measures = len(SUMMARY) + (kind == "activations") if series.keep == "summary" else 1
    elements = sum(min(size, series.sample) for size in chosen) if series.keep == "sample" else 0
    in_a_step = STEP_BYTES + training.itemsize * (elements or measures * len(chosen))
    in_a_file = ELEMENT_BYTES * elements + ARRAY_BYTES * (measures + 2) + NAME_BYTES * len(chosen)
    return -(-training.steps // series.every) * in_a_step + training.epochs * in_a_file


def _means(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition(".")[0], pattern)
