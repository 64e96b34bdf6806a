"""A claim is judged by the interval of a difference: it holds, does not hold, or cannot be told."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from analysis.article.claims import HOLDS, NOT, OPEN, difference, judge
from analysis.article.sources import read_sources
from analysis.study.stats import welch_interval
from tests.support.ledgers import trial, write_ledger

NAMES = ("Adam", "SGD")
FIVE = [0.1, 0.2, 0.3, 0.4, 0.5]


def test_welch_agrees_with_scipy():
    generator = np.random.default_rng(0)
    for n, m in ((2, 2), (3, 5), (10, 4)):
        a, b = generator.normal(1, 2, n), generator.normal(0, 0.5, m)
        expected = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        assert welch_interval(list(a), list(b)) == pytest.approx(tuple(expected), rel=1e-12)


def test_welch_needs_two_seeds_each_and_knows_equal_ones():
    assert welch_interval([1.0], [1.0, 2.0]) is None
    assert welch_interval([1.0, 1.0], [0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("column", "better", "other", "word"),
    [
        ("val_accuracy", [0.50, 0.51, 0.52], [0.40, 0.41, 0.42], HOLDS),
        ("val_accuracy", [0.40, 0.41, 0.42], [0.50, 0.51, 0.52], NOT),
        ("val_accuracy", [0.40, 0.50, 0.45], [0.41, 0.49, 0.46], OPEN),
        ("train_loss", [1.0, 1.1, 1.05], [2.0, 2.1, 2.05], HOLDS),  # of a loss, smaller is better
        ("train_loss", [2.0, 2.1, 2.05], [1.0, 1.1, 1.05], NOT),
        ("val_accuracy", [0.9], [0.1, 0.1, 0.1], OPEN),  # one seed tells nothing, however far apart
    ],
)
def test_the_word_follows_from_the_interval(column, better, other, word):
    assert difference(better, other, column=column, names=NAMES)[0] == word


def test_what_is_found_names_means_numbers_of_seeds_and_interval():
    _, text = difference([0.50, 0.52], [0.40, 0.42], column="val_accuracy", names=NAMES)
    assert "Adam 51.00 ± 1.41 % (n = 2)" in text
    assert "SGD 41.00 ± 1.41 % (n = 2)" in text
    assert "difference +10 points, 95 % interval" in text


def test_claims_are_judged_of_the_sweep_that_has_both_sides(tmp_path):
    good = [trial("Adam", lr=1e-3, seed=s, curve=[x + 0.3 + 0.01 * s for x in FIVE]) for s in range(3)]
    plain = [trial("SGD", lr=0.01, seed=s, curve=[x + 0.01 * s for x in FIVE]) for s in range(3)]
    momentum = {"momentum": 0.9}
    heavy = [
        trial("SGD", lr=0.01, seed=s, curve=[x + 0.1 + 0.01 * s for x in FIVE], parameters=momentum) for s in range(3)
    ]
    run = write_ledger(tmp_path / "run", [*good, *plain, *heavy])
    found = {one.claim: one.word for one in judge(read_sources([str(run)]))}
    assert found["Momentum ends better than plain SGD."] == HOLDS
    assert found["The better of momentum and Nesterov momentum ends with a better accuracy than Adam."] == NOT
    assert found["Adam lowers the training loss faster than plain SGD: it is lower after three epochs."] == HOLDS
    assert not any(claim.startswith("Nesterov momentum") for claim in found), "no training had it"


def test_seeds_that_diverged_take_no_part(tmp_path):
    plain = [trial("SGD", lr=0.01, seed=s, curve=[0.2, 0.3, 0.4]) for s in range(2)]
    lost = trial("SGD", lr=0.01, seed=2, curve=[0.2, None], status="diverged", epochs=3)
    heavy = [
        trial("SGD", lr=0.01, seed=s, curve=[0.3, 0.4, 0.5 + s / 100], parameters={"momentum": 0.9}) for s in range(3)
    ]
    run = write_ledger(tmp_path / "run", [*plain, lost, *heavy])
    (found,) = [one for one in judge(read_sources([str(run)])) if one.claim == "Momentum ends better than plain SGD."]
    assert "SGD 40.00 ± 0.00 % (n = 2)" in found.found
    assert not math.isnan(float(found.found.partition("difference ")[2].split(" ")[0]))


def test_a_schedule_that_never_acted_tells_nothing(tmp_path):
    """The documents' example of a plateau never lowers its learning rate either."""
    curve = [0.2, 0.3, 0.4]
    kinds = {"none": {}, "plateau": {"schedule": {"name": "ReduceLROnPlateau"}}}
    step = {"schedule": {"name": "StepLR", "step_size": 1}, "columns": {"lr": [0.1, 0.01, 1e-3]}}
    trials = [trial("SGD", lr=0.1, seed=s, curve=curve, **kind) for s in range(2) for kind in [*kinds.values(), step]]
    run = write_ledger(tmp_path / "run", trials)
    found = {one.claim: one for one in judge(read_sources([str(run)]))}
    plateau = found["ReduceLROnPlateau ends better than a constant learning rate."]
    assert plateau.word == OPEN
    assert "never changed the learning rate" in plateau.found
    assert "0.1" in found["StepLR ends better than a constant learning rate."].found


def test_of_a_confirmed_configuration_the_fresh_seeds_speak(tmp_path):
    chosen = [trial("SGD", lr=0.01, seed=s, curve=[0.3, 0.5], parameters={"momentum": 0.9}) for s in range(2)]
    fresh = [
        trial("SGD", lr=0.01, seed=s, curve=[0.3, 0.4 + s / 100], parameters={"momentum": 0.9}, confirms=("set", 1))
        for s in (2, 3)
    ]
    plain = [trial("SGD", lr=0.01, seed=s, curve=[0.1, 0.2]) for s in range(2)]
    plain += [trial("SGD", lr=0.01, seed=s, curve=[0.1, 0.2], confirms=("set", 1)) for s in (2, 3)]
    run = write_ledger(tmp_path / "run", [*chosen, *plain, *fresh])
    (found,) = [one for one in judge(read_sources([str(run)])) if one.claim == "Momentum ends better than plain SGD."]
    assert "42.50 ± 0.71 % (n = 2)" in found.found
