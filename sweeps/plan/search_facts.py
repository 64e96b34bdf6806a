"""What a plan says of a sweep that searches: what is left out, in which parts it comes, what it is expected to train.

facts = search_facts(outlook)           # [("epochs", "1,800 asked for, about 470 with halving (26 %)"), …]
search_json(outlook), search_notes(outlook)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ch6dist.catalog.wording import format_count
from sweeps.plan.course import Course
from sweeps.plan.estimate import Estimate
from sweeps.plan.expected import Expected, Stair
from sweeps.plan.further_seeds import Contest
from sweeps.spec.early_stop import TopK
from sweeps.spec.expand import left_out
from sweeps.spec.sweep_file import SweepSpec
from sweeps.units import format_seconds

SHOWN_GROUPS = 3  # kinds of groups that a rule compares


@dataclass(frozen=True)
class Outlook:
    """What a plan knows of a sweep's search."""

    spec: SweepSpec
    course: Course
    estimate: Estimate
    configurations: int
    trials: int  # range tests included

    @property
    def race(self) -> tuple[int, int] | None:
        """Return the most trials that further seeds may add, and their epochs; None where no seeds follow."""
        seeds = self.spec.seeds
        if seeds.up_to is None:
            return None
        racing = round(self.course.expected.finished)
        more = racing * (seeds.up_to - len(seeds.values)) if racing > 1 else 0  # one alone is the best
        return more, round(more * self.course.length)

    @property
    def money(self) -> float | None:
        """Return what the device hours cost; None without a price."""
        price = self.spec.price
        return None if price is None else price.per_device_hour * self.estimate.device_hours

    @property
    def budget_share(self) -> float:
        """Return the part of the sweep that its budget allows, at most 1; expected further seeds are part of it."""
        budget, cost = self.spec.budget, self.estimate
        if budget is None:
            return 1.0
        bounds = [
            (budget.device_hours, cost.device_hours),
            (budget.trials, self.trials + self.course.further.trials),
            (budget.wall_seconds, cost.seconds),
        ]
        return min([1.0, *(bound / needed for bound, needed in bounds if bound is not None and needed)])


def search_facts(outlook: Outlook) -> list[tuple[str, str]]:
    """Return labels and texts, a line each."""
    spec, course = outlook.spec, outlook.course
    missing = left_out(spec)
    return [
        *([("left out", _left_out(missing, outlook.configurations))] if missing else []),
        *([("batches", _batches(outlook))] if spec.batch else []),
        *([("further seeds", _race(outlook))] if outlook.race else []),
        *([("early stop", _stairs(spec.early_stop.name, course.expected))] if spec.early_stop else []),
        ("epochs", _epochs(outlook)),
        ("device hours", _device_hours(outlook)),
        *([("budget", "; ".join(_budget(outlook)))] if spec.budget else []),
    ]


def search_json(outlook: Outlook) -> dict[str, Any]:
    """Return all of it as numbers."""
    spec, course, cost = outlook.spec, outlook.course, outlook.estimate
    race, found = outlook.race, course.expected
    return {
        "method": spec.method,
        "left_out": left_out(spec),
        "batches": course.batches if spec.batch else None,
        "further_trials": [0, race[0]] if race else None,
        "further_epochs": [0, race[1]] if race else None,
        "further_trials_expected": course.further.trials if race else None,
        "further_epochs_expected": course.further_epochs if race else None,
        "early_stop": None if spec.early_stop is None else spec.early_stop.model_dump(),
        "groups": [asdict(stair) for stair in found.stairs] if spec.early_stop else [],
        "epochs_asked": found.asked,
        "epochs_reached": found.reached,
        "epochs_expected": found.epochs,
        "configurations_finished": found.finished,
        "basis": found.basis,
        "branches": {trial: asdict(branch) for trial, branch in course.branches.items()},
        "device_hours": cost.device_hours,
        "money": outlook.money,
        "currency": spec.price.currency if spec.price else None,
        "budget": None if spec.budget is None else spec.budget.model_dump(),
        "budget_share": outlook.budget_share,
    }


def search_notes(outlook: Outlook) -> list[str]:
    """Return what is assumed, and what of the search cannot act."""
    spec, found = outlook.spec, outlook.course.expected
    rule, notes = spec.early_stop, [found.basis] if found.basis else []
    if outlook.race and outlook.race[0]:
        notes.append(_race_note(found.contest))
    if isinstance(rule, TopK) and rule.keep >= outlook.configurations:
        notes.append(f"early_stop.keep is {rule.keep}, and the sweep has {outlook.configurations}: it stops nothing")
    alone = sum(stair.groups for stair in found.stairs if stair.steps[0][1] == 1 < len(stair.steps))
    if alone and rule:
        groups = format_count(alone, "configuration")
        notes.append(f"{groups} with a schedule or length of its own: early stopping has nothing to compare it with")
    if rule and outlook.course.branches:
        notes.append("what shares epochs with another trial is taken to be as good as that one at every rung")
    return notes


def _left_out(missing: int, configurations: int) -> str:
    return f"{missing:,} of {missing + configurations:,} combinations: they differ only in axes that do not apply"


def _batches(outlook: Outlook) -> str:
    spec = outlook.spec
    each = format_count(min(spec.batch or 1, outlook.configurations), "configuration")
    return f"{outlook.course.batches} of {each}, each by the results of those before it (sampler {spec.sampler})"


def _race(outlook: Outlook) -> str:
    """Return how many seeds may follow, and how many trials that means."""
    seeds, most, course = outlook.spec.seeds, outlook.race or (0, 0), outlook.course
    if not most[0]:
        return f"after {len(seeds.values)} up to {seeds.up_to} where they decide: none, as fewer than two are left"
    about = f"about {rounded(course.further.trials)} trials more, of {rounded(course.further_epochs)} epochs"
    return f"after {len(seeds.values)} up to {seeds.up_to} where they decide: {about} (0 to {most[0]:,} trials)"


def _race_note(contest: Contest) -> str:
    """Return on what the number of further seeds is based."""
    if contest.assumed:
        return (
            "further seeds are counted for configurations that lie as far apart as LeNet-5's on CIFAR-100: the closer "
            "they lie, the more follow"
        )
    return "further seeds are counted for configurations that lie as far apart as their recorded curves"


def _stairs(rule: str, found: Expected) -> str:
    """Return the rule and how many configurations come to each rung, group by group; equal groups once."""
    groups = sum(stair.groups for stair in found.stairs)
    texts = [_stair(stair, several=groups > 1) for stair in found.stairs[:SHOWN_GROUPS]]
    hidden = sum(stair.groups for stair in found.stairs[SHOWN_GROUPS:])
    if hidden:
        texts.append(f"{format_count(hidden, 'more group')}")
    apart = f", {groups} groups of one schedule and one length" if groups > 1 else ""
    return f"{rule}{apart}: {'; '.join(texts)}"


def _stair(stair: Stair, *, several: bool) -> str:
    of = f"in {stair.groups} of them " if several else ""
    (first, count), *rest = stair.steps
    if not rest or count == 1:
        return f"{of}{format_count(round(count), 'configuration')} for all {stair.steps[-1][0]} epochs"
    going = ", ".join(
        f"{_about(count)} {'go on to' if number == 0 else 'to'} {epoch}" for number, (epoch, count) in enumerate(rest)
    )
    return f"{of}{format_count(round(count), 'configuration')} for {format_count(first, 'epoch')}, {going}"


def _about(count: float) -> str:
    return f"{count:.0f}" if abs(count - round(count)) < 1e-6 else f"about {count:.0f}"


def _epochs(outlook: Outlook) -> str:
    """Return the epochs that the sweep asks for, and those that it is expected to train, with what saves the others."""
    found, rule = outlook.course.expected, outlook.spec.early_stop
    if not rule and not outlook.course.branches:
        return f"{found.asked:,} over all trials"
    saved = [str(rule.name)] if rule else []
    saved += ["shared epochs trained once"] if outlook.course.branches else []
    about = f"about {rounded(found.epochs)}" if rule else f"{found.epochs:,.0f}"
    return f"{found.asked:,} asked for, {about} with {' and '.join(saved)} ({found.epochs / found.asked:.0%})".replace(
        "%", " %"
    )


def _device_hours(outlook: Outlook) -> str:
    hours, price, share = outlook.estimate.device_hours, outlook.spec.price, outlook.budget_share
    if price is None:
        return f"about {format_hours(hours)}"
    text = f"about {format_hours(hours)}, {price.text(hours)} at {price.per_device_hour:g} each"
    return text if share == 1 else f"{text}; within the budget {price.text(share * hours)}"


def _budget(outlook: Outlook) -> Iterator[str]:
    """Yield a text for each bound: what of the sweep it allows."""
    budget, cost = outlook.spec.budget, outlook.estimate
    assert budget is not None
    if budget.device_hours is not None:
        ends = budget.device_hours < cost.device_hours
        needed = f"about {format_hours(cost.device_hours)} device hours"
        yield f"ends it after {budget.device_hours:g} of {needed}" if ends else f"enough for {needed}"
    if budget.trials is not None:
        trials = outlook.trials + round(outlook.course.further.trials)
        yield f"{min(budget.trials, trials):,} of {format_count(trials, 'trial')} begin"
    if budget.wall_seconds is not None:
        needed = f"about {format_seconds(cost.seconds)}"
        ends = budget.wall_seconds < cost.seconds
        yield f"ends it after {budget.wall_time} of {needed}" if ends else f"{budget.wall_time}: enough for {needed}"


def rounded(number: float) -> str:
    """Return a number with two digits that count, and all before the point of what is below 100."""
    return f"{float(f'{number:.2g}'):,.0f}" if number >= 100 else f"{number:.0f}"


def format_hours(hours: float) -> str:
    """Return hours as text: `3.2`, `0.04`."""
    return f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"
