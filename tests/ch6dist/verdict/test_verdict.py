"""What a verdict says of sweeps as they come: complete or not, at chance, diverged, one seed, equivalent."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ch6dist.runs.schema import Metric
from ch6dist.verdict.contenders import Candidate
from ch6dist.verdict.verdict import judge
from ch6dist.verdict.words import assumptions, sentences

ACCURACY = Metric("val_accuracy")


def candidate(name, *scores, **given):
    gain = given.pop("gain", max(scores, default=0) - 0.01)
    return Candidate(name, tuple(scores), **{"diverged": 0, "gain": gain, **given})


def said(candidates, *, metric=ACCURACY, margin=0.005, run="demo"):
    verdict = judge(candidates, metric=metric, margin=margin)
    return verdict, " ".join(sentences(verdict, {c.configuration: c.configuration for c in candidates}, run=run))


def test_a_rival_that_failed_in_part_is_not_behind_but_may_yet_win():
    sgd, rival = candidate("SGD", 0.50, 0.51), candidate("RMSprop", 0.60, missing="failed")
    verdict, text = said([rival, sgd])
    assert [member.configuration for member in verdict.compared] == ["SGD"]
    assert "RMSprop (60.00 % so far)" in text
    assert "may yet win" in text
    assert "ahead" not in text
    assert "sweeps rerun demo --failed" in text


def test_the_only_one_that_learned_is_not_confused_with_those_at_chance():
    adam = candidate("Adam", 0.215, 0.235, 0.252)
    others = [candidate(f"c{i}", 0.0098, 0.0101, 0.0104, at_chance=True) for i in range(27)]
    verdict, text = said([adam, *others])
    assert [member.configuration for member in verdict.members] == ["Adam"]
    assert len(verdict.at_chance) == 27
    assert "27 at chance" in text


def test_a_rival_with_one_seed_is_compared_and_named():
    trio = [candidate("Adam", 0.497, 0.502, 0.507), candidate("SGD", 0.5015), candidate("x", 0.10, 0.11, 0.12)]
    verdict, text = said(trio)
    assert {member.configuration for member in verdict.members} == {"Adam", "SGD"}
    assert "cannot be told from 1 of the 2 others (SGD)" in text


@pytest.mark.parametrize(
    ("candidates", "state", "part"),
    [
        ([], "empty", "no training run"),
        ([candidate("a", missing="not finished")], "nothing", "1 configuration has not finished"),
        ([candidate("a", diverged=2), candidate("b", diverged=1)], "diverged", "Try learning rates"),
        (
            [candidate("a", diverged=2), candidate("b", missing="failed")],
            "nothing",
            "has a failed seed and may yet win: b",
        ),
        ([candidate("a", 0.01, 0.011, at_chance=True)], "chance", "nothing was learned"),
        ([candidate("a", 0.3), candidate("b", 0.2)], "repeat", "sweeps confirm demo"),
        ([candidate("a", 0.3, 0.31)], "compared", "none to compare it with"),
    ],
)
def test_every_state_has_its_words(candidates, state, part):
    verdict, text = said(candidates)
    assert verdict.state == state
    assert part in text
    assert "none" not in assumptions(verdict).lower()


def test_a_loss_is_minimized():
    verdict, _ = said([candidate("a", 2.0, 2.1), candidate("b", 1.0, 1.1)], metric=Metric("val_loss"), margin=None)
    assert verdict.leader == "b"
    assert verdict.compared[1].behind == pytest.approx(1.0)
    assert verdict.compared[1].mean == pytest.approx(2.05)


def test_a_configuration_with_a_diverged_seed_is_out_however_good_its_others():
    verdict, text = said([candidate("a", 0.3, 0.31), candidate("b", 0.9, diverged=1)])
    assert verdict.leader == "a"
    assert "Out, since a seed diverged: b." in text


def test_of_equivalent_configurations_the_cheaper_then_the_simpler_is_the_choice():
    tight = [0.5000, 0.5002, 0.5001, 0.4999, 0.5000]
    leader = candidate("leader", *[score + 0.0005 for score in tight], seconds=100.0, parts=3)
    cheap = candidate("cheap", *tight, seconds=50.0, parts=5)
    simple = candidate("simple", *tight, seconds=98.0, parts=1)
    far = candidate("far", *[score - 0.1 for score in tight], seconds=1.0)
    verdict, text = said([leader, cheap, far])
    assert (verdict.leader, verdict.choice, verdict.choice_reason) == ("leader", "cheap", "cheaper")
    assert "cheap is equivalent within 0.50 points and cheaper (50 s instead of 100 s for each seed)" in text
    assert said([leader, simple, far])[0].choice == "simple"
    assert said([leader, simple, far])[0].choice_reason == "simpler"
    assert said([leader, cheap, far], margin=0.0001)[0].choice == "leader"
    assert said([leader, cheap, far], margin=None)[0].choice == "leader"


def test_fresh_seeds_are_the_headline_and_need_no_correction():
    pair = [candidate("a", 0.50, 0.51, 0.52, fresh=True), candidate("b", 0.50, 0.52, 0.505, fresh=True)]
    verdict, text = said(pair)
    assert (verdict.fresh, verdict.expected) == (True, None)
    assert "over 3 fresh seeds." in text
    assert "more fresh seeds each" in text


def test_the_next_step_of_several_runs_names_no_command():
    assert "`" not in said([candidate("a", 0.5, 0.51), candidate("b", 0.5, 0.52)], run=None)[1]


def test_equal_means_are_no_reason_to_prefer_one():
    scores = [0.41, 0.53, 0.47, 0.39, 0.52, 0.44, 0.4, 0.51]
    for shift in range(1, 8):
        pair = [candidate("a", *scores, seconds=10.0), candidate("b", *scores[shift:], *scores[:shift], seconds=10.0)]
        verdict = said(pair)[0]
        assert verdict.choice == verdict.leader
        assert verdict.choice_reason == ""
        assert verdict.compared[0].allowed == 0


def test_a_single_seed_far_behind_leaves_the_set_also_where_nothing_is_pooled():
    verdict, _ = said([candidate("a", 0.500, 0.501, 0.502), candidate("b", 0.105)])
    assert verdict.why_not_pooled
    assert [member.configuration for member in verdict.members] == ["a"]


def test_a_diverged_seed_is_out_although_another_failed():
    verdict, text = said([candidate("a", 0.3, 0.31), candidate("e", 0.6, diverged=1, missing="failed")])
    assert (verdict.diverged, verdict.unfinished) == (("e",), ())
    assert "may yet win" not in text


def test_where_seeds_scatter_two_differences_are_noise():
    generator = np.random.default_rng(0)
    scores = [(0.5 - i / 1000 + sd * generator.normal(size=5)).tolist() for i, sd in enumerate([0.01] * 6 + [0.06])]
    verdict, text = said([candidate(f"c{i}", *values) for i, values in enumerate(scores)])
    assert [member.own for member in verdict.compared if member.configuration == "c6"] == [True]
    assert "where seeds scatter more (95 %)" in text
    assert "apart, though not of those that scatter more" in text


def test_where_seeds_are_unequal_two_differences_are_noise():
    few, many = (0.500, 0.504), (0.499, 0.509, 0.504, 0.506, 0.502, 0.507)
    _, text = said([candidate("a", *many), candidate("b", *few), candidate("c", *(x - 0.002 for x in many))])
    assert "where seeds are fewer (95 %)" in text
    assert "scatter" not in text


def test_more_seeds_are_asked_for_only_where_there_are_fewer_than_it_takes():
    six = [candidate(f"c{i}", *(0.5 + i / 5000 + s / 1000 for s in range(9)), fresh=True) for i in range(6)]
    verdict, text = said(six)
    assert len(verdict.members) > 1
    for needed in re.findall(r"(\d+) more fresh seed", text):
        assert any(seeds == int(needed) + 9 for seeds in verdict.seeds_needed.values())


def test_the_only_one_that_was_confirmed_was_told_from_the_others_before():
    candidates = [candidate("a", 0.50, 0.51, 0.52, fresh=True)]
    verdict = judge(candidates, metric=ACCURACY, margin=0.005, before=3)
    text = " ".join(sentences(verdict, {"a": "a"}, run="demo"))
    assert "The 3 others were told from it before, by the seeds of the sweep." in text


def test_a_confirmation_under_way_is_the_next_step():
    pair = [candidate("a", 0.50, 0.51), candidate("b", 0.50, 0.52)]
    verdict = judge(pair, metric=ACCURACY, margin=0.005, confirming=True)
    assert (
        "A confirmation has not ended: `sweeps resume demo`" in sentences(verdict, {"a": "a", "b": "b"}, run="demo")[-1]
    )


def test_what_has_just_begun_to_learn_is_compared_but_not_pooled():
    contenders = [candidate(f"c{i}", 0.50 + i / 100, 0.51 + i / 100, 0.52 + i / 100) for i in range(4)]
    starting = [candidate(f"s{i}", 0.02, 0.08, 0.14, gain=0.07) for i in range(4)]
    verdict, _ = said([*contenders, *starting])
    assert (verdict.pooled, verdict.df, verdict.sd) == (4, 8, pytest.approx(0.01))
    assert len(verdict.compared) == 8
