"""Confirm a choice: train what may be the best on seeds that took no part in it, in the same run folder.

    plan = plan_confirmation(run, read(run), seeds=5)       # UsageError: there is nothing to confirm
    status = confirm(run, Launch(), seeds=5)

The means of the set of the best are too high, because it was chosen by them. Those of fresh seeds are not, and rank it
once all of them have ended (ch6dist/runs/confirmations.py). With it goes what is equivalent to its leader: the choice
may be there. Beside it, each optimizer's default configuration is trained, where it was swept: what tuning gains is the
difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from ch6dist.catalog.lookup import REGISTRIES
from ch6dist.catalog.text import list_text
from ch6dist.catalog.wording import format_count, is_fraction
from ch6dist.config import parse_trial
from ch6dist.errors import InputError, UsageError
from ch6dist.runs.lease import current
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.ranking import Ranked, rank
from ch6dist.runs.schema import ENDED, ConfirmationPlan, Metric, Status
from ch6dist.shell import command
from ch6dist.verdict.candidates import verdict_on
from ch6dist.verdict.verdict import Verdict
from sweeps.driver.jobs import PackJob
from sweeps.launch.execute import Launch
from sweeps.launch.left_out import left_out, remedy
from sweeps.launch.run import add_trials, newest
from sweeps.plan.balance import makespan
from sweeps.plan.costs import PACK_SECONDS
from sweeps.plan.estimate import START_SECONDS
from sweeps.plan.slots import Slots
from sweeps.search.fresh_trials import fresh_lines
from sweeps.spec.sections import MAX_TRIALS
from sweeps.status.queries import labels_of
from sweeps.status.waiting import waiting_in
from sweeps.units import format_seconds

TOLD_APART = 0.01  # of an accuracy: the difference for which the default number of seeds is enough
FEWEST, MOST, OTHERWISE = 3, 10, 5  # bounds of that number; and where no number is known
WITHOUT_A_SET = 5  # configurations that are confirmed where one seed each tells nothing apart
SHOWN = 20  # configurations that are named
STATES = {
    "empty": "there is no configuration",
    "nothing": "no configuration has all of its seeds trained",
    "diverged": "every configuration diverged",
    "chance": "no configuration learned more than chance",
}


@dataclass(frozen=True)
class Confirmation:
    """What a confirmation trains, and why this."""

    plan: ConfirmationPlan
    why: str  # these configurations
    why_seeds: str  # so many; empty where a person said so
    left_out: tuple[str, ...] = ()  # which configurations are not complete, and may yet win: a line for each reason


def confirm(run: Path, how: Launch, *, seeds: int | None = None) -> int:
    """Train the set of the best on fresh seeds; return the exit status.

    Args:
        seeds: of each configuration; left out: as many as would tell a point of accuracy apart, 3 to 10.

    Raises UsageError where there is nothing to confirm, or not yet.
    """
    ledger = newest(run)
    found = plan_confirmation(run, ledger, seeds=seeds)
    lines = fresh_lines(ledger.trials, found.plan)

    def announce(packs: Sequence[PackJob], slots: Slots) -> list[str]:
        named = {line["trial"]: line["configuration"] for line in lines}
        return [
            *describe(found, ledger),
            describe_time(ledger, [[named[t] for t in pack.trials] for pack in packs], slots),
        ]

    return add_trials(run, ledger, how, lines, confirmation=found.plan, announce=announce)


def plan_confirmation(run: Path, ledger: Ledger, *, seeds: int | None = None) -> Confirmation:
    """Return which configurations a confirmation trains, and on which seeds. Raises as `confirm` does."""
    _refuse_unready(run, ledger)
    metric = Metric.of(ledger.spec)
    ranked = rank(ledger, metric)
    verdict = verdict_on(ledger, ranked, metric)
    members = _members(run, ledger, ranked, verdict)
    defaults = [name for name in default_configurations(ledger, ranked) if name not in members]
    number, why_seeds = (seeds, "") if seeds is not None else _number_of_seeds(verdict)
    if number * (len(members) + len(defaults)) > MAX_TRIALS:
        raise InputError("--seeds", number, f"at most {MAX_TRIALS // (len(members) + len(defaults))}")
    first = 1 + max([line["seed"] for line in ledger.trials.values()] + list(ledger.spec.get("chosen_by_seeds", ())))
    before = [head["confirmation"]["number"] for head in ledger.sweeps if "confirmation" in head]
    plan: ConfirmationPlan = {
        "number": 1 + max(before, default=0),
        "set": members,
        "default": defaults,
        "seeds": list(range(first, first + number)),
    }
    return Confirmation(plan, _why(verdict, members), why_seeds, tuple(left_out(run, ledger, verdict)))


def default_configurations(ledger: Ledger, ranked: Sequence[Ranked]) -> list[str]:
    """Return of each optimizer the first configuration with all of its parameters, lr too, as the catalog has them.

    Those that have fresh seeds already are left out.
    """
    known = {item.configuration for item in ranked if item.fresh_trials}
    found: dict[str, str] = {}
    for line in ledger.trials.values():
        given = line["config"]["optimizer"]
        name, entry = given["name"], REGISTRIES["optimizer"].get(given["name"])
        if line["config"]["type"] != "train" or name in found or entry is None:
            continue
        default = {"name": name, **entry.resolve({})}
        if given["lr"] == default["lr"] and parse_trial(line["config"]).optimizer == default:
            found[name] = line["configuration"]
    return [configuration for configuration in found.values() if configuration not in known]


def describe(found: Confirmation, ledger: Ledger) -> list[str]:
    """Return what will be trained, in lines for a person."""
    plan, labels = found.plan, labels_of(ledger)[0]
    configurations, seeds = len(plan["set"]) + len(plan["default"]), len(plan["seeds"])
    each = f"{format_count(configurations, 'configuration')} × {format_count(seeds, 'fresh seed')}"
    because = f" ({found.why_seeds})" if found.why_seeds else ""
    lines = [f"confirmation: {each} = {format_count(configurations * seeds, 'trial')}", found.why]
    lines += _named(plan["set"], labels)
    if plan["default"]:
        lines += ["beside them, the defaults of their optimizers:", *_named(plan["default"], labels)]
    lines += [f"note: {line}" for line in found.left_out]
    return [*lines, f"fresh {list_text('seed', plan['seeds'])}{because}"]


def describe_time(ledger: Ledger, packs: Sequence[Sequence[str]], slots: Slots) -> str:
    """Return how long packs take, at the pace at which the run trained their configurations.

    Args:
        packs: the configuration of each trial, by pack.
    """
    spent: dict[str, list[float]] = {}
    for trial, line in ledger.trials.items():
        seconds = ledger.seconds.get(trial)  # none, where its rows are lost
        if ledger.status(trial) == Status.FINISHED and seconds is not None:
            spent.setdefault(line["configuration"], []).append(seconds)
    pace = {name: mean(values) for name, values in spent.items()}
    usual = mean(pace.values()) if pace else 0.0  # of a default that has never finished
    ends = [PACK_SECONDS + sum(pace.get(name, usual) for name in pack) for pack in packs]
    seconds = START_SECONDS + makespan(sorted(ends, reverse=True), slots.count)
    return f"time: about {format_seconds(seconds)}, at the pace at which this run trained them"


def _named(configurations: Sequence[str], labels: dict[str, str]) -> list[str]:
    more = len(configurations) - SHOWN
    return [f"  {labels[name]}" for name in configurations[:SHOWN]] + ([f"  … and {more} more"] if more > 0 else [])


def _refuse_unready(run: Path, ledger: Ledger) -> None:
    train = [line for line in ledger.trials.values() if line["config"]["type"] == "train"]
    if not train:
        raise UsageError(f"{run} holds no training runs", "a confirmation needs a sweep of them")
    if "chosen_from" in ledger.spec:
        raise UsageError(
            f"{run} is a final training: its seeds are fresh already", "confirm the sweep that it was chosen from"
        )
    driver = current(run)
    if driver:
        stop = f"wait for its end, or stop it: {command('sweeps', 'stop', run)}"
        raise UsageError(f"process {driver.pid} on {driver.host} is training {run}", stop)
    missing = max((head.get("trials", 0) for head in ledger.sweeps), default=0) - len(ledger.trials)
    waiting = sum(ledger.status(trial) not in ENDED for trial in ledger.trials) + max(0, missing)
    if waiting and not waiting_in(ledger):  # what waits on a larger budget is left out: a confirmation does not
        what = format_count(waiting, "trial") + (" has" if waiting == 1 else " have")
        raise UsageError(f"{what} not ended in {run}", f"{command('sweeps', 'resume', run)} trains what is left")


def _members(run: Path, ledger: Ledger, ranked: Sequence[Ranked], verdict: Verdict) -> list[str]:
    """Return the configurations to confirm, the most probable first; then what is equivalent to the leader.

    The choice may be among these although it is not in the set: where it surely is behind, by less than the margin.
    """
    final = f"{command('sweeps', 'final', run)} trains it in full"
    if verdict.state in STATES:
        again = remedy(run, ledger, verdict)
        shown = f"{again} trains what is missing" if again else f"{command('sweeps', 'top', run)} shows them"
        raise UsageError(f"nothing to confirm: {STATES[verdict.state]} in {run}", shown)
    if len(ranked) == 1:
        raise UsageError(f"nothing to confirm: {run} has one configuration, so its scores chose none", final)
    if verdict.state == "repeat":
        return [member.configuration for member in verdict.compared[:WITHOUT_A_SET]]
    members = [member.configuration for member in verdict.members]
    if len(members) == 1 and verdict.fresh:
        name = labels_of(ledger)[0][members[0]]
        seeds = format_count(verdict.compared[0].n, "fresh seed")
        raise UsageError(f"nothing to confirm: {name} is the only one left of the set of the best, on {seeds}", final)
    chosen = [verdict.choice] if verdict.choice else []
    return list(dict.fromkeys([*members, *chosen, *verdict.equivalent]))


def _number_of_seeds(verdict: Verdict) -> tuple[int, str]:
    """Return how many fresh seeds each configuration gets, and why so many."""
    if not is_fraction(verdict.metric.name) or TOLD_APART not in verdict.seeds_needed:
        return OTHERWISE, ""
    needed, point = verdict.seeds_needed[TOLD_APART], f"{100 * TOLD_APART:g} point"
    if needed is None:
        return MOST, f"no number of them tells {point} apart"
    more = needed - min(member.n for member in verdict.members) if verdict.fresh else needed
    number = min(max(more, FEWEST), MOST)
    return number, f"enough to tell {point} apart" if more <= MOST else f"{more} would tell {point} apart"


def _why(verdict: Verdict, members: Sequence[str]) -> str:
    if verdict.state == "repeat":
        best = "the configuration" if len(members) == 1 else f"the {len(members)}"
        return f"one seed each tells nothing apart, so there is no set of the best: {best} with the best scores"
    beside = (
        ", and what differs from the leader by less than the margin:" if len(members) > len(verdict.members) else ""
    )
    if verdict.fresh:
        return "the set of the best that is left on fresh seeds" + (beside or ":")
    if beside or len(members) > 1:
        return "the set of the best (95 %)" + (beside or ":")
    return "the set of the best (95 %) is one configuration:"
