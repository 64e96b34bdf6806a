"""The families by name, and the one an optimizer belongs to.

family_of({"name": "AdamW"}).name   # 'Adam'
family_of({"name": "Adafactor"})    # None: not element-wise, it trains alone
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.lookup import family_in
from ch6dist.engines.families.adam import ADAM, ADAMAX, NADAM, RADAM
from ch6dist.engines.families.adaptive import ADADELTA, ADAGRAD, RMSPROP, RPROP
from ch6dist.engines.families.family import Family
from ch6dist.engines.families.sgd import ASGD, SGD

FAMILIES: dict[str, Family] = {
    family.name: family for family in (SGD, ADAM, NADAM, RADAM, ADAMAX, RMSPROP, ADAGRAD, ADADELTA, ASGD, RPROP)
}


def family_of(optimizer: Mapping[str, Any]) -> Family | None:
    """Return the family of a resolved optimizer; None where it has none."""
    name, _ = family_in(optimizer)
    return None if name is None else FAMILIES[name]
