"""The optimizers as data: every generic `torch.optim` class by name, its parameters, defaults and bounds.

    OPTIMIZERS["SGD"].resolve({"momentum": "0.9"})      # {'lr': 0.001, 'momentum': 0.9, …}, or InputError

A test compares names, parameters and defaults with torch's signatures. What only changes how torch computes
(foreach, fused, capturable, differentiable, maximize) is no parameter of a trial. LBFGS (needs a closure), Muon (2-D
parameters only) and SparseAdam (sparse gradients only) cannot train these models and are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ch6dist.catalog.parameters import Entry, Parameter
from ch6dist.errors import InputError, unknown_name

UNDECAYED = ("norm", "bias")  # kinds of parameters that may be spared weight decay


@dataclass(frozen=True, kw_only=True)
class OptimizerEntry(Entry):
    """An optimizer: its parameters, and what schedules and memory estimates need to know."""

    momentum: Literal["momentum", "betas"] | None = None  # the parameter that a cyclic schedule varies as momentum
    full_batch: bool = False  # made for gradients over all images: mini-batches mislead it
    family: str | None  # optimizers of a family share fused packs; None: not element-wise, or a library's (lookup.py)
    version: str = ""  # of its library, such as `timm 1.0.31`
    state_tensors: int  # tensors of a parameter's size that it keeps per parameter, with every option on
    closure: bool = False  # its step computes loss and gradients itself, by a closure
    second_order: bool = False  # its step needs gradients that can be differentiated once more
    modes: bool = False  # it has weights of its own for training and for evaluation: `train()` and `eval()`
    draws: bool = False  # its step draws random numbers
    resumes: bool = True  # what it keeps is all in its state: after a resume it goes on exactly
    own_lr: bool = False  # its learning rate is its own: what a schedule sets has no effect, in its first steps

    def check(self, resolved: Mapping[str, Any]) -> None:
        """Raise InputError where resolved parameters, each fine by itself, do not go together."""
        if resolved.get("nesterov"):
            if resolved.get("momentum", 1) <= 0:
                raise InputError("momentum", resolved["momentum"], "a number > 0 (nesterov is on)")
            if resolved.get("dampening", 0) != 0:
                raise InputError("dampening", resolved["dampening"], "0 (nesterov is on)")
        if self.name == "Adafactor" and resolved["eps"][1] is None:
            raise InputError("eps", resolved["eps"], "a list of 2 numbers ≥ 0, the first may be null")
        if self.name == "Rprop":
            _check_rprop(resolved)


def keeps_state(optimizer: Mapping[str, Any]) -> bool:
    """Return whether a resolved optimizer keeps tensors from step to step: all but SGD without momentum do."""
    return optimizer["name"] != "SGD" or optimizer["momentum"] > 0


def check_undecayed(given: Any) -> list[str]:
    """Return what has no weight decay as a list, in one order; a name alone is short for a list of one."""
    listed = [given] if isinstance(given, str) else given
    if not isinstance(listed, (list, tuple)):
        raise InputError("", given, f"a list of what has no weight decay: {', '.join(UNDECAYED)}")
    for name in listed:
        if name not in UNDECAYED:
            raise unknown_name("", name, UNDECAYED)
    return [name for name in UNDECAYED if name in listed]


def _check_rprop(resolved: Mapping[str, Any]) -> None:
    shrink, grow = resolved["etas"]
    if not 0 < shrink < 1 < grow:
        raise InputError("etas", resolved["etas"], "two numbers, the first between 0 and 1, the second > 1")
    smallest, largest = resolved["step_sizes"]
    if not 0 <= smallest <= largest:
        raise InputError("step_sizes", resolved["step_sizes"], "two numbers ≥ 0, the smaller one first")


def _lr(default: float) -> Parameter:
    return Parameter("lr", "float", default, "learning rate", above=0)


def _at_least_0(name: str, default: float, meaning: str) -> Parameter:
    return Parameter(name, "float", default, meaning, low=0)


def _eps(default: float = 1e-8) -> Parameter:
    return _at_least_0("eps", default, "added to the denominator")


def _weight_decay(default: float = 0.0, meaning: str = "L2 penalty, added to the gradient") -> Parameter:
    return _at_least_0("weight_decay", default, meaning)


def _momentum(meaning: str) -> Parameter:
    return _at_least_0("momentum", 0.0, meaning)


def _flag(name: str, meaning: str) -> Parameter:
    return Parameter(name, "bool", False, meaning)


_BETAS = Parameter(
    "betas", "floats", [0.9, 0.999], "decay of the averages of gradient and squared gradient", low=0, below=1, length=2
)
_AMSGRAD = _flag("amsgrad", "divide by the largest average of squared gradients so far (Reddi et al. 2018)")
_DECOUPLED = _flag("decoupled_weight_decay", "decay the weights directly, as AdamW does")

_ENTRIES = (
    OptimizerEntry(
        "SGD",
        "stochastic gradient descent, with momentum or Nesterov momentum if given (Sutskever et al. 2013)",
        (
            _lr(1e-3),
            _momentum("fraction of the last update that is kept"),
            Parameter("dampening", "float", 0.0, "fraction of the gradient that the momentum leaves out"),
            _weight_decay(),
            _flag("nesterov", "step by gradient + momentum · buffer"),
        ),
        momentum="momentum",
        family="SGD",
        state_tensors=1,
    ),
    OptimizerEntry(
        "Adam",
        "momentum and scaling by bias-corrected moving averages (Kingma & Ba 2015)",
        (_lr(1e-3), _BETAS, _eps(), _weight_decay(), _AMSGRAD, _DECOUPLED),
        momentum="betas",
        family="Adam",
        state_tensors=3,
    ),
    OptimizerEntry(
        "AdamW",
        "Adam with decoupled weight decay (Loshchilov & Hutter 2019)",
        (_lr(1e-3), _BETAS, _eps(), _weight_decay(0.01, "decay of the weights, times the learning rate"), _AMSGRAD),
        momentum="betas",
        family="Adam",
        state_tensors=3,
    ),
    OptimizerEntry(
        "NAdam",
        "Adam with Nesterov momentum (Dozat 2016)",
        (
            _lr(2e-3),
            _BETAS,
            _eps(),
            _weight_decay(),
            _at_least_0("momentum_decay", 0.004, "how slowly the momentum warms up"),
            _DECOUPLED,
        ),
        momentum="betas",
        family="NAdam",
        state_tensors=2,
    ),
    OptimizerEntry(
        "RAdam",
        "Adam whose scaling waits until its variance is known (Liu et al. 2020)",
        (_lr(1e-3), _BETAS, _eps(), _weight_decay(), _DECOUPLED),
        momentum="betas",
        family="RAdam",
        state_tensors=2,
    ),
    OptimizerEntry(
        "Adamax",
        "Adam with the infinity norm (Kingma & Ba 2015, section 7.1)",
        (_lr(2e-3), _BETAS, _eps(), _weight_decay()),
        momentum="betas",
        family="Adamax",
        state_tensors=2,
    ),
    OptimizerEntry(
        "RMSprop",
        "scaling by a moving average of squared gradients (Hinton 2012)",
        (
            _lr(0.01),
            _at_least_0("alpha", 0.99, "decay of the average of squared gradients"),
            _eps(),
            _weight_decay(),
            _momentum("fraction of the last update that is kept"),
            _flag("centered", "scale by the estimated variance instead"),
        ),
        momentum="momentum",
        family="RMSprop",
        state_tensors=3,
    ),
    OptimizerEntry(
        "Adagrad",
        "scaling by the sum of squared gradients (Duchi et al. 2011)",
        (
            _lr(0.01),
            _at_least_0("lr_decay", 0.0, "learning rate divided by 1 + step · lr_decay"),
            _weight_decay(),
            _at_least_0("initial_accumulator_value", 0.0, "start of the sum"),
            _eps(1e-10),
        ),
        family="Adagrad",
        state_tensors=1,
    ),
    OptimizerEntry(
        "Adadelta",
        "scaling by moving averages of squared gradients and updates (Zeiler 2012)",
        (
            _lr(1.0),
            Parameter("rho", "float", 0.9, "decay of both averages", low=0, high=1),
            _eps(1e-6),
            _weight_decay(),
        ),
        family="Adadelta",
        state_tensors=2,
    ),
    OptimizerEntry(
        "ASGD",
        "averaged stochastic gradient descent (Polyak & Juditsky 1992)",
        (
            _lr(0.01),
            _at_least_0("lambd", 1e-4, "decay term of the learning rate"),
            _at_least_0("alpha", 0.75, "power of the learning rate's decay"),
            Parameter("t0", "float", 1e6, "step at which the averaging begins"),
            _weight_decay(),
        ),
        family="ASGD",
        state_tensors=1,
    ),
    OptimizerEntry(
        "Adafactor",
        "scaling by row and column averages of squared gradients: little memory (Shazeer & Stern 2018)",
        (
            _lr(0.01),
            Parameter("beta2_decay", "float", -0.8, "power of the step in the average's decay", high=0),
            Parameter("eps", "floats", [None, 1e-3], "for the gradient, for the update", low=0, length=2, none=True),
            Parameter("d", "float", 1.0, "clipping threshold of an update's root mean square", low=1),
            _weight_decay(0.0, "decay of the weights, times the learning rate"),
        ),
        family=None,
        state_tensors=1,
    ),
    OptimizerEntry(
        "Rprop",
        "steps by the sign of the gradient, their size grown and shrunk (Riedmiller & Braun 1993)",
        (
            _lr(0.01),
            Parameter("etas", "floats", [0.5, 1.2], "factors that shrink and grow a step", length=2),
            Parameter("step_sizes", "floats", [1e-6, 50.0], "smallest and largest step", length=2),
        ),
        full_batch=True,
        family="Rprop",
        state_tensors=2,
    ),
)

OPTIMIZERS: dict[str, OptimizerEntry] = {entry.name: entry for entry in _ENTRIES}
