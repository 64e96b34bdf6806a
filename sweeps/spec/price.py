"""The `price` of a sweep file: what an hour of a device costs. A plan says the money, nothing else looks at it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from ch6dist.errors import InputError
from ch6dist.sections import Frozen

MOST = 1_000_000  # per hour: more is a slip
CURRENCY = re.compile("[A-Za-z]{1,8}|[$€£¥]")


class Price(Frozen):
    """What an hour of a device costs."""

    per_device_hour: float = Field(gt=0, le=MOST, description="what an hour of one device costs")
    currency: str = Field(
        "", pattern=rf"^({CURRENCY.pattern})?$", description="in which currency, such as `EUR`; left out: none is named"
    )

    @field_validator("currency", mode="before")
    @classmethod
    def _currency(cls, given: Any) -> Any:
        if given != "" and not (isinstance(given, str) and CURRENCY.fullmatch(given)):
            raise InputError("", given, "up to 8 letters, such as EUR, or one of $ € £ ¥")
        return given

    def text(self, hours: float) -> str:
        """Return what so many device hours cost: `4.80 EUR`."""
        return f"{self.per_device_hour * hours:,.2f} {self.currency}".strip()


def parse_price(given: Any) -> Any:
    """Return the content of the section; a number alone is what an hour costs."""
    return given if isinstance(given, (Mapping, Price)) else {"per_device_hour": given}
