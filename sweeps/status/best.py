"""What to train next: the configuration that the verdict chooses, as a trial file.

    found = best(find_run("demo"))
    trial_yaml = best_yaml(found)

It is the leader, or what is equivalent to it and cheaper or simpler (ch6dist/verdict). Apart from queries.py, whose
commands answer at once: a verdict takes scipy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ch6dist.catalog.datasets import SYNTHETIC
from ch6dist.catalog.described import keep_to
from ch6dist.catalog.labels import explain
from ch6dist.catalog.text import one_line
from ch6dist.catalog.wording import format_count, format_difference
from ch6dist.config import parse_trial
from ch6dist.errors import UsageError
from ch6dist.paths import given_path
from ch6dist.runs.confirmations import key_of
from ch6dist.runs.ledger import Ledger, observe
from ch6dist.runs.moved_fractions import refuse_moved_fractions
from ch6dist.runs.ranking import RANKED_ROWS, Ranked, by_fresh_seeds, by_seeds, rank
from ch6dist.runs.schema import Metric
from ch6dist.verdict.candidates import verdict_on
from ch6dist.verdict.contenders import BY_RULE, Missing
from ch6dist.verdict.verdict import Verdict
from sweeps.status.queries import is_on_synthetic, labels_of, rule_of

MISSING: dict[Missing, str] = {
    "failed": "failed",
    "not finished": "has not finished",
    "stopped early": "was stopped early",
    BY_RULE: "was stopped early by the sweep's rule",
    "without a score": "has no finite score",
}
NOTHING_LEARNED = "no configuration learned more than chance: this one came first by chance alone"


def best(run: Path | str, ledger: Ledger | None = None) -> dict[str, Any]:
    """Return the chosen configuration with its first seed, why it is chosen, and the rule and scores that chose it.

    Args:
        ledger: of the run, if it has been read already.

    Raises UsageError if no configuration can win, or the choice would be another training now (an old run's fractions).
    """
    ledger = ledger or observe(run, last=RANKED_ROWS)[0]
    keep_to(ledger.sweeps)
    metric = Metric.of(ledger.spec)
    ranked = rank(ledger, metric)
    first = next((item for item in ranked if item.eligible), None)
    if not ranked:
        raise UsageError(f"{run} holds no training runs")
    if first is None:
        note = ranked[0].note or "no finite score"
        raise UsageError(f"no configuration of {run} has all of its seeds trained; the first of {len(ranked)}: {note}")
    verdict = verdict_on(ledger, ranked, metric)
    winner = next((item for item in ranked if item.configuration == verdict.choice), first)
    judged = _as_judged(winner, verdict, ledger, metric)
    labels, numbered = labels_of(ledger)
    name = labels[winner.configuration]
    trial = min(winner.every, key=lambda name: ledger.trials[name]["seed"])
    config = ledger.trials[trial]["config"]
    refuse_moved_fractions(Path(run), ledger.sweeps, [parse_trial(config, file=str(run))])
    return {
        "run": str(run),
        "rule": rule_of(ledger),
        "synthetic": is_on_synthetic(ledger),
        "configuration": winner.configuration,
        "name": name,
        "numbered": explain([name], numbered),
        "score": judged.score,
        "scores": list(judged.scores),
        "confirmed": judged.confirmed,
        "seeds": len(judged.trials),
        "note": judged.note,
        "why": _why(verdict, winner, ranked, labels),
        "warning": NOTHING_LEARNED if verdict.state == "chance" else "",
        "configurations": len(ranked),
        "ineligible": sum(not item.eligible for item in ranked),
        "trial": {key: value for key, value in config.items() if key != "capture"},  # to look was the sweep's wish
    }


def best_yaml(found: Mapping[str, Any]) -> str:
    """Return the result of `best` as a trial file, its head in comments."""
    configurations = format_count(found["configurations"], "configuration")
    seeds = format_count(found["seeds"], "fresh seed" if found["confirmed"] else "seed")
    head = [
        f"{found['configuration']}, the best of {configurations} of the run {found['run']}",
        "; ".join([found["name"], *(f"{part}: {whole}" for part, whole in found["numbered"].items())]),
        f"score: {found['score']:.6g} over {len(found['scores'])} of {seeds}",
        "seed: the first of the sweep, which took part in the choice",
        f"rule: {found['rule']}",
        *(f"{key}: {found[key]}" for key in ("why", "warning", "note") if found[key]),
    ]
    if found["ineligible"]:
        ineligible = format_count(found["ineligible"], "configuration")
        head.append(f"note: {ineligible} could not win (`sweeps top` shows why)")
    if found["synthetic"]:
        head.insert(0, SYNTHETIC)
    comment = "".join(f"# {one_line(line)}\n" for line in head)
    return comment + yaml.safe_dump(found["trial"], sort_keys=False, allow_unicode=True)


def hand_out(found: Mapping[str, Any], output: Path | None, *, as_json: bool) -> str:
    """Write the result of `best` to `output`, if given; return what to print. UsageError if it cannot be written."""
    text = json.dumps(found, indent=2) if as_json else best_yaml(found)
    if output is None:
        return text.removesuffix("\n")
    try:
        given_path(output, key="-o").write_text(text, encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}", "choose another file with -o") from None
    return f"written: {output}"


def remarks(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a person should know of a choice, a line each: why it is not the leader, that nothing was learned."""
    return tuple(line for line in (found["why"], found["warning"]) if line)


def _as_judged(winner: Ranked, verdict: Verdict, ledger: Ledger, metric: Metric) -> Ranked:
    """Return a choice with the seeds that the verdict judged it by, where these are not those that rank it.

    A default beside the set may be chosen by its fresh seeds and ranked by those of the sweep. Where the set was
    confirmed in vain, it is the other way round.
    """
    if verdict.choice is None or verdict.fresh == winner.confirmed:
        return winner
    if verdict.fresh:
        note = f"in the sweep {winner.note}" if winner.note else ""
        return replace(by_fresh_seeds(winner), note=note)
    own = [trial for trial in winner.every if not key_of(ledger.trials[trial])]
    note = f"fresh seeds: {winner.note}" if winner.note else ""
    return replace(by_seeds(winner, ledger, own, metric), confirmed=False, note=note)


def _why(verdict: Verdict, winner: Ranked, ranked: Sequence[Ranked], labels: Mapping[str, str]) -> str:
    """Return why the choice is not the one with the best score, or not the first by the ranking; empty if it is."""
    first = next(item for item in ranked if item.eligible)
    chosen = f"{labels[winner.configuration]} is chosen"
    if verdict.choice_reason:
        margin = format_difference(verdict.margin, verdict.metric.name)
        less = "takes less time" if verdict.choice_reason == "cheaper" else "has fewer settings"
        leader = labels[verdict.leader or first.configuration]
        return f"{chosen}, not {leader}, which leads: they differ by less than {margin}, and it {less}"
    if verdict.choice is None:
        return ""
    causes = _causes(verdict)
    ahead = _ahead(verdict, winner, [item for item in ranked if item.configuration in causes])
    if ahead:
        return f"{chosen}, not {labels[ahead]}, whose score is better: {causes[ahead]}"
    if winner is first:
        return ""
    if first.configuration in verdict.at_chance:
        return f"{chosen}, as {labels[first.configuration]}, the first by score, did not learn more than chance"
    if verdict.fresh:
        return f"{chosen} on fresh seeds, which {labels[first.configuration]}, the first by the ranking, does not have"
    return f"{chosen} by the seeds of the sweep: the confirmation left no configuration of its set to choose"


def _causes(verdict: Verdict) -> dict[str, str]:
    """Return of each configuration that cannot be chosen, whatever it scores, why."""
    seed = "a fresh seed of it" if verdict.fresh else "a seed of it"
    found = {item.configuration: f"{seed} {MISSING[item.missing]}" for item in verdict.unfinished}
    return found | dict.fromkeys(verdict.diverged, f"{seed} diverged")


def _ahead(verdict: Verdict, winner: Ranked, others: Sequence[Ranked]) -> str | None:
    """Return which of others has the best mean over the seeds that ended well, if it is better than the choice's."""
    sign = 1.0 if verdict.metric.goal == "maximize" else -1.0

    def value(item: Ranked) -> float:
        scores = item.fresh if verdict.fresh else item.scores
        return sign * sum(scores) / len(scores) if scores else -math.inf

    best = max(others, key=value, default=None)
    return best.configuration if best is not None and value(best) > value(winner) else None
