"""A verdict in words: who leads, from whom it cannot be told, what it costs to be wrong, what would settle it.

    for sentence in sentences(verdict, names, run="optimizer-lr"):
        print(sentence)
    assumptions(verdict)        # one line: what was pooled, n, k, the test

Every number in a sentence is a number of the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ch6dist.catalog.wording import (
    format_count,
    format_count_range,
    format_difference,
    format_metric,
    format_probability,
    format_seconds,
    is_fraction,
    metric_label,
)
from ch6dist.shell import command
from ch6dist.verdict.contenders import BY_RULE, Missing
from ch6dist.verdict.verdict import Member, Unfinished, Verdict

NAMED = 3  # so many configurations are named in a sentence, the others counted
SELECTED = "Selected by validation; the test set is for the final training, once."


def sentences(verdict: Verdict, names: Mapping[str, str], *, run: str | None) -> list[str]:
    """Return what a verdict says, most important first; the last one is the next step.

    Where something leads, the first two are about it.

    Args:
        names: what each configuration is called.
        run: the run folder or its name, for commands; None: several runs, to which no command applies.
    """
    if verdict.state in _WITHOUT:
        return [*_WITHOUT[verdict.state], *_open(verdict, names)]
    found = [_leads(verdict, names), _apart(verdict, names), *_out(verdict, names), *_open(verdict, names)]
    return [*found, *_choice(verdict, names), *next_step(verdict, run=run)]


_WITHOUT = {
    "empty": ["There is no training run to rank."],
    "nothing": ["No configuration has finished with all its seeds yet, so none can be called the best."],
    "diverged": ["Every configuration has a diverged seed. Try learning rates ten to a thousand times smaller."],
    "chance": [
        "Every finished configuration is at chance: nothing was learned. Check data, learning rates and epochs."
    ],
}


def next_step(verdict: Verdict, *, run: str | None) -> list[str]:
    """Return the sentence that says what to run next, none where nothing leads or no one run can be named."""
    if run is None or verdict.leader is None:
        return []
    missing = {item.missing for item in verdict.unfinished}
    if verdict.confirming:
        return [f"A confirmation has not ended: `{command('sweeps', 'resume', run)}` continues it."]
    if "failed" in missing:
        return [f"Train what failed first: `{command('sweeps', 'rerun', run, '--failed')}`."]
    if "not finished" in missing and verdict.over_budget:
        status = command("sweeps", "status", run)
        return [f"The budget is spent before they have finished: `{status}` says how much more would finish them."]
    if "not finished" in missing:
        return [f"Finish them first: `{command('sweeps', 'resume', run)}`."]
    if verdict.state == "repeat":
        return [f"Repeat the best with fresh seeds: `{command('sweeps', 'confirm', run)}`."]
    final = f"`{command('sweeps', 'final', run)}` trains it in full and tests it once"
    members = verdict.members
    if len(members) == 1:
        return [f"{final}."]
    there = min(member.n for member in members) if verdict.fresh else 0
    settled = _to_settle(verdict, there)
    if settled is None:
        return [f"What is left between them is too small for more seeds to tell: choose by cost, then {final}."]
    return [_settle(verdict, members, settled, there, run)]


def assumptions(verdict: Verdict) -> str:
    """Return the line under a verdict: what was compared, by which standard deviation and test, on which data."""
    if verdict.sd is None:
        return SELECTED
    sd = format_difference(verdict.sd, verdict.metric.name)
    if len(verdict.compared) == 1:
        return f"Standard deviation over {format_count(verdict.compared[0].n, 'seed')}: {sd}. {SELECTED}"
    configurations = format_count(verdict.pooled, "configuration")
    pooled = f"standard deviation {sd}, pooled over {configurations} ({verdict.df:.0f} degrees of freedom)"
    if verdict.why_not_pooled:
        pooled = f"each configuration's own standard deviation, since {verdict.why_not_pooled}"
    elif verdict.own:
        pooled += f"; {verdict.own} whose own is larger keep it"
    seeds = format_count_range(member.n for member in verdict.compared) + (" fresh" if verdict.fresh else "")
    compared = format_count(len(verdict.compared), "configuration")
    return f"{compared} compared with the best (Hsu, 95 %), seeds of each: {seeds}; {pooled}. {SELECTED}"


def _leads(verdict: Verdict, names: Mapping[str, str]) -> str:
    leader = verdict.compared[0]
    score = format_metric(leader.mean, verdict.metric.name)
    seeds = format_count(leader.n, "fresh seed" if verdict.fresh else "seed")
    expected = ""
    if verdict.expected is not None and len(verdict.members) > 1:
        expected = f", about {format_metric(verdict.expected, verdict.metric.name)} on fresh seeds"
    label = metric_label(verdict.metric.name)
    return f"{names[leader.configuration]} leads with {score} {label} over {seeds}{expected}."


def _apart(verdict: Verdict, names: Mapping[str, str]) -> str:
    leader, others = verdict.compared[0], len(verdict.compared) - 1
    if not others and verdict.fresh and verdict.before:
        one = verdict.before == 1
        whom = "The other one" if one else f"The {verdict.before} others"
        return f"{whom} {'was' if one else 'were'} told from it before, by the seeds of the sweep."
    if not others:
        chance = f" ({len(verdict.at_chance)} at chance)" if verdict.at_chance else ""
        return f"No other configuration is complete and has learned{chance}, so there is none to compare it with."
    if verdict.state == "repeat":
        return "One seed each cannot show whether that is more than chance."
    near = [member for member in verdict.members if member.configuration != leader.configuration]
    p = _probability(leader.p_best)
    if not near:
        whom = "the other configuration" if others == 1 else f"all {others} others"
        return f"It is ahead of {whom} by more than noise (95 %), and the best with probability {p}."
    whom = "the other" if others == 1 else f"{len(near)} of the {others} others"
    whom += " with fresh seeds" if verdict.fresh and verdict.before else ""
    loss = format_difference(leader.loss, verdict.metric.name)
    costs = "next to nothing" if not loss.strip("0. points") else loss
    return (
        f"It cannot be told from {whom} ({_named(near, names)}): {_noise(verdict, near)} (95 %). "
        f"It is the best with probability {p}, and taking it gives away {costs} on average."
    )


def _noise(verdict: Verdict, near: Sequence[Member]) -> str:
    """Return which differences are noise: one number, or two where seeds scatter or number differently."""
    least, most = min(member.allowed for member in near), max(member.allowed for member in near)
    low, high = (format_difference(number, verdict.metric.name) for number in (least, most))
    if most <= 1.02 * least:
        return f"differences under {low} are noise"
    why = ["scatter more"] if any(member.own for member in verdict.members) or verdict.why_not_pooled else []
    why += ["are fewer"] if len({member.n for member in verdict.members}) > 1 else []
    return f"differences under {low} are noise, under {high} where seeds {' or '.join(why or ['scatter more'])}"


def _out(verdict: Verdict, names: Mapping[str, str]) -> list[str]:
    if not verdict.diverged:
        return []
    return [f"Out, since a seed diverged: {_list(verdict.diverged, names)}."]


def _open(verdict: Verdict, names: Mapping[str, str]) -> list[str]:
    """Return a sentence for each way in which configurations are not complete."""
    said: list[str] = []
    for missing, (verb, verbs, end) in _MISSING.items():
        found = [item for item in verdict.unfinished if item.missing == missing]
        if found:
            shown = {item.configuration: names[item.configuration] + _so_far(item, verdict) for item in found}
            count, one = format_count(len(found), "configuration"), len(found) == 1
            why = end.format(rule=verdict.rule or "the sweep's rule", them="it" if one else "them")
            listed = "" if missing == BY_RULE and not one else f": {_list(list(shown), shown)}"
            said.append(f"{count} {verb if one else verbs}{why}{listed}.")
    return said


_MISSING: dict[Missing, tuple[str, str, str]] = {
    "not finished": ("has", "have", " not finished and may yet win"),
    "failed": ("has", "have", " a failed seed and may yet win"),
    "stopped early": ("was", "were", " stopped early, so cannot be compared"),
    BY_RULE: ("was", "were", " stopped early by {rule}; not compared, since an early rung saw {them} behind"),
    "without a score": ("has", "have", " a seed without a finite score, so cannot win"),
}


def _so_far(item: Unfinished, verdict: Verdict) -> str:
    return "" if item.so_far is None else f" ({format_metric(item.so_far, verdict.metric.name)} so far)"


def _choice(verdict: Verdict, names: Mapping[str, str]) -> list[str]:
    if verdict.choice is None or verdict.choice == verdict.leader:
        return []
    margin = format_difference(verdict.margin, verdict.metric.name)
    chosen = next(member for member in verdict.compared if member.configuration == verdict.choice)
    leader = verdict.compared[0]
    why: str = verdict.choice_reason
    if why == "cheaper":
        why += f" ({format_seconds(chosen.seconds)} instead of {format_seconds(leader.seconds)} for each seed)"
    return [f"{names[verdict.choice]} is equivalent within {margin} and {why}: take it."]


def _to_settle(verdict: Verdict, there: int) -> tuple[float, int] | None:
    """Return the largest difference that the seeds do not tell apart but more would, and how many; None: no such."""
    possible = [
        (difference, seeds)
        for difference, seeds in verdict.seeds_needed.items()
        if seeds is not None and seeds > there and (verdict.resolution is None or difference < verdict.resolution)
    ]
    return max(possible, default=None)


def _settle(verdict: Verdict, members: Sequence[Member], settled: tuple[float, int], there: int, run: str) -> str:
    difference, seeds = settled
    more = seeds - there
    cost = sum(more * member.seconds for member in members if member.seconds is not None)
    time = f" (about {format_seconds(cost, digits=2)} of training)" if cost else ""
    what = f"{more} {'more ' if there else ''}fresh seed{'' if more == 1 else 's'} each for the {len(members)}"
    said = _round_difference(difference, verdict.metric.name)
    said += " apart, though not of those that scatter more" if any(member.own for member in members) else " apart"
    how = command("sweeps", "confirm", run, "--seeds", str(more))
    return f"{what} would tell differences of {said}: `{how}`{time}."


def _round_difference(difference: float, metric: str) -> str:
    if not is_fraction(metric):
        return f"{difference:.2g}"
    return f"{100 * difference:g} point" + ("" if difference <= 0.01 else "s")


def _probability(p: float | None) -> str:
    return format_probability(p).replace("> ", "over ").replace("< ", "under ")


def _named(members: Iterable[Member], names: Mapping[str, str]) -> str:
    return _list([member.configuration for member in members], names)


def _list(configurations: Sequence[str], names: Mapping[str, str]) -> str:
    shown = ", ".join(names[configuration] for configuration in configurations[:NAMED])
    return shown + (f" and {len(configurations) - NAMED} more" if len(configurations) > NAMED else "")
