"""Which trials end before their last epoch: `early_stop` of a sweep file, one of four rules with keys of its own.

rule = parse_early_stop({"name": "halving", "first": 2, "factor": 3})
rule.rungs(20)                          # (2, 6, 18): the epochs at whose end it decides
parse_early_stop({"name": "halving", "keep": 8})
# InputError: keep: 8 is not allowed; allowed: nothing: a key of top_k; halving takes first, factor

Sources: successive halving (Jamieson and Talwalkar 2016), ASHA (Li et al. 2020), the median rule of Vizier (Golovin et
al. 2017), the best k after few epochs (Egele et al. 2023). `sweeps/search/rules` decides by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from ch6dist.catalog.parameters import unknown_key
from ch6dist.config import TrialConfig
from ch6dist.errors import MISSING, InputError, unknown_name
from ch6dist.sections import Frozen, parse_section

FIRST = "epochs of the first rung"
FACTOR = "of the trials at a rung one in `factor` goes on, to the rung at `factor` times as many epochs"


class TopK(Frozen):
    """All train for some epochs, the best of them go on to the end."""

    label: ClassVar[str] = "top_k"
    text: ClassVar[str] = "all train for `after` epochs; when all are there, the best `keep` go on to the end"
    starts: ClassVar[str] = "after"
    together: ClassVar[bool] = True

    name: Literal["top_k"] = Field(description="the rule")
    after: int = Field(ge=1, description="epochs after which the best are kept")
    keep: int = Field(ge=1, description="how many configurations go on")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs, below those of the training, at whose end the rule decides."""
        return (self.after,) if self.after < epochs else ()


class Halving(Frozen):
    """Successive halving: each rung decides when all that can come to it are there."""

    label: ClassVar[str] = "halving"
    text: ClassVar[str] = "rungs of `first`, `first` · `factor`, … epochs; when all are there, one in `factor` goes on"
    starts: ClassVar[str] = "first"
    together: ClassVar[bool] = True

    name: Literal["halving"] = Field(description="the rule")
    first: int = Field(ge=1, description=FIRST)
    factor: int = Field(3, ge=2, description=FACTOR)

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs, below those of the training, at whose end the rule decides."""
        return _rungs(self.first, self.factor, epochs)


class Asha(Frozen):
    """Asynchronous successive halving: a rung decides by what it has seen so far."""

    label: ClassVar[str] = "asha"
    text: ClassVar[str] = (
        "the rungs of `halving`, without waiting for all: a trial goes on as soon as it is among the best one in "
        "`factor` of those that have come"
    )
    starts: ClassVar[str] = "first"

    name: Literal["asha"] = Field(description="the rule")
    first: int = Field(ge=1, description=FIRST)
    factor: int = Field(3, ge=2, description=FACTOR)
    promote: bool = Field(
        True,
        description="true: what is not yet among the best waits, and may go on later. false: it is compared once, with "
        "those that came before, and ends or goes on, as with Ray Tune's ASHA",
    )

    @property
    def together(self) -> bool:
        """Return whether the seeds of a configuration are compared together: where trials may wait for each other."""
        return self.promote

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs, below those of the training, at whose end the rule decides."""
        return _rungs(self.first, self.factor, epochs)


class Median(Frozen):
    """The median rule: what is worse than most were by then ends."""

    label: ClassVar[str] = "median"
    text: ClassVar[str] = (
        "after each epoch, from `after` on: a trial ends whose best value so far is worse than the median of the "
        "running means of those, at least three, that came to this epoch before; with `percentile: 25` it has to be as "
        "good as the best quarter of them"
    )
    starts: ClassVar[str] = "after"
    together: ClassVar[bool] = False

    name: Literal["median"] = Field(description="the rule")
    after: int = Field(ge=1, description="epochs after which a trial may end")
    percentile: float = Field(50.0, gt=0, lt=100, description="of those that came before, as good as which best part")

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs, below those of the training, at whose end the rule decides."""
        return tuple(range(self.after, epochs))


EarlyStop = TopK | Halving | Asha | Median
RULES: dict[str, type[EarlyStop]] = {kind.label: kind for kind in (TopK, Halving, Asha, Median)}


def parse_early_stop(given: Any) -> EarlyStop:
    """Return the rule that a mapping, or a bare name, asks for.

    Raises InputError for an unknown rule, naming the nearest, and for a key that the rule does not have.
    """
    if isinstance(given, EarlyStop):
        return given
    content = {"name": given} if isinstance(given, str) else given
    if not isinstance(content, Mapping):
        raise InputError("", given, "a mapping such as {name: halving, first: 2, factor: 3}")
    name = content.get("name", MISSING)
    if name is MISSING:
        raise InputError("name", MISSING, f"one of {', '.join(RULES)}")
    if not isinstance(name, str) or name not in RULES:
        raise unknown_name("name", name, RULES)
    for key, value in content.items():
        _refuse_other_key(RULES[name], key, value)
    return parse_section(RULES[name], content)


def check_early_stop(rule: EarlyStop, trials: Sequence[TrialConfig]) -> None:
    """Raise InputError where a rule could stop none of the trials that are known: range tests, too few epochs."""
    epochs = [trial.epochs for trial in trials if trial.type == "train"]
    if trials and not epochs:
        raise InputError("early_stop", rule.name, "nothing for a sweep of range tests, which end with their steps")
    if epochs and not rule.rungs(max(epochs)):
        longest = f"less than {max(epochs)}, the most epochs that a trial has: the sweep could stop nothing"
        raise InputError(f"early_stop.{rule.starts}", getattr(rule, rule.starts), longest)


def _refuse_other_key(kind: type[EarlyStop], key: str, value: Any) -> None:
    """Refuse a key that only other rules have, and one that none has."""
    others = [other for other, rule in RULES.items() if key in rule.model_fields]
    if not others:
        raise unknown_key(key, kind.model_fields, f"{kind.label} takes")
    if kind.label not in others:
        own = ", ".join(field for field in kind.model_fields if field != "name")
        raise InputError(key, value, f"nothing: a key of {' and '.join(others)}; {kind.label} takes {own}")


def _rungs(first: int, factor: int, epochs: int) -> tuple[int, ...]:
    found, rung = [], first
    while rung < epochs:
        found.append(rung)
        rung *= factor
    return tuple(found)
