"""Connect Ray Tune to the driver: reports go to the driver, and its orders come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

if TYPE_CHECKING:  # workers import this file too, and need no driver
    from sweeps.driver.driver import Driver


class LedgerCallback(tune.Callback):
    """Hands each report to the driver before its pack may continue, and puts orders where the worker will look."""

    def __init__(self, driver: Driver, *, mailbox: str) -> None:
        self.driver, self.name = driver, mailbox
        self.seen: set[tuple[int, int]] = set()
        self.posted: set[str] = set()
        self.mailbox: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles callbacks for a restore that never happens

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any) -> None:
        """Hand a report to the driver, each numbered one once."""
        pack, number = trial.config["pack"], result.get("number")
        if number is not None and (pack, number) not in self.seen:
            self.seen.add((pack, number))
            orders = self.driver.on_report(pack, result)
            if orders:
                self.post("order", pack, orders)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tell the driver that a pack's function has returned."""
        self.driver.on_end(trial.config["pack"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """Tell the driver that a pack's process has died."""
        alive = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        self.driver.on_dead_worker(trial.config["pack"], hosts=alive)  # Tune does not say why

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Let the driver look around once per turn of Tune's loop, and send its orders to the workers."""
        stops = self.driver.tick()
        if stops - self.posted:
            self.post("stop", sorted(stops))
            self.posted |= stops

    def post(self, method: str, *content: Any) -> None:
        """Send an order to the mailbox, which is made with the first one: a process costs a second."""
        if self.mailbox is None:
            # here, so that the loss of another host does not take it
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            options = {"name": self.name, "num_cpus": 0, "scheduling_strategy": here}
            self.mailbox = ray.remote(Mailbox).options(**options).remote()
        ray.get(getattr(self.mailbox, method).remote(*content))


class HaltStopper(tune.Stopper):
    """Ends the Tune run when the driver has halted."""

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


class SilentReporter(tune.ProgressReporter):
    """Prints nothing: the driver shows the progress."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Return False."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: Any) -> None:
        """Do nothing."""
        return None


class Mailbox:
    """An actor with the driver's orders: those for a pack, read once; and the trials to stop, for every pack."""

    def __init__(self) -> None:
        self._stops: set[str] = set()
        self._orders: dict[int, dict[str, Any]] = {}

    def stop(self, trials: list[str]) -> None:
        """Add trials to stop."""
        self._stops |= set(trials)

    def order(self, pack: int, orders: dict[str, Any]) -> None:
        """Keep what a pack is to do next: `trials` to begin with, or `admit`, trials that join it."""
        self._orders[pack] = orders

    def read(self, pack: int) -> dict[str, Any]:
        """Take the pack's orders; return them with the ids of all trials that are to stop."""
        return {"stop": sorted(self._stops), **self._orders.pop(pack, {})}
