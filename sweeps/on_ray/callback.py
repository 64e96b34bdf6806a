"""Between Ray Tune and the driver: reports go to it, and its orders come back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


class Driver(Protocol):
    """What the runner gives the callback."""

    def next_pack(self) -> int | None:
        """Called when Tune has room for another pack: its number; None while none waits."""

    @property
    def over(self) -> bool:
        """Whether no pack will ever wait again."""

    def on_report(self, pack: int, report: dict[str, Any]) -> dict[str, Any]:
        """Called with each report of a pack, before the pack may go on; returns the orders it shall find then."""

    def on_end(self, pack: int) -> None:
        """Called when a pack's worker is done with it."""

    def on_dead_worker(self, pack: int, *, hosts: Collection[str]) -> None:
        """Called when the process of a pack has died; `hosts`: names of those that live."""

    def tick(self) -> set[str]:
        """Called about ten times a second; returns every trial that has been asked to stop."""

    @property
    def halted(self) -> bool:
        """Whether nothing more shall be trained."""


class LedgerCallback(tune.Callback):
    """Hands each report to the driver before its pack may go on, and posts orders where the pack's worker will look."""

    def __init__(self, driver: Driver, *, mailbox: str) -> None:
        self.driver, self.name = driver, mailbox
        self.seen: set[tuple[int, int]] = set()
        self.posted: set[str] = set()
        self.mailbox: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that never happens: the driver does not travel

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Tune has a report: hand it to the driver, each numbered report once."""
        pack, number = trial.config["pack"], result.get("number")
        if number is not None and (pack, number) not in self.seen:
            self.seen.add((pack, number))
            orders = self.driver.on_report(pack, result)
            if orders:
                self.post("order", pack, orders)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune has seen a pack's function return: tell the driver."""
        self.driver.on_end(trial.config["pack"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tune has lost a pack's process: tell the driver."""
        alive = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        self.driver.on_dead_worker(trial.config["pack"], hosts=alive)  # Tune does not say why

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's event loop has turned once: let the driver look around, and post new orders for the workers."""
        stops = self.driver.tick()
        if stops - self.posted:
            self.post("stop", sorted(stops))
            self.posted |= stops

    def post(self, method: str, *content: Any) -> None:
        """Tell the mailbox, and go on when it has understood. Made with the first order: a process costs a second."""
        if self.mailbox is None:
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"name": self.name, "num_cpus": 0, "scheduling_strategy": here}  # no other host's loss takes it
            self.mailbox = ray.remote(Mailbox).options(**options).remote()
        ray.get(getattr(self.mailbox, method).remote(*content))


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
    """Orders of the driver: for a pack, read once; and the trials to stop, for all who ask."""

    def __init__(self) -> None:
        self._stops: set[str] = set()
        self._orders: dict[int, dict[str, Any]] = {}

    def stop(self, trials: list[str]) -> None:
        """Add trials to stop."""
        self._stops |= set(trials)

    def order(self, pack: int, orders: dict[str, Any]) -> None:
        """What a pack shall do when it goes on: `trials`, who is in it as it begins, or `admit`, trials to take in."""
        self._orders[pack] = orders

    def read(self, pack: int) -> dict[str, Any]:
        """The pack's orders, which are gone then, and every trial that was ever asked to stop."""
        return {"stop": sorted(self._stops), **self._orders.pop(pack, {})}
