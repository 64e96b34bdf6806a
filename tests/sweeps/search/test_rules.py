"""Early stopping: each rule against an independent reference, and what all of them promise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from ch6dist.runs.schema import Metric
from sweeps.search.rules.contestant import Contestant, Decision
from sweeps.search.rules.decide import compare, decide
from sweeps.spec.early_stop import RULES, EarlyStop, parse_early_stop

EPOCHS = 9
ACCURACY, LOSS = Metric("val_accuracy"), Metric("val_loss")
SIGN = {"maximize": 1.0, "minimize": -1.0}
STREAMS = range(200)
SEEDS = range(40)
Row = tuple[str, int, float]  # of whom, epoch, value: larger is better, NaN is none

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "top_k": [{"after": 3, "keep": 4}, {"after": 1, "keep": 1}],
    "halving": [{"first": 1, "factor": 3}, {"first": 2, "factor": 2}, {"first": 3, "factor": 3}],
    "asha": [
        {"first": first, "factor": factor, "promote": promote}
        for first, factor in ((1, 3), (2, 2), (3, 3))
        for promote in (True, False)
    ],
    "median": [{"after": 1}, {"after": 4}, {"after": 1, "percentile": 25}, {"after": 2, "percentile": 80}],
}
ALL = [parse_early_stop({"name": name, **keys}) for name, settings in SETTINGS.items() for keys in settings]
WAITING = [rule for rule in ALL if rule.name in ("top_k", "halving")]
PROMOTING = [rule for rule in ALL if rule.name == "asha" and rule.promote]
AT_ONCE = [rule for rule in ALL if rule.name == "asha" and not rule.promote]


def name_of(rule: EarlyStop) -> str:
    return " ".join(map(str, rule.model_dump().values()))


def contestants(names: Sequence[str], rows: Sequence[Row], ended: Mapping[str, int] | None = None) -> list[Contestant]:
    """Return the group as a ledger of `rows` shows it; `ended` has who ended."""
    values: dict[str, dict[int, float]] = {name: {} for name in names}
    arrived: dict[str, dict[int, int]] = {name: {} for name in names}
    for position, (name, epoch, value) in enumerate(rows):
        arrived[name][epoch] = position
        if math.isfinite(value):
            values[name][epoch] = value
    return [Contestant(name, values[name], arrived[name], name in (ended or ())) for name in names]


def curves(rng: Random, count: int, *, ties: bool) -> dict[str, list[float]]:
    draw = (lambda: rng.randrange(4) / 4) if ties else rng.random
    return {f"c{i}": [draw() for _ in range(EPOCHS)] for i in range(count)}


def sweep(
    rule: EarlyStop,
    curves: Mapping[str, Sequence[float]],
    rng: Random,
    *,
    ending: Mapping[str, int] | None = None,
    check: bool = True,
) -> tuple[list[Row], dict[str, Decision]]:
    """Train stubs, in a random order, as far as the rule allows; return the rows and the last decisions.

    Args:
        ending: who ends, and after how many epochs: before the row of the next.
        check: whether after each row no `until` is taken back.
    """
    names, rows, ending = list(curves), [], ending or {}
    done = dict.fromkeys(names, 0)
    before: dict[str, Decision] = {}
    while True:
        ended = {name: epoch for name, epoch in ending.items() if done[name] >= epoch}
        found = decide(rule, contestants(names, rows, ended), epochs=EPOCHS, metric=ACCURACY)
        if check:
            for name in set(before).difference(ended):
                assert found[name].until >= before[name].until, (name, before[name].why, found[name].why)
                assert not (before[name].out and found[name].until > before[name].until and not ending)
        before = found
        able = [name for name in names if done[name] < found[name].until and name not in ended and not found[name].out]
        if not able:
            return rows, found
        name = rng.choice(able)
        done[name] += 1
        rows.append((name, done[name], curves[name][done[name] - 1]))


@pytest.mark.parametrize("rule", AT_ONCE, ids=name_of)
@pytest.mark.parametrize("metric", [ACCURACY, LOSS], ids=lambda metric: metric.goal)
def test_asha_that_does_not_promote_decides_as_ray_tune(rule: Any, metric: Metric) -> None:
    """The same streams of results, with ties and without, in orders in which some run far ahead."""
    sign = SIGN[metric.goal]
    stopped = went_on = 0
    for seed in STREAMS:
        rng = Random(seed)
        table = curves(rng, rng.randint(1, 30), ties=seed % 2 == 0)
        tune = AsyncHyperBandScheduler(
            "epoch", metric.name, metric.goal[:3], max_t=EPOCHS, grace_period=rule.first, reduction_factor=rule.factor
        )
        trials = {name: SimpleNamespace(trial_id=name) for name in table}
        for trial in trials.values():
            tune.on_trial_add(None, trial)
        rows: list[Row] = []
        done, alive, ended = dict.fromkeys(table, 0), list(table), set()
        while alive:
            name = rng.choice(alive[: rng.randint(1, len(alive))])
            done[name] += 1
            value = table[name][done[name] - 1]
            rows.append((name, done[name], value))
            result = {"epoch": done[name], metric.name: sign * value}
            if tune.on_trial_result(None, trials[name], result) == TrialScheduler.STOP:
                alive.remove(name)
                ended |= {name} if done[name] < EPOCHS else set()
            if not alive or seed % 10 == 0:  # what has been decided stays, so that the last answer tells of all
                found = decide(rule, contestants(list(table), rows), epochs=EPOCHS, metric=metric)
                assert {name for name, decision in found.items() if decision.out} == ended, seed
                assert all(found[name].until == done[name] for name in {*table} - {*alive}), seed
                assert all(found[name].until > done[name] for name in alive), seed
        stopped, went_on = stopped + len(ended), went_on + len(table) - len(ended)
    assert stopped > 100, "a test of rules that stop nothing"
    assert went_on > 100


def by_definition(rule: Any, table: Mapping[str, Sequence[float]]) -> dict[str, int]:
    """How far each is trained by top_k or halving: rung after rung, the best by value, of equal ones the first."""
    names, until = list(table), {}
    rung = rule.after if rule.name == "top_k" else rule.first
    while rung < EPOCHS:
        keep = rule.keep if rule.name == "top_k" else max(1, len(names) // rule.factor)
        finite = [name for name in names if math.isfinite(table[name][rung - 1])]
        best = sorted(finite, key=lambda name: (-table[name][rung - 1], list(table).index(name)))[:keep]
        until |= {name: rung for name in names if name not in best}
        names = [name for name in names if name in best]
        rung = EPOCHS if rule.name == "top_k" else rung * rule.factor
    return until | dict.fromkeys(names, EPOCHS)


@pytest.mark.parametrize("rule", WAITING, ids=name_of)
def test_top_k_and_halving_are_their_definition_whatever_the_order(rule: Any) -> None:
    for seed in SEEDS:
        table = curves(Random(seed), 1 + seed % 20, ties=seed % 2 == 0)
        if seed % 5 == 0:
            for name in list(table)[::3]:
                table[name][seed % EPOCHS :] = [math.nan] * (EPOCHS - seed % EPOCHS)
        wanted = by_definition(rule, table)
        for order in (1, 2):
            rows, found = sweep(rule, table, Random(f"{seed} {order}"), check=order == 1)
            assert {name: decision.until for name, decision in found.items()} == wanted
            assert {name: max(e for who, e, _ in rows if who == name) for name in table} == wanted


@pytest.mark.parametrize("rule", WAITING, ids=name_of)
def test_a_rung_that_is_not_complete_lets_nobody_on_and_puts_nobody_out(rule: Any) -> None:
    rung = rule.rungs(EPOCHS)[0]
    rows = [(name, epoch, 0.5) for name in "abc" for epoch in range(1, rung + 1)]
    found = decide(rule, contestants("abcde", rows), epochs=EPOCHS, metric=ACCURACY)
    assert {(decision.until, decision.out) for decision in found.values()} == {(rung, False)}
    assert found["a"].why == f"rung of {rung} epoch{'s' * (rung > 1)}: waits for 2 of 5"
    assert "trains up to it" in found["d"].why


@pytest.mark.parametrize("rule", PROMOTING, ids=name_of)
def test_asha_promotes_what_was_in_the_top_of_what_a_rung_had_seen_and_leaves_nothing_waiting(rule: Any) -> None:
    for seed in SEEDS:
        table = curves(Random(seed), 1 + seed % 25, ties=seed % 2 == 0)
        rows, found = sweep(rule, table, Random(seed))
        order = list(table)
        for rung in rule.rungs(EPOCHS):
            came = [name for name, epoch, _ in rows if epoch == rung]
            promoted = {name for name, epoch, _ in rows if epoch == rung + 1}
            seen_on_top = set()
            for count in range(1, len(came) + 1):
                ranked = sorted(came[:count], key=lambda name: (-table[name][rung - 1], order.index(name)))
                seen_on_top |= set(ranked[: count // rule.factor])
            best = min(came, key=lambda name: (-table[name][rung - 1], order.index(name)), default=None)
            assert promoted == (seen_on_top or {best} - {None})
        assert all(decision.out or decision.until == EPOCHS for decision in found.values()), "someone waits for ever"
        assert any(decision.until == EPOCHS for decision in found.values())


def test_asha_lets_go_on_before_the_rung_is_complete() -> None:
    rule = parse_early_stop({"name": "asha", "first": 1, "factor": 3})
    found = decide(
        rule, contestants("abcdef", [("b", 1, 0.2), ("a", 1, 0.1), ("d", 1, 0.3)]), epochs=9, metric=ACCURACY
    )
    assert {name: (d.until, d.out) for name, d in found.items()} == {
        **dict.fromkeys("abcef", (1, False)),
        "d": (3, False),
    }
    assert found["a"].why.startswith("rung of 1 epoch: 3rd of 3 by validation accuracy (10.00 %), waits")


def median_by_definition(
    rows: Sequence[Row], table: Mapping[str, Sequence[float]], after: int, percentile: float
) -> dict[str, int]:
    """How far each is trained: of the rows in their order, who had to end after which."""
    until, came = dict.fromkeys(table, EPOCHS), {epoch: [] for epoch in range(1, EPOCHS + 1)}
    for name, epoch, _ in rows:
        means = sorted(sum(table[other][:epoch]) / epoch for other in came[epoch])
        limit = np.percentile(means, 100 - percentile) if means else 0.0
        if after <= epoch < EPOCHS and len(means) >= 3 and max(table[name][:epoch]) < limit - 1e-12:
            until[name] = epoch
        came[epoch].append(name)
    return until


@pytest.mark.parametrize("rule", [rule for rule in ALL if rule.name == "median"], ids=name_of)
def test_median_is_its_definition(rule: Any) -> None:
    stopped = 0
    for seed in SEEDS:
        rng = Random(seed)
        table = {
            name: [value + i / 12 for value in curve]
            for i, (name, curve) in enumerate(curves(rng, 12, ties=False).items())
        }
        rows, found = sweep(rule, table, rng)
        assert {name: decision.until for name, decision in found.items()} == median_by_definition(
            rows, table, rule.after, rule.percentile
        )
        stopped += sum(decision.out for decision in found.values())
    assert stopped > 20


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_more_rows_never_take_back_an_until_also_where_trials_diverge_and_break(rule: Any) -> None:
    for seed in SEEDS:
        rng = Random(seed)
        table = curves(rng, rng.randint(1, 14), ties=seed % 2 == 0)
        ending = {name: rng.randrange(EPOCHS) for name in table if rng.random() < 0.3}
        for name, epoch in ending.items():
            if rng.random() < 0.5:  # its last row has no number
                table[name][max(epoch - 1, 0) :] = [math.nan] * (EPOCHS - max(epoch - 1, 0))
        rows, found = sweep(rule, table, rng, ending=ending)
        last = {name: max((epoch for who, epoch, _ in rows if who == name), default=0) for name in table}
        assert all(last[name] <= epoch for name, epoch in ending.items())
        for name, decision in found.items():
            assert decision.out or decision.until == EPOCHS, "someone waits for ever"
            if name in ending:
                assert decision.out
        rung = rule.rungs(EPOCHS)[0]
        if rule.together and set(table).difference(ending):
            assert any(epoch > rung for epoch in last.values()), "what can go on is let on where others cannot"


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_what_has_no_number_never_goes_on(rule: Any) -> None:
    rung = rule.rungs(EPOCHS)[0]
    rows = [(name, epoch, math.nan) for name in "abcd" for epoch in range(1, rung + 1)]
    found = decide(rule, contestants("abcd", rows), epochs=EPOCHS, metric=ACCURACY)
    assert {(decision.until, decision.out) for decision in found.values()} == {(rung, True)}


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_a_group_of_one_is_trained_to_the_end(rule: Any) -> None:
    rows, found = sweep(rule, {"only": [0.1] * EPOCHS}, Random(0))
    assert [epoch for _, epoch, _ in rows] == list(range(1, EPOCHS + 1))
    assert found["only"].until == EPOCHS
    assert not found["only"].out


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_a_group_whose_training_ends_before_the_first_rung_is_trained_to_the_end(rule: Any) -> None:
    epochs = rule.rungs(EPOCHS)[0]
    found = decide(rule, contestants("ab", []), epochs=epochs, metric=ACCURACY)
    assert {(d.until, d.out, d.why) for d in found.values()} == {(epochs, False, "all epochs: no rung is left")}


@pytest.mark.parametrize("rule", ALL, ids=name_of)
def test_an_empty_group_is_decided(rule: Any) -> None:
    assert decide(rule, [], epochs=EPOCHS, metric=ACCURACY) == {}


@pytest.mark.parametrize(
    ("count", "share", "kept"), [(30, 1.0, 9), (10, 1 / 3, 3), (20, 2 / 3, 6), (1, 0.01, 1), (5, 0.2, 1)]
)
def test_top_k_keeps_of_each_group_its_share_and_at_least_one(count: int, share: float, kept: int) -> None:
    rule = parse_early_stop({"name": "top_k", "after": 1, "keep": 9})
    group = contestants([str(i) for i in range(count)], [(str(i), 1, i / 100) for i in range(count)])
    found = decide(rule, group, epochs=EPOCHS, metric=ACCURACY, share=share)
    assert sum(not decision.out for decision in found.values()) == kept


def test_what_ended_while_it_waited_leaves_its_place_and_what_went_on_keeps_it() -> None:
    rule = parse_early_stop({"name": "top_k", "after": 1, "keep": 1})
    rows = [("a", 1, 0.3), ("b", 1, 0.2), ("c", 1, 0.1)]
    waited = decide(rule, contestants("abc", rows, {"a": 1}), epochs=EPOCHS, metric=ACCURACY)
    assert {name: d.until for name, d in waited.items()} == {"a": 1, "b": EPOCHS, "c": 1}
    went_on = decide(rule, contestants("abc", [*rows, ("a", 2, math.nan)], {"a": 2}), epochs=EPOCHS, metric=ACCURACY)
    assert [name for name, d in went_on.items() if not d.out] == []
    assert went_on["b"].until == 1


@pytest.mark.parametrize("rule", ALL, ids=name_of)
@pytest.mark.parametrize("metric", [ACCURACY, LOSS], ids=lambda metric: metric.name)
def test_every_decision_is_one_sentence_with_values_as_the_metric_has_them(rule: Any, metric: Metric) -> None:
    sign = SIGN[metric.goal]
    rung = rule.rungs(EPOCHS)[0]
    rows = [(name, epoch, sign * (0.25 + i / 8)) for i, name in enumerate("abcdef") for epoch in range(1, rung + 1)]
    found = decide(rule, contestants("abcdefg", rows, {"g": 0}), epochs=EPOCHS, metric=metric)
    for decision in found.values():
        assert "\n" not in decision.why
        assert "inf" not in decision.why
        assert "-0" not in decision.why
    texts = {name: found[name].why for name in "abcdef"}
    shown = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}[metric.name]
    assert all(shown in text for text in texts.values())
    assert "25.00 %" in texts["a"] if metric is ACCURACY else "0.25" in texts["a"]


def test_the_sentence_of_a_rung_says_place_value_and_from_where_others_go_on() -> None:
    rule = parse_early_stop({"name": "halving", "first": 3})
    rows = [(str(i), epoch, i / 100) for i in range(27) for epoch in (1, 2, 3)]
    found = decide(rule, contestants([str(i) for i in range(27)], rows), epochs=12, metric=ACCURACY)
    assert found["15"].why == (
        "rung of 3 epochs: 12th of 27 by validation accuracy (15.00 %), is out: 9 go on, from 18.00 %"
    )
    assert found["26"].why == (
        "rung of 3 epochs: 1st of 27 by validation accuracy (26.00 %), goes on: 9 go on, from 18.00 %"
    )


@pytest.mark.parametrize("rule", ALL, ids=name_of)
@pytest.mark.parametrize("recorded", [False, True], ids=["held back by the rule", "recorded without it"])
def test_what_comes_one_by_one_or_by_the_dozen_is_decided_as_all_at_once(rule: Any, recorded: bool) -> None:
    """Beside contestants that have ended; in a recording trials are at rungs to which nobody has sent them yet."""
    for seed in SEEDS:
        rng = Random(seed)
        table = curves(rng, rng.randint(1, 14), ties=seed % 2 == 0)
        for name in table:
            if rng.random() < 0.3:
                table[name][rng.randrange(EPOCHS) :] = [math.nan] * EPOCHS
        ended = {name: rng.randrange(EPOCHS) for name in table if rng.random() < 0.2}
        early = [(name, epoch, table[name][epoch - 1]) for name in ended for epoch in range(1, ended[name] + 1)]
        going = {name: curve for name, curve in table.items() if name not in ended}
        rows = [*early, *(interleaved(going, rng) if recorded else sweep(rule, going, rng)[0])]
        names, count = list(table), len(early)
        comparison = compare(rule, contestants(names, early, ended), epochs=EPOCHS, metric=ACCURACY)
        while count < len(rows):
            more = rows[count : count + rng.choice((1, 1, 2, 5))]
            count += len(more)
            comparison.group, before = contestants(names, rows[:count], ended), list(comparison.decisions)
            changed = set(comparison.take({names.index(who) for who, _, _ in more}))
            at_once = decide(rule, comparison.group, epochs=EPOCHS, metric=ACCURACY).values()
            assert [(d, d.why) for d in comparison.decisions] == [(d, d.why) for d in at_once]
            assert all(before[i] == d for i, d in enumerate(comparison.decisions) if i not in changed)


def interleaved(table: Mapping[str, Sequence[float]], rng: Random) -> list[Row]:
    """Return the rows of all epochs, each trial's in their order."""
    order = [name for name in table for _ in range(EPOCHS)]
    rng.shuffle(order)
    done = dict.fromkeys(table, 0)
    rows = []
    for name in order:
        done[name] += 1
        rows.append((name, done[name], table[name][done[name] - 1]))
    return rows


def test_every_rule_is_tried_here() -> None:
    assert set(SETTINGS) == set(RULES)
