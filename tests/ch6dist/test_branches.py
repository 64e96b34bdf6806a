"""The tree of shared epochs: every different prefix is trained once, by the first trial that has it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ch6dist.branches import Branch, alike, branches_of, epochs_asked, epochs_to_train, kept_epochs, tree_text
from ch6dist.config import TrialConfig
from tests.support.trials import small_trial

# A trial's table as a word, a letter per epoch; "?" is an epoch in which a metric may decide.
WORDS = st.lists(st.tuples(st.text("abc", min_size=1, max_size=6), st.integers(0, 3), st.booleans()), max_size=12)


def trials_of(words: list[str], **shared: Any) -> tuple[list[TrialConfig], list[list[str | None]]]:
    """A trial per word, and its digests: as long as the word, each with a schedule of its own."""
    schedules = [{"name": "ExponentialLR", "gamma": 1 / (2 + n)} for n in range(len(words))]
    trials = [small_trial(schedule=s, epochs=len(w), **shared) for s, w in zip(schedules, words, strict=True)]
    return trials, [[w[: n + 1] if "?" not in w[: n + 1] else None for n in range(len(w))] for w in words]


def branches(*words: str, **shared: Any) -> list[tuple[int, int] | None]:
    """Of each word the place of the one that it leaves, and after which letter."""
    trials, digests = trials_of(list(words), **shared)
    places = {trial.trial_id: place for place, trial in enumerate(trials)}
    found = branches_of(trials, digests)
    leaving = [found.get(trial.trial_id) for trial in trials]
    return [(places[branch.trial], branch.epoch) if branch else None for branch in leaving]


def test_a_trial_leaves_the_earlier_one_that_trains_the_last_epoch_that_they_share() -> None:
    assert branches("aaa", "aab", "aabb", "b") == [None, (0, 2), (1, 3), None]
    assert branches("aab", "aaab", "aaac") == [None, (0, 2), (1, 3)]
    assert branches("ab", "ac", "ad") == [None, (0, 1), (0, 1)], "all leave the one that trains it"


def test_a_trial_that_shares_all_its_epochs_trains_none() -> None:
    assert branches("aab", "aab", "aa") == [None, (0, 3), (0, 2)]


def test_an_epoch_in_which_a_metric_may_decide_is_a_trials_own() -> None:
    assert branches("aab", "aa?", "aa??", "??") == [None, (0, 2), (0, 2), None]


def test_trials_that_differ_in_anything_else_share_nothing() -> None:
    base = small_trial()
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"optimizer": {"name": "SGD", "lr": 0.05, "weight_decay": 0.1}},
        {"model": "cnn2"},
        {"data": {"batch_size": 16}},
        {"precision": "fp64"},
        {"label_smoothing": 0.1},
        {"divergence_factor": 3.0},
        {"deterministic": False},
        {"vary": ["split"]},
        {"type": "range_test"},
    ]
    for change in others:
        assert branches_of([base, small_trial(**change)], [["x"] * 3] * 2) == {}, change
    for change in ({"epochs": 4}, {"schedule": "REX"}, {"data": {"root": "/elsewhere"}, "epochs": 4}):
        assert len(branches_of([base, small_trial(**change)], [["x"] * 3, ["x"] * 3])) == 1, change


def test_trials_too_long_to_be_compared_share_nothing() -> None:
    """A slip in the number of epochs is planned at once; the others are compared as before."""
    schedules: list[dict[str, Any]] = [{"name": "none"}, {"name": "StepLR", "step_size": 3}]
    slip, meant = ([small_trial(schedule=one, epochs=epochs) for one in schedules] for epochs in (10**9, 9))
    assert alike([*slip, *meant]) == meant


def test_what_is_tested_at_its_end_trains_its_last_epoch_unless_another_was_tested_there() -> None:
    assert branches("aaaa", "aa", "aaaa", evaluate_test=True) == [None, (0, 1), (0, 4)]


def test_a_trial_that_captures_is_trained_whole_and_may_be_left() -> None:
    assert branches("aab", "aac", capture={}) == [None, None]
    (first, *_), digests = trials_of(["aab", "aac"], capture={})
    _, second = trials_of(["aab", "aac"])[0]
    assert branches_of([first, second], digests) == {second.trial_id: Branch(trial=first.trial_id, epoch=2)}


@given(WORDS)
def test_every_prefix_is_trained_once_by_a_trial_that_others_may_start_from(found: list[tuple[str, int, bool]]) -> None:
    words = [word if not ends else word + "?" for word, _, ends in found]
    trials, digests = trials_of(words)
    trials = [trial.model_copy(update={"seed": seed}) for trial, (_, seed, _) in zip(trials, found, strict=True)]
    tree = branches_of(trials, digests)
    places = {trial.trial_id: place for place, trial in enumerate(trials)}
    prefixes = {(t.seed, d) for t, known in zip(trials, digests, strict=True) for d in known if d is not None}
    unknown = sum(known.count(None) for known in digests)
    assert epochs_to_train(trials, tree) == len(prefixes) + unknown <= epochs_asked(trials)
    trained = []
    for place, trial in enumerate(trials):
        branch = tree.get(trial.trial_id)
        shared = branch.epoch if branch else 0
        trained += [(trial.seed, digest) for digest in digests[place][shared:] if digest is not None]
        if branch is None:
            continue
        source = places[branch.trial]
        inherited = tree[branch.trial].epoch if branch.trial in tree else 0
        assert source < place
        assert inherited < branch.epoch <= trials[source].epochs, "the source trains that epoch itself"
        assert digests[source][branch.epoch - 1] == digests[place][branch.epoch - 1] is not None
        assert branch.epoch in kept_epochs(tree)[branch.trial]
    assert len(trained) == len(set(trained)) == len(prefixes)


@given(WORDS, st.randoms(use_true_random=False))
def test_the_epochs_to_train_are_as_many_in_whatever_order(found: list[tuple[str, int, bool]], draw: Any) -> None:
    trials, digests = trials_of([word for word, _, _ in found])
    order = draw.sample(range(len(trials)), len(trials))
    mixed = [trials[place] for place in order]
    again = branches_of(mixed, [digests[place] for place in order])
    assert epochs_to_train(mixed, again) == epochs_to_train(trials, branches_of(trials, digests))


def test_the_drawing_shows_every_branch_and_equal_trees_of_seeds_once() -> None:
    words = ["aaaaaa", "aabb", "aabbb", "aaac", "aaaa"]
    trials, digests = trials_of(words)
    both = [trial.model_copy(update={"seed": seed}) for seed in (0, 1) for trial in trials]
    tree = branches_of(both, digests * 2)
    name = "SGD · ExponentialLR ×{} · epochs {} · lr 0.05"
    assert tree_text(both, tree).splitlines() == [
        "46 epochs asked for, 20 to train (43 %)",
        f"{name.format(0.5, 6)}: 6 epochs, for each of 2 seeds",
        f"├─ after 2: {name.format(0.333, 4)}: 2 of 4",
        f"│  └─ after 4: {name.format(0.25, 5)}: 1 of 5",
        f"├─ after 3: {name.format(0.2, 4)}: 1 of 4",
        f"└─ all 4: {name.format(0.167, 4)}: nothing to train",
    ]
    assert tree_text(trials[:1], {}) == ""
