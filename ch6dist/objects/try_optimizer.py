"""What an optimizer needs of the loop, found out by three steps of a small network.

    optimizer_facts(SOAP)       # {"momentum": "betas", "state_tensors": 4, "closure": False, …}

Raises what it raises itself, as InputError with one line, when it cannot train however it is asked.
"""

from __future__ import annotations

import io
import math
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ch6dist.catalog.parameters import DERIVED, REQUIRED
from ch6dist.errors import InputError
from ch6dist.objects.find import uncompiled, why
from ch6dist.objects.signature import as_the_code_has, parameters_of, unsayable
from ch6dist.seeding import seeded

HOW = {"foreach", "fused", "capturable", "differentiable", "maximize", "verbose"}  # only how it computes, or talks
STEPS = 3
SLOW_STEPS = 12  # some move no weight in the first ones
LR = 1e-3  # where it has to be given
COUNT = 100  # of images or steps, where one has to be given
WAYS: tuple[dict[str, bool], ...] = (  # of taking a step, the plainest first
    {"closure": False, "second_order": False},
    {"closure": True, "second_order": False},
    {"closure": False, "second_order": True},
)


def optimizer_facts(found: Callable[..., Any]) -> dict[str, Any]:
    """Return the facts of an optimizer's entry."""
    parameters = {one.name: one for one in parameters_of(found)}
    if "lr" not in parameters:
        raise InputError("name", found, "an optimizer with a parameter lr")
    if given := unsayable(found, leave_out={"params"}):
        raise InputError("name", found, f"an optimizer that plain values make; this one needs `{given}`, an object")
    required = [one for one in parameters.values() if one.default is REQUIRED and one.name not in ("params", "lr")]
    momentum = next((name for name in ("betas", "momentum") if name in parameters), None)
    kind = getattr(found, "func", found)
    modes = all(callable(getattr(kind, mode, None)) for mode in ("train", "eval"))
    facts = {"momentum": momentum, "modes": modes}
    if any(one.kind != "int" for one in required):  # only the file says what they are
        return {**facts, "state_tensors": 4}
    errors: list[Exception] = []
    for way in WAYS:
        try:
            tried = _Tried(found, **way)
        except Exception as error:
            errors.append(error)
            continue
        kept = {"state_tensors": tried.state_tensors, "draws": tried.draws, "resumes": tried.resumes()}
        return {**facts, **way, **kept, "own_lr": not tried.follows_lr()}
    wants_closure = "closure" in str(errors[0]).lower()  # what it says when it has one tells more
    reason = _reason(errors[1] if wants_closure else errors[0])
    raise InputError("name", found, f"an optimizer that trains a small network: {reason}")


class _Tried:
    """A small network that an optimizer has trained for a few steps."""

    def __init__(self, found: Callable[..., Any], *, closure: bool, second_order: bool) -> None:
        self.found, self.closure, self.second_order = found, closure, second_order
        self.given = as_the_code_has(found, {**defaults_of(found), **needed(found)})
        self.model, self.optimizer = self._begin()
        before = random_state()
        for _ in range(STEPS):
            self._step(self.model, self.optimizer)
        self.draws = random_state() != before
        if not all(torch.isfinite(one).all() for one in self.model.parameters()):
            raise ArithmeticError(f"its weights are not finite after {STEPS} steps at its default learning rate")

    @property
    def state_tensors(self) -> int:
        """Return how many tensors of a parameter's size the optimizer keeps for each."""
        kept = sum(one.numel() for one in _tensors_in(list(self.optimizer.state.values())))
        return math.ceil(kept / sum(one.numel() for one in self.model.parameters()) - 0.05)

    def resumes(self) -> bool:
        """Return whether another one, with the state of this one, takes the same next steps, bit for bit.

        Raises InputError where a checkpoint, which is loaded as data, cannot hold that state.
        """
        content = io.BytesIO()
        torch.save([self.model.state_dict(), self.optimizer.state_dict()], content)
        content.seek(0)
        try:
            weights, state = torch.load(content, weights_only=True)
            model, optimizer = self._begin()
            model.load_state_dict(weights)
            optimizer.load_state_dict(state)
        except Exception as error:
            odd = isinstance(error, pickle.UnpicklingError)
            said = "it keeps more than tensors and plain values" if odd else why(error)
            raise InputError("name", self.found, f"an optimizer whose state a checkpoint can hold: {said}") from error
        return self._end_alike((self.model, self.optimizer), (model, optimizer))

    def follows_lr(self) -> bool:
        """Return whether half the learning rate, set as a schedule sets it, makes another step."""
        as_it_is, changed = self._begin(), self._begin()
        for group in changed[1].param_groups:
            if "lr" not in group:
                raise InputError("name", self.found, "an optimizer with a learning rate; this one drops its lr")
            group["lr"] = 0.5 * group["lr"]
        return not self._end_alike(as_it_is, changed, steps=SLOW_STEPS)

    def _end_alike(self, *pair: tuple[nn.Module, Any], steps: int = STEPS) -> bool:
        """Return whether two trained on, with the same random numbers, end with the same weights, bit for bit."""
        for trained in pair:
            for step in range(steps):
                with seeded(step):
                    self._step(*trained)
        weights = zip(*(model.parameters() for model, _ in pair), strict=True)
        return all(torch.equal(a, b) for a, b in weights)

    def _begin(self) -> tuple[nn.Module, Any]:
        with seeded(0):
            first = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten())
            model = nn.Sequential(*first, nn.Linear(8 * 36, 96), nn.ReLU(), nn.Linear(96, 10))
        with uncompiled():
            optimizer = self.found(model.parameters(), **self.given)
        if callable(getattr(optimizer, "train", None)):
            optimizer.train()
        return model, optimizer

    def _step(self, model: nn.Module, optimizer: Any) -> None:
        images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))

        def again() -> torch.Tensor:
            """Compute loss and gradients."""
            with torch.enable_grad():
                optimizer.zero_grad()
                loss = F.cross_entropy(model(images), torch.arange(16) % 10)
                loss.backward(create_graph=self.second_order)
            return loss

        if self.closure:
            optimizer.step(again)
            return
        again()
        optimizer.step()


def _tensors_in(content: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a state, also those in lists and mappings of it."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, (dict, list, tuple)):
        for one in content.values() if isinstance(content, dict) else content:
            yield from _tensors_in(one)


def random_state() -> tuple[Any, ...]:
    """Return the states of the generators that code may draw from without saying so."""
    numpy = np.random.get_state(legacy=False)
    return torch.get_rng_state().tolist(), random.getstate(), str(numpy)


def _reason(error: Exception) -> str:
    """Return why it does not train, in plain words where its own say nothing."""
    if "__contains__" in str(error):  # it has looked for a word in a parameter
        return "it wants its parameters sorted into groups by hand"
    return why(error)


def defaults_of(found: Callable[..., Any]) -> dict[str, Any]:
    """Return what a file that says nothing gives it."""
    kept = (one for one in parameters_of(found, leave_out={"params", *HOW}) if one.default not in (REQUIRED, DERIVED))
    return {one.name: one.default for one in kept}


def needed(found: Callable[..., Any]) -> dict[str, float]:
    """Return what has to be given: a learning rate, a count, a momentum where Nesterov's is the default."""
    parameters = parameters_of(found, leave_out={"params"})
    defaults = {one.name: one.default for one in parameters}
    given: dict[str, float] = {one.name: COUNT for one in parameters if one.default is REQUIRED and one.kind == "int"}
    given |= {"lr": LR} if defaults["lr"] is REQUIRED else {}
    return given | ({"momentum": 0.9} if defaults.get("nesterov") is True and defaults.get("momentum") == 0 else {})
