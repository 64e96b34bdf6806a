"""Which trainings a figure compares: by what their configurations are, never by what a run is called.

found = choose(sources.runs, (is_adam, is_plain_sgd), where=is_constant)      # the best of each, of one run
found = all_of(sources.runs, "schedule", where=is_nesterov)                    # one for each schedule, of one run
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from analysis.article.sources import Group, Run

Config = Mapping[str, Any]
Test = Callable[[Config], bool]


def is_plain_sgd(config: Config) -> bool:
    """Tell SGD without momentum."""
    return _is_sgd(config) and not config["optimizer"]["momentum"]


def is_momentum(config: Config) -> bool:
    """Tell SGD with momentum, not Nesterov's."""
    return _is_sgd(config) and config["optimizer"]["momentum"] > 0 and not config["optimizer"]["nesterov"]


def is_nesterov(config: Config) -> bool:
    """Tell SGD with Nesterov momentum."""
    return _is_sgd(config) and bool(config["optimizer"]["nesterov"])


def is_adam(config: Config) -> bool:
    """Tell Adam."""
    return bool(config["optimizer"]["name"] == "Adam")


def is_constant(config: Config) -> bool:
    """Tell a training without a schedule and without warm-up."""
    return config["schedule"]["name"] == "none" and "warmup" not in config["schedule"]


def is_on(*datasets: str) -> Test:
    """Return a test for the data set."""
    return lambda config: config["data"]["name"] in datasets


def is_model(name: str) -> Test:
    """Return a test for the network."""
    return lambda config: bool(config["model"]["name"] == name)


def has_schedule(name: str) -> Test:
    """Return a test for the schedule's name."""
    return lambda config: bool(config["schedule"]["name"] == name)


def anything(config: Config) -> bool:
    """Tell every training."""
    return True


def choose(runs: Iterable[Run], tests: Sequence[Test], *, where: Test = anything) -> tuple[Group, ...] | None:
    """Return a configuration for each test, the best of one run that has them all; None where no run has.

    They are alike in data, network and epochs. Of several runs one with seeds that finished, better two of each, then
    the one that trained longest; of equal ones the first.
    """
    found = [chosen for run in runs if (chosen := _of_run(run, tests, where))]
    return max(found, key=_worth, default=None)


def _worth(groups: Sequence[Group]) -> tuple[int, int]:
    """Return what a comparison is worth: whether all have a seed that finished, or two; then its epochs."""
    finished = min(len(group.finished().trials) for group in groups)
    return min(finished, 2), groups[0].epochs


def all_of(
    runs: Iterable[Run], section: str, *, where: Test = anything, least: int = 2, needs: Sequence[Test] = ()
) -> tuple[Group, ...] | None:
    """Return the best configuration for each value of a section, of the run that has most of them; else None.

    They are alike in all else. Of equally many, those come first whose best one is ranked higher.

    Args:
        least: values that a run must have.
        needs: each tells a configuration that must be among them.
    """
    found: list[tuple[Group, ...]] = []
    for run in runs:
        groups = [group for group in run.groups if where(group.config)]
        for best in groups:
            alike = [group for group in groups if _rest(group.config, section) == _rest(best.config, section)]
            if len(alike) >= least and all(any(test(group.config) for group in alike) for test in needs):
                found.append(tuple(alike))
    return max(found, key=lambda groups: (_worth(groups)[0], len(groups), groups[0].epochs), default=None)


def _of_run(run: Run, tests: Sequence[Test], where: Test) -> tuple[Group, ...] | None:
    groups = [group for group in run.groups if where(group.config)]
    for best in groups:  # what the others must be alike in
        alike = [group for group in groups if setting_of(group.config) == setting_of(best.config)]
        chosen = [next((group for group in alike if test(group.config)), None) for test in tests]
        whole = tuple(group for group in chosen if group is not None)
        if len(whole) == len(tests):
            return whole
    return None


def setting_of(config: Config) -> str:
    """Return what trainings must be alike in to be compared: data, network, epochs."""
    return json.dumps([config["data"], config["model"], config["epochs"]], sort_keys=True)


def _rest(config: Config, section: str) -> str:
    kept = {name: value for name, value in config.items() if name not in (section, "seed", "vary", "capture")}
    return json.dumps(kept, sort_keys=True, default=str)


def _is_sgd(config: Config) -> bool:
    return bool(config["optimizer"]["name"] == "SGD")
