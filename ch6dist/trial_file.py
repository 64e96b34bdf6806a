"""A trial from a file and `key=value` of the command line.

read_trial(Path("trial.yaml"), ["optimizer.lr=0.03"])
read_trial(None, ["epochs=5"])                           # a trial of defaults, but for its length
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ch6dist.config import TrialConfig, parse_trial
from ch6dist.yamlfile import parse_override, read_mapping, with_dotted


def read_trial(path: Path | None, overrides: Iterable[str] = ()) -> TrialConfig:
    """Return the trial in a YAML file, or of defaults, after `key=value` overrides.

    Raises InputError with file, key, value and what is allowed, UsageError if the file cannot be read.
    """
    content: dict[str, Any] = read_mapping(path) if path else {}
    for number, text in enumerate(overrides):
        content = with_dotted(with_names(content) if number == 0 else content, *parse_override(text))
    return parse_trial(content, file=str(path) if path else None)


def with_names(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return `trial` with the default names of model and optimizer, so that a dotted key has a section to go into."""
    default = parse_trial({})
    return {section: {"name": getattr(default, section)["name"]} for section in ("model", "optimizer")} | dict(trial)
