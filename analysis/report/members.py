"""The set of the best as a table: which configurations cannot be told from the best, and what taking each costs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from analysis.report.tables import Table
from ch6dist.catalog.wording import DASH, format_difference, format_mean_std, format_probability, metric_label
from ch6dist.verdict.verdict import Member, Verdict

MAX_MEMBERS = 20  # on the page; report.json holds all


def members_table(verdict: Verdict, names: Mapping[str, str]) -> Table:
    """Return the set of the best, most probable first; without rows where nothing was compared."""
    metric = verdict.metric.name
    heads = ["configuration", f"{metric_label(metric)}, mean ± std", "seeds", "P(best)", "gives away"]
    heads += ["behind the leader", "noise up to", "choice"]
    members = verdict.members[:MAX_MEMBERS] if verdict.state == "compared" else ()
    rows = [_row(member, verdict, names, metric) for member in members]
    keys = [[None, m.mean, float(m.n), m.p_best, m.loss, m.behind, _finite(m.allowed), None] for m in members]
    return Table(heads, rows, keys)


def _row(member: Member, verdict: Verdict, names: Mapping[str, str], metric: str) -> list[str]:
    return [
        names.get(member.configuration, member.configuration),
        format_mean_std(member.mean, member.sd, metric),
        f"{member.n}",
        format_probability(member.p_best),
        format_difference(member.loss, metric),
        format_difference(member.behind, metric) if member.configuration != verdict.leader else DASH,
        format_difference(member.allowed, metric) if member.configuration != verdict.leader else DASH,
        _standing(member, verdict),
    ]


def _standing(member: Member, verdict: Verdict) -> str:
    parts = ["leader"] if member.configuration == verdict.leader else ["equivalent"] if member.equivalent else []
    if member.configuration == verdict.choice and verdict.choice_reason:
        parts.append(f"the choice: {verdict.choice_reason}")
    return ", ".join(parts)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
