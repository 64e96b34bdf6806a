"""Schedules of the user's own: a function of the progress, found by name, stepped per batch, refused in one line."""

from __future__ import annotations

import functools
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ch6dist.branches import alike
from ch6dist.catalog.naming import schedule_label
from ch6dist.config import TrialConfig, parse_trial
from ch6dist.errors import InputError
from ch6dist.objects.describe import describe as describe_here
from ch6dist.optim.schedules import preview
from tests.support.commands import sweep_file, sweeps

OWN = """
    def triangle(progress, top: float = 2.0, peak: float = 0.5):
        "Rise from 1 to `top` at `peak`, then fall to 0."
        return 1 + (top - 1) * progress / peak if progress < peak else top * (1 - progress) / (1 - peak)

    def late(progress, begin: float = 2.0):
        return 1.0 if progress < begin else float("nan")

    def broken(progress):
        return 1 / progress

    def negative(progress):
        return -1

    def crowded(progress, interval=1):
        return 1

    text = "no function"
"""


@pytest.fixture(scope="module", autouse=True)
def _own_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put the functions into the working directory, described in this process: a subprocess each costs seconds."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mysched.py").write_text(textwrap.dedent(OWN), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("ch6dist.catalog.described.describe", functools.cache(describe_here))
        yield
    sys.modules.pop("mysched", None)


def trial(schedule: Any, epochs: int = 4) -> TrialConfig:
    return parse_trial({"schedule": schedule, "epochs": epochs, "optimizer": {"name": "SGD", "lr": 0.1}})


def lrs(schedule: Any, epochs: int = 4) -> list[float]:
    return [lr for lr, _ in preview(trial(schedule, epochs), steps_per_epoch=5)]


def test_the_factor_follows_the_progress_of_the_training_batch_by_batch() -> None:
    expected = [1 + t / 10 if t < 10 else 2 * (1 - t / 20) / 0.5 for t in range(20)]
    assert lrs("mysched:triangle") == pytest.approx([0.1 * factor for factor in expected], rel=1e-12)
    other = lrs({"name": "mysched:triangle", "top": 4})
    assert max(other) == pytest.approx(0.4)


def test_behind_a_warm_up_and_in_a_list_it_has_what_is_left_of_the_training() -> None:
    found = lrs({"name": "mysched:triangle", "warmup": {"epochs": 1, "start_factor": 0.5}}, epochs=3)
    assert found[0] == pytest.approx(0.05)
    assert found[5:] == pytest.approx(lrs("mysched:triangle", epochs=2), rel=1e-12)
    listed = lrs(
        [{"name": "LinearLR", "start_factor": 1.0, "interval": "batch", "epochs": 1}, "mysched:triangle"], epochs=3
    )
    assert listed[5:] == pytest.approx(lrs("mysched:triangle", epochs=2), rel=1e-12)


def test_its_parameters_are_those_of_its_signature_and_a_resolved_one_is_itself() -> None:
    config = trial({"name": "mysched:triangle", "top": 3}).schedule
    assert {key: config[key] for key in config if key != "code"} == {
        "name": "mysched:triangle",
        "top": 3.0,
        "peak": 0.5,
        "interval": "batch",
    }
    assert len(config["code"]) == 12
    assert trial(config).trial_id == trial({"name": "mysched:triangle", "top": 3}).trial_id
    assert schedule_label(config) == "mysched:triangle top 3"
    assert "-triangle-" in trial(config).trial_id


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("mysched:broken", "ZeroDivisionError: float division by zero (mysched.py:10 in broken)"),
        ("mysched:negative", "a factor ≥ 0; at the progress 0 it returned -1"),
        ("mysched:text", "a class or a function; it is of type str"),
        ("mysched:crowded", "without a parameter called interval"),
        ({"name": "mysched:triangle", "topp": 1}, "did you mean 'top'"),
        ("mysched:triangel", "did you mean 'triangle'"),
        ("StepL", "did you mean 'StepLR'"),
        (
            {"name": "ChainedScheduler", "schedulers": ["mysched:triangle", "CosineAnnealingLR"]},
            "one of",
        ),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(schedule: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        trial(schedule)
    assert said in str(caught.value)
    assert str(caught.value).startswith("schedule")
    assert "\n" not in str(caught.value)


def test_a_factor_that_is_no_number_in_the_middle_is_found_before_anything_trains() -> None:
    given = {"name": "mysched:late", "begin": 0.9991}  # beyond what the description tries
    with pytest.raises(InputError, match=r"at the progress 0\.99"):
        preview(trial(given, epochs=1), steps_per_epoch=2000)


def test_trials_with_a_schedule_of_ones_own_share_no_epochs() -> None:
    both = [trial("mysched:triangle", epochs=epochs) for epochs in (4, 8)]
    assert alike(both) == []
    assert len(alike([trial("WSD", epochs=epochs) for epochs in (4, 8)])) == 2


def test_a_plan_knows_it_from_the_folder_that_it_is_given_in(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def half(progress):\n    return 1 - progress / 2\n", encoding="utf-8")
    done = sweeps("plan", sweep_file(tmp_path, parameters={"schedule": ["none", "mine:half"]}), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 configurations" in done.stdout
