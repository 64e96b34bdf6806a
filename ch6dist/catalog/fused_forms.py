"""The optimizers of libraries that have a fused form: which family trains them, and with which of their parameters.

fused_form({"name": "timm/lion", "lr": 1e-4, …}, version="timm 1.0.31")     # ("Lion of timm", "")
fused_form({"name": "timm/lion", "caution": True}, version="timm 1.0.31")   # (None, "timm/lion with caution has no …")

A family is one library's recipe, to the last detail: two libraries differ in what they call by one name, and in where
their state dicts keep it. So each is true of one version, the one that it was compared with, and no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# the versions whose optimizers the families equal
COMPARED = {"timm": "1.0.31", "pytorch_optimizer": "4.1.0", "schedulefree": "1.4.1"}


@dataclass(frozen=True)
class FusedForm:
    """A family, and what it takes. A parameter that stands in neither has no fused form, whatever its value."""

    family: str
    free: frozenset[str]  # parameters of which it takes every value
    fixed: Mapping[str, Any] = field(default_factory=dict)  # others, and the one value that it takes


def _form(family: str, free: str, **fixed: Any) -> FusedForm:
    return FusedForm(family, frozenset(["lr", "betas", "weight_decay", *free.split()]), fixed)


def _schedule_free(library: str, free: str, **fixed: Any) -> FusedForm:
    return FusedForm(
        f"Schedule-Free of {library}", frozenset(["lr", "weight_decay", "r", "weight_lr_power", *free.split()]), fixed
    )


_LION = _form("Lion of timm", "corrected_weight_decay", caution=False)
_BELIEF = _form("AdaBelief of timm", "eps amsgrad decoupled_decay fixed_decay rectify degenerated_to_sgd")
_ADOPT = _form("ADOPT of timm", "eps clip_exp decoupled corrected_weight_decay", caution=False)
_ADAN = _form("Adan of timm", "eps no_prox", caution=False)
FUSED_FORMS: dict[str, FusedForm] = {
    "timm/lion": _LION,
    "timm/adabelief": _BELIEF,
    "timm/radabelief": _BELIEF,
    "timm/adopt": _ADOPT,
    "timm/adoptw": _ADOPT,
    "timm/adan": _ADAN,
    "timm/adanw": _ADAN,
    "pytorch_optimizer/lion": _form("Lion of pytorch_optimizer", "weight_decouple fixed_decay"),
    "pytorch_optimizer/adabelief": _form(
        "AdaBelief of pytorch_optimizer",
        "eps ams_bound weight_decouple fixed_decay rectify degenerated_to_sgd",
        n_sma_threshold=5,
    ),
    "pytorch_optimizer/adopt": _form("ADOPT of pytorch_optimizer", "eps weight_decouple fixed_decay"),
    "pytorch_optimizer/adan": _form("Adan of pytorch_optimizer", "eps weight_decouple", max_grad_norm=0.0),
    "pytorch_optimizer/ademamix": _form(
        "AdEMAMix of pytorch_optimizer", "eps alpha t_alpha_beta3 weight_decouple fixed_decay"
    ),
    "pytorch_optimizer/schedulefreesgd": _schedule_free("pytorch_optimizer", "momentum eps warmup_steps"),
    "pytorch_optimizer/schedulefreeadamw": _schedule_free(
        "pytorch_optimizer", "betas eps warmup_steps decoupling_c", ams_bound=False
    ),
    "pytorch_optimizer/schedulefreeradam": _schedule_free("pytorch_optimizer", "betas eps", silent_sgd_phase=True),
    "schedulefree:SGDScheduleFree": _schedule_free("schedulefree", "momentum warmup_steps"),
    "schedulefree:AdamWScheduleFree": _schedule_free("schedulefree", "betas eps warmup_steps"),
    "schedulefree:RAdamScheduleFree": _schedule_free("schedulefree", "betas eps silent_sgd_phase"),
}


def fused_form(optimizer: Mapping[str, Any], *, version: str) -> tuple[str | None, str]:
    """Return the family of a library's optimizer; or None, and why it has none.

    Args:
        optimizer: resolved.
        version: of the library, such as `timm 1.0.31`; empty for what is no library's.
    """
    name = optimizer["name"]
    form = FUSED_FORMS.get(name)
    if form is None:
        return None, f"{name} has no fused form"
    library = version.partition(" ")[0]
    if version != (compared := f"{library} {COMPARED.get(library)}"):
        return None, f"{name} of {version or 'an unknown version'} has no fused form, that of {compared} has"
    for key, value in optimizer.items():
        if key not in ("name", *form.free) and (key not in form.fixed or value != form.fixed[key]):
            said = f"with {key} {value}" if not isinstance(value, bool) else f"{'with' if value else 'without'} {key}"
            return None, f"{name} {said} has no fused form"
    return form.family, ""
