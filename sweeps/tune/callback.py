"""Between Ray Tune and the runner: results go to the driver, and its wish to stop comes back."""

from __future__ import annotations

from typing import Any, Protocol

import ray
from ray import tune

from sweeps.requests import MAILBOX


class Driver(Protocol):
    """What the runner gives the callback."""

    def on_report(self, pack: int, report: dict[str, Any]) -> None:
        """Called with each report of a pack, before the pack may go on."""

    def on_dead_worker(self, pack: int) -> None:
        """Called when the process of a pack has died."""

    def tick(self) -> set[str]:
        """Called about ten times a second; returns every trial that has been asked to stop."""

    @property
    def halted(self) -> bool:
        """Whether nothing more shall be trained."""


class LedgerCallback(tune.Callback):
    """Writes each report before its pack may go on, and posts orders where the pack's worker will look."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.seen: set[tuple[str, int]] = set()
        self.posted: set[str] = set()
        self.mailbox: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that never happens: the driver does not travel

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Tune has a report: hand it to the driver, each numbered report once."""
        key = (trial.trial_id, result.get("number", 0))
        if "number" in result and key not in self.seen:
            self.seen.add(key)
            self.driver.on_report(trial.config["pack"], result)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune has lost a pack's process: tell the driver."""
        self.driver.on_dead_worker(trial.config["pack"])

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's event loop has turned once: let the driver look around, and post new orders for the workers."""
        stops = self.driver.tick()
        if stops - self.posted:
            if self.mailbox is None:
                self.mailbox = ray.remote(Mailbox).options(name=MAILBOX, get_if_exists=True, num_cpus=0).remote()
            ray.get(self.mailbox.post.remote(sorted(stops)))
            self.posted |= stops


class HaltStopper(tune.Stopper):
    """Ends the whole Tune run when the driver has halted."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether Tune shall end this one pack: never; packs end by themselves, or all at once."""
        return False

    def stop_all(self) -> bool:
        """Whether Tune shall end its run."""
        return self.driver.halted


class SilentReporter(tune.ProgressReporter):
    """The runner shows the progress."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: Any) -> None:
        """Nothing."""
        return None


class Mailbox:
    """Orders for packs, by trial id; workers read it after each report."""

    def __init__(self) -> None:
        self._stops: set[str] = set()

    def post(self, stops: list[str]) -> None:
        """Add trials to stop."""
        self._stops |= set(stops)

    def stops(self) -> list[str]:
        """Every trial that was ever asked to stop."""
        return sorted(self._stops)
