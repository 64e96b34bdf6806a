"""The families by name, and the one an optimizer belongs to.

family_of({"name": "AdamW"}).name   # 'Adam'
family_of({"name": "Adafactor"})    # None: not element-wise, it trains alone
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ch6dist.catalog.lookup import family_in
from ch6dist.engines.families.adabelief import PYTORCH_OPTIMIZER_ADABELIEF, TIMM_ADABELIEF
from ch6dist.engines.families.adam import ADAM, ADAMAX, NADAM, RADAM
from ch6dist.engines.families.adan import PYTORCH_OPTIMIZER_ADAN, TIMM_ADAN
from ch6dist.engines.families.adaptive import ADADELTA, ADAGRAD, RMSPROP, RPROP
from ch6dist.engines.families.ademamix import ADEMAMIX
from ch6dist.engines.families.adopt import PYTORCH_OPTIMIZER_ADOPT, TIMM_ADOPT
from ch6dist.engines.families.family import Family
from ch6dist.engines.families.lion import PYTORCH_OPTIMIZER_LION, TIMM_LION
from ch6dist.engines.families.schedule_free import PYTORCH_OPTIMIZER_SCHEDULE_FREE, SCHEDULEFREE
from ch6dist.engines.families.sgd import ASGD, SGD

OF_TORCH = (SGD, ADAM, NADAM, RADAM, ADAMAX, RMSPROP, ADAGRAD, ADADELTA, ASGD, RPROP)
OF_LIBRARIES = (
    *(TIMM_LION, TIMM_ADABELIEF, TIMM_ADOPT, TIMM_ADAN),
    *(PYTORCH_OPTIMIZER_LION, PYTORCH_OPTIMIZER_ADABELIEF, PYTORCH_OPTIMIZER_ADOPT, PYTORCH_OPTIMIZER_ADAN, ADEMAMIX),
    *(PYTORCH_OPTIMIZER_SCHEDULE_FREE, SCHEDULEFREE),
)
FAMILIES: dict[str, Family] = {family.name: family for family in (*OF_TORCH, *OF_LIBRARIES)}


def family_of(optimizer: Mapping[str, Any]) -> Family | None:
    """Return the family of a resolved optimizer; None where it has none."""
    name, _ = family_in(optimizer)
    return None if name is None else FAMILIES[name]
