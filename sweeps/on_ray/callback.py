"""What Ray Tune tells the driver: a pack has ended, or its process has died. What the driver tells Tune: to halt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback

if TYPE_CHECKING:  # workers import this file too, and need no driver
    from sweeps.driver.driver import Driver


class EndCallback(tune.Callback):
    """Tells the driver which packs have ended, and lets it look around."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that never happens

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tell the driver that a pack's function has returned."""
        self.driver.on_end(trial.config["pack"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tell the driver that a pack's process has died."""
        alive = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        self.driver.on_dead_worker(trial.config["pack"], hosts=alive)  # Tune does not say why

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Let the driver look around once per turn of Tune's loop."""
        self.driver.tick()


class HaltStopper(tune.Stopper):
    """Ends the Tune run when the driver has halted. Tune gives packs 5 s to end by themselves, then kills them."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: packs end by themselves, or all at once."""
        return False

    def stop_all(self) -> bool:
        """Return whether Tune is to end its run."""
        return self.driver.halted


class SilentCallback(TrialProgressCallback):
    """Takes the place of the callback by which Tune prints each trial's end."""

    def log_result(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    on_trial_complete = log_result


class SilentReporter(tune.ProgressReporter):
    """Prints nothing: the driver shows the progress."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Return False."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: Any) -> None:
        """Do nothing."""
        return None
