"""Contents of sweep files, the specs they give, and the messages that refuse them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from sweeps.spec.expand import expand
from sweeps.spec.load import load_spec
from sweeps.spec.sweep_file import SweepSpec
from tests.support.paths import ROOT

CONFIGS = sorted((ROOT / "sweeps" / "configs").rglob("*.yaml"))


def sweep(**changes: Any) -> dict[str, Any]:
    return {"name": "demo", "parameters": {"optimizer.lr": {"values": [0.1, "1e-2"]}}, **changes}


def axes(**axes: Any) -> dict[str, Any]:
    return sweep(parameters={key.replace("__", "."): {"values": values} for key, values in axes.items()})


def spec_of(content: dict[str, Any]) -> SweepSpec:
    return parse_section(SweepSpec, content)


def write(folder: Path, content: Any) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return path


def refusal(path: Path, *overrides: str, kind: type[Exception] = InputError) -> str:
    """Return the message of one line that refuses a sweep file; it begins with the file's path."""
    with pytest.raises(kind) as caught:
        expand(load_spec(path, overrides), file=str(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message
