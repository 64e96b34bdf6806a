"""report.json: every number of the page for programs. Each key is explained in docs/report-json.md.

document = report_document(results, shown, sentences)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from analysis.report.figures import Shown
from analysis.report.header import nothing_yet, run_facts
from analysis.report.health import health
from analysis.report.tables import json_value, records, whole_names
from analysis.study.finals import seeds_notes
from analysis.study.leaderboard import ranking_rule
from analysis.study.results import Results
from analysis.study.searched import searched
from analysis.study.searched import sentences as search_sentences
from ch6dist.verdict.verdict import Member, Verdict
from ch6dist.verdict.words import assumptions

FORMAT = 1


def report_document(results: Results, shown: Sequence[Shown], sentences: Sequence[str]) -> dict[str, Any]:
    """Return the report as JSON can hold it: fractions and seconds, None for what is unknown or infinite."""
    study = results.study
    names = names_of(results)
    return {
        "format": FORMAT,
        "title": study.title(),
        "synthetic": study.synthetic,
        "metric": study.metric,
        "goal": study.goal,
        "rule": ranking_rule(study),
        "nothing_yet": nothing_yet(study) or None,
        "runs": [_finite(run) for run in run_facts(results)],
        "sentences": list(sentences),
        "verdict": verdict_document(results.verdict, names),
        "names": names,
        "numbered": study.numbered,
        "health": [asdict(fact) for fact in health(results)],
        "search": [_finite(asdict(found)) | {"sentences": search_sentences(found)} for found in searched(study)],
        "leaderboard": records(whole_names(results.board, study)),
        "finals": records(whole_names(results.finals, study)),
        "finals_notes": seeds_notes(study),
        "figures": [_figure(figure) for figure in shown],
    }


def names_of(results: Results) -> dict[str, str]:
    """Return what each configuration is called."""
    trials = results.study.trials.drop_duplicates("configuration")
    return dict(zip(trials["configuration"], trials["label"], strict=True))


def verdict_document(verdict: Verdict, names: Mapping[str, str]) -> dict[str, Any]:
    """Return all that a verdict says; lists of configurations as they are, with `names` for people."""
    needed = [{"difference": difference, "seeds": seeds} for difference, seeds in verdict.seeds_needed.items()]
    plain = asdict(verdict) | {
        "metric": verdict.metric.name,
        "goal": verdict.metric.goal,
        "compared": [_member(member, names) for member in verdict.compared],
        "members": [member.configuration for member in verdict.members],
        "equivalent": list(verdict.equivalent),
        "seeds_needed": needed,
        "assumptions": assumptions(verdict),
    }
    return {key: _finite(value) for key, value in plain.items()}


def _member(member: Member, names: Mapping[str, str]) -> dict[str, Any]:
    return {"name": names.get(member.configuration, member.configuration), **asdict(member)}


def _figure(figure: Shown) -> dict[str, Any]:
    is_drawn = bool(figure.picture)
    return {
        "name": figure.plot.name,
        "section": figure.plot.section,
        "heading": figure.plot.heading,
        "title": figure.plot.title,
        "caption": figure.caption or None,
        "csv": figure.csv if is_drawn else None,
        "png": figure.png if is_drawn else None,
        "svg": figure.svg if is_drawn else None,
        "empty": None if is_drawn else figure.plot.empty,
    }


def _finite(value: Any) -> Any:
    """Return a value without NaN and infinities, at any depth."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else json_value(value)
