"""Read a sweep file: the sweep as resolved, after a preset of the file and `key=value` of the command line.

spec = load_spec("sweeps/configs/demo.yaml", ["preset=full", "epochs=2"])
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ch6dist.errors import InputError, unknown_name
from ch6dist.runs.folders import name_from
from ch6dist.sections import parse_section
from ch6dist.yamlfile import read_mapping
from sweeps.spec.overrides import override, set_key
from sweeps.spec.sweep_file import SweepSpec, changeable

PRESET = re.compile(r"\s*preset\s*=")


def load_spec(path: Path | str, overrides: Iterable[str] = ()) -> SweepSpec:
    """Return the sweep in a YAML file, after `key=value` overrides.

    Raises InputError with file, key, value and what is allowed, UsageError if the file cannot be read.
    """
    content = read_mapping(path)
    try:
        spec = parse_section(SweepSpec, {"name": name_from(Path(path).stem), **content})
        presets = {name: _with_preset(spec, name) for name in spec.presets}  # a wrong one is said before it is taken
        name, rest = _preset_of(overrides, spec.presets)
        spec = presets[name] if name else spec.model_copy(update={"presets": {}})
        if not rest:
            return spec
        changed = changeable(spec)
        for text in rest:
            changed = override(changed, text, fields=_settable())
        return parse_section(SweepSpec, changed)
    except InputError as error:
        raise error.in_file(str(path)) from None


def _preset_of(overrides: Iterable[str], presets: Mapping[str, Any]) -> tuple[str | None, list[str]]:
    """Return the preset that is asked for by `preset=NAME`, and the other overrides."""
    given = list(overrides)
    asked = [text.partition("=")[2].strip() for text in given if PRESET.match(text)]
    for name in asked:
        if name not in presets:
            nothing = InputError("preset", name, "nothing: the file has no presets")
            raise unknown_name("preset", name, presets) if presets else nothing
    if len(asked) > 1:
        raise InputError("preset", ", ".join(asked), "one preset")
    return (asked[0] if asked else None), [text for text in given if not PRESET.match(text)]


def _with_preset(spec: SweepSpec, name: str) -> SweepSpec:
    """Return the sweep with the changes of a preset; one that changes anything is another sweep, by another name."""
    changes, content = spec.presets[name], changeable(spec)
    if changes:
        content["name"] = f"{spec.name}-{name}"
    try:
        for key, value in changes.items():
            content = set_key(content, key, value, fields=_settable())
        return parse_section(SweepSpec, content)
    except InputError as error:
        raise error.within(f"presets.{name}") from None


def _settable() -> dict[str, Any]:
    """Return the fields of a sweep that a key can reach: presets are written in the file alone."""
    return {name: field for name, field in SweepSpec.model_fields.items() if name != "presets"}


def recorded_sweep(spec: Mapping[str, Any]) -> SweepSpec | None:
    """Return the sweep of a run as its ledger has it; None where it has none that this version reads.

    So it is for what was trained without a sweep file, such as a final training: its trials are in the ledger.
    """
    if not spec.get("parameters"):
        return None
    try:
        return parse_section(SweepSpec, dict(spec))
    except InputError:  # of an older version
        return None
