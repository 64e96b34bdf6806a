"""Change a sweep that has begun: more seeds, values, draws, rungs, a larger budget, other resources.

    spec = changed_sweep(ledger.spec, ["seeds=5", "budget.device_hours=4"])

What has been trained stays what it is, so what the trials are made of cannot change: the trial itself, the method, the
metric by which was decided. Whether an axis or the seeds still hold every trial of the run, `refuse_lost` says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ch6dist.errors import InputError
from ch6dist.sections import parse_section
from ch6dist.yamlfile import parse_override
from sweeps.spec.overrides import set_key
from sweeps.spec.resources import PREFIX, change_resources
from sweeps.spec.sweep_file import SweepSpec, changeable, dump

ADDABLE = ("parameters", "trials", "seeds", "early_stop", "budget")  # what may become more, and with it the trials
FREE = ("question", "margin", "max_retries", "checkpoints")  # no part of any trial, nor of a decision
FIXED = {  # why not
    "name": "the folder is called so",
    "method": "the trials of the run were chosen by it",
    "seed": "the trials of the run were drawn with it",
    "metric": "what has been decided was decided by it",
    "storage": "the run lies there",
    "presets": "they are taken when a sweep starts",
}
ALLOWED = f"resources.KEY, {', '.join(ADDABLE)}, {', '.join(FREE)}"


def changed_sweep(spec: Mapping[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """Return a sweep, as `dump` gives it, after `key=value` changes; InputError for one that a run cannot take."""
    texts = list(changes)
    others = extensions(texts)
    resources = [text for text in texts if text not in others]
    content = change_resources(spec, resources)
    if not others:
        return content
    if not spec.get("parameters"):
        key, value = parse_override(others[0])
        raise InputError(key, value, "resources.KEY=VALUE: the run was made without a sweep file")
    whole = changeable(parse_section(SweepSpec, content))
    for text in others:
        key, value = parse_override(text)
        _refuse_fixed(key, value)
        if key.startswith("parameters") and spec.get("method") == "optuna":
            raise InputError(key, value, "nothing: the model has drawn from these axes; trials=N draws more")
        whole = set_key(whole, key, value, fields=SweepSpec.model_fields)
    return dump(parse_section(SweepSpec, whole))


def extensions(changes: Iterable[str]) -> list[str]:
    """Return the changes that are more than other resources: they may add trials."""
    return [text for text in changes if not text.strip().startswith(PREFIX)]


def refuse_lost(
    changes: Iterable[str], names: Mapping[str, str], there: Collection[str], spanned: Collection[str]
) -> None:
    """Raise InputError where a changed sweep spans trials no longer that the run has.

    Args:
        names: of the run's trials, by id.
        there: ids of those that the sweep file spanned.
        spanned: ids of those that it spans now.
    """
    lost = sorted(set(there) - set(spanned))
    if lost:
        key, value = parse_override(extensions(changes)[0])
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise InputError(key, value, f"all that the run has, and more: it would lose {names[lost[0]]}{more}")


def _refuse_fixed(key: str, value: Any) -> None:
    head = key.partition(".")[0]
    if head in ADDABLE or head in FREE:
        return
    if head in FIXED:
        raise InputError(key, value, f"nothing: {FIXED[head]}; what can change: {ALLOWED}")
    raise InputError(key, value, f"{ALLOWED}: the trials of a run stay what they are")
