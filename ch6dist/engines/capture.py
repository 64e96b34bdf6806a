"""Look inside a lane of the eager engine while it trains: gradients, parameters, activations, state of the optimizer.

    probe = Probe(trial.capture, model, optimizer)
    with probe.watching():              # hooks for the activations, gone behind the block whatever happens in it
        probe.begin(step)               # before the forward pass
        probe.take_gradients()          # behind the backward pass, before the optimizer's step
        probe.take_state()              # behind that step
    captured = probe.end_epoch()        # by kind, as numpy arrays

Gradients are read as `p.grad`: those of all workers together, while a tensor's hook would see the worker's own.
What is measured stays on the device until the epoch ends, so that no step waits for the host.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ch6dist.capture import CaptureConfig, Kind, SeriesConfig, matching
from ch6dist.catalog.optimizers import keeps_state
from ch6dist.engines.measures import measure, measure_outputs
from ch6dist.engines.outputs import first_outputs
from ch6dist.runs.captures import Series
from ch6dist.seeding import generator


class Probe:
    """What one lane captures. InputError for names that the model has not."""

    def __init__(self, capture: CaptureConfig, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer, self.step = model, optimizer, 0
        self.forward_done = False  # what the model computes from here on is no more of this step
        self.recorders = {kind: _Recorder(series) for kind, series in capture.series.items()}
        layers = {name: layer for name, layer in model.named_modules() if name and not any(layer.children())}
        self.layers = _chosen("activations", capture.activations, layers)
        parameters = dict(model.named_parameters())
        self.gradients = _chosen("gradients", capture.gradients, parameters)
        self.parameters = _chosen("parameters", capture.parameters, parameters)
        self.with_state = _chosen("optimizer_state", capture.optimizer_state, parameters)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measure the outputs of layers in the block."""
        if not self.layers:
            yield
            return
        with first_outputs(self.model, self.layers, self._take_outputs):
            yield

    def begin(self, step: int) -> None:
        """Begin the optimizer step of this number, from 1."""
        self.step, self.forward_done = step, False

    @torch.no_grad()
    def take_gradients(self) -> None:
        """Measure the gradients that the optimizer is about to use."""
        self.forward_done = True
        self._take("gradients", lambda: {name: _gradient(p) for name, p in self.gradients.items()})

    @torch.no_grad()
    def take_state(self) -> None:
        """Measure parameters and the state of the optimizer behind its step."""
        self._take("parameters", lambda: self.parameters)
        self._take("optimizer_state", self._state, of=lambda name: name.rpartition(".")[0])

    def end_epoch(self) -> dict[str, Series]:
        """Return what was captured since the last call, by kind; a kind without a captured step is left out."""
        found = {kind: recorder.end_epoch() for kind, recorder in self.recorders.items()}
        return {kind: series for kind, series in found.items() if series}

    def _take(self, kind: Kind, tensors: Callable[[], Mapping[str, Tensor]], *, of: Callable[[str], str] = str) -> None:
        """Measure tensors, if this step is due; `of` names the parameter that a tensor belongs to."""
        recorder = self.recorders.get(kind)
        if recorder is None or not recorder.is_due(self.step):
            return
        named = tensors()
        elements = [recorder.elements(name, of(name), t.numel(), t.device) for name, t in named.items()]
        recorder.add(self.step, measure(list(named.values()), recorder.keep, elements))

    def _state(self) -> dict[str, Tensor]:
        """Return the tensors that the optimizer keeps of each parameter; counters of steps are none."""
        found = {}
        for name, parameter in self.with_state.items():
            for key, value in sorted(self.optimizer.state.get(parameter, {}).items()):
                if torch.is_tensor(value) and value.dim():
                    found[f"{name}.{key}"] = value
        return found

    @torch.no_grad()
    def _take_outputs(self, name: str, output: Tensor) -> None:
        """Measure a layer's output."""
        recorder = self.recorders["activations"]
        if recorder.is_due(self.step) and not self.forward_done:
            rows, kind = output.flatten(1), type(self.layers[name]).__name__
            elements = recorder.elements(name, name, rows.shape[1], rows.device)
            recorder.add(self.step, measure_outputs(rows, recorder.keep, elements, layer=kind))


class _Recorder:
    """The series of one kind in this epoch: of each captured step, what was measured of its tensors in their order."""

    def __init__(self, series: SeriesConfig) -> None:
        self.every, self.keep, self.sample = series.every, series.keep, series.sample
        self.sizes: dict[str, int] = {}  # of the tensors, in their order
        self.chosen: dict[str, Tensor] = {}  # which elements of each; none but of keep sample
        self.steps: list[int] = []
        self.measured: dict[str, list[list[Tensor]]] = {}  # by what is kept: of each step the pieces of its row

    def is_due(self, step: int) -> bool:
        """Return whether a step is captured."""
        return (step - 1) % self.every == 0

    def elements(self, name: str, parameter: str, size: int, device: torch.device) -> Tensor:
        """Return which elements of a flat tensor are kept: the same in every step, trial and kind of one parameter."""
        if name not in self.sizes:
            kept = min(self.sample, size) if self.keep == "sample" else 0
            order = torch.randperm(size, generator=generator("capture", parameter)) if kept else torch.empty(0)
            self.sizes[name], self.chosen[name] = size, order[:kept].sort().values.to(device)
        return self.chosen[name]

    def add(self, step: int, measured: Mapping[str, Tensor]) -> None:
        """Add what was measured in a step, of all tensors or of the next ones."""
        if not self.steps or self.steps[-1] != step:
            self.steps.append(step)
        for what, values in measured.items():
            rows = self.measured.setdefault(what, [])
            if len(rows) < len(self.steps):
                rows.append([])
            rows[-1].append(values)

    def end_epoch(self) -> Series | None:
        """Return the series since the last call, and begin anew; None where no step was captured."""
        if not self.measured:
            self.steps = []
            return None
        values = {what: torch.stack([torch.cat(row) for row in rows]) for what, rows in self.measured.items()}
        elements = tuple(self.chosen[name].cpu().numpy() for name in self.sizes) if self.keep == "sample" else ()
        series = Series(
            steps=torch.tensor(self.steps).numpy(),
            names=tuple(self.sizes),
            sizes=tuple(self.sizes.values()),
            values={what: array.cpu().numpy() for what, array in values.items()},
            elements=elements,
        )
        self.steps, self.measured = [], {}
        return series


def capture_notes(capture: CaptureConfig | None, optimizer: Mapping[str, Any], workers: int) -> list[str]:
    """Return what the log of a trial says about its capture: what of it is not what one might expect."""
    notes = []
    if capture and capture.optimizer_state and not keeps_state(optimizer):
        notes.append(f"{optimizer['name']} without momentum keeps no state: none is captured")
    if capture and capture.activations and workers > 1:
        notes.append(f"activations are captured of the first worker's share of each batch, one of {workers}")
    return notes


def _chosen(kind: Kind, series: SeriesConfig | None, named: Mapping[str, Any]) -> dict[str, Any]:
    if series is None:
        return {}
    return {name: named[name] for name in matching(series.names, list(named), key=f"capture.{kind}.names")}


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
