"""What a person should know about an optimizer before it trains, a line each: for the plan, and for a trial's log.

list(optimizer_notes({"name": "Rprop", …}))     # ['Rprop expects the gradient over all images: …']
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ch6dist.catalog.lookup import optimizer_of


def optimizer_notes(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the notes of a resolved optimizer; none for most."""
    name, entry = config["name"], optimizer_of(config)
    if entry.full_batch:
        yield f"{name} expects the gradient over all images: mini-batches mislead it, and lr is only its first step"
    if not entry.resumes:
        yield f"{name} keeps something outside of its state: a resumed trial may go on differently"
    if entry.own_lr:
        yield f"{name} has a learning rate of its own: what a schedule sets has no effect, at least in its first steps"
