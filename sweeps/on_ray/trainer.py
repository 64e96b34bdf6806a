"""Ray Train around a final training: it places the workers, watches them, and starts them anew when one is lost.

    with ray_session(address="auto", cpus=0, gpus=0):
        fit(job, driver=driver)

What is trained, and what is written of it, the driver decides: the workers ask it, through the actor Post. Checkpoints
are ours and lie in the run folder; Ray Train's own storage holds nothing but its marks.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

import ray
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ch6dist.host.interfaces import interface_of
from sweeps.driver.jobs import Job
from sweeps.on_ray.elastic_worker import train_trials
from sweeps.on_ray.post import Post

QUIET = {
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a relative data root means the same here and there
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon the end of the workers is seen; Ray's own is 2
}
TICK_SECONDS = 1.0
ABORT_SECONDS = 15.0
COLLECTIVE_SECONDS = 24 * 3600  # rank 0 may wait long for the driver; a rank that dies is noticed without it


class Driver(Protocol):
    """Who decides what is trained and writes the ledger."""

    def on_letter(self, content: dict[str, Any]) -> dict[str, Any]:
        """The answer to what a worker told or asked; the worker waits for it."""

    def tick(self) -> None:
        """Called about once a second."""

    @property
    def halted(self) -> bool:
        """Whether nothing more shall be trained."""


def fit(job: Job, *, driver: Driver) -> None:
    """Train until the driver has no trial left or has halted. Elastic: by as many of the job's workers as find a place.

    Ray restarts the workers as often as one is lost; the driver answers them with no trial when that helps no more.
    """
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    post = ray.remote(Post).options(num_cpus=0, scheduling_strategy=here).remote()
    gpus = {"GPU": job.slots.gpus} if job.slots.kind == "gpu" else {}
    with tempfile.TemporaryDirectory(prefix="ch6dist-train-") as scratch:
        trainer = AbortableTrainer(
            train_trials,
            run_id=uuid.uuid5(uuid.NAMESPACE_URL, f"{socket.gethostname()}:{job.checkpoints}").hex,
            train_loop_config={"job": job, "post": post},
            torch_config=InterfaceConfig(timeout_s=COLLECTIVE_SECONDS),
            scaling_config=ScalingConfig(
                num_workers=(1, job.slots.workers),
                use_gpu=job.slots.kind == "gpu",
                resources_per_worker={"CPU": job.slots.cpus, **gpus},
            ),
            run_config=RunConfig(
                storage_path=scratch,  # of this host alone: only checkpoints that are reported to Ray need more
                name="final",
                failure_config=FailureConfig(max_failures=-1),
                logging_config=LoggingConfig("CRITICAL"),
            ),
        )
        with answering(post, driver, trainer):
            try:
                trainer.fit()
            except (RayError, TrainingFailedError):
                if not driver.halted:
                    raise


class AbortableTrainer(TorchTrainer):
    """A TorchTrainer that can be ended from outside. Ctrl-C stays with the driver, which hears SIGTERM too.

    `run_id` is by what Ray's autoscaler knows who asks for places. A driver that was killed took nothing back: the one
    that goes on asks under the same id, or it would wait three minutes for places that are kept for the dead one.
    """

    def __init__(self, *given: Any, run_id: str, **named: Any) -> None:
        super().__init__(*given, **named)
        object.__setattr__(vars(self)["train_run_context"], "run_id", run_id)  # a frozen field that no argument sets
        self.controller: Any = None
        self.begun = threading.Event()

    def _register_sigint_handler(self, controller: Any) -> None:
        self.controller = controller
        self.begun.set()

    def abort(self) -> None:
        """End the workers and take back what was asked of the autoscaler; `fit` raises RayError then."""
        if self.begun.wait(ABORT_SECONDS):
            with contextlib.suppress(RayError):  # among them the controller's own end, which is what was wanted
                ray.get(self.controller.abort.remote(), timeout=ABORT_SECONDS)
            ray.kill(self.controller)  # one that waits for a placement group hears nothing


class InterfaceBackend(TorchConfig().backend_cls):  # type: ignore[misc]  # Ray names it only so
    """torch.distributed over the interface of the address by which Ray knows each host."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        """Name the interface on every worker before they connect: a host's own name often means loopback."""
        worker_group.execute(name_interface)
        super().on_start(worker_group, backend_config)


class InterfaceConfig(TorchConfig):
    """Ray's TorchConfig with InterfaceBackend."""

    @property
    def backend_cls(self) -> type:
        """What sets the process group up."""
        return InterfaceBackend


def name_interface() -> None:
    """Let gloo and NCCL use this host's interface in Ray's network, unless the environment names another."""
    interface = interface_of(ray.util.get_node_ip_address())
    os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
    os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={interface}")


@contextlib.contextmanager
def answering(post: Any, driver: Driver, trainer: AbortableTrainer) -> Iterator[None]:
    """While the block runs, a thread has the driver answer the workers; it ends the training when the driver halts.

    What the driver raises is raised at the end of the block.
    """
    ended, raised = threading.Event(), list[BaseException]()

    def answer() -> None:
        """The thread: letter by letter, until the block ends or the driver halts."""
        try:
            while not (ended.is_set() or driver.halted):
                letter = ray.get(post.next.remote(TICK_SECONDS))
                if letter is not None:
                    reply = driver.on_letter(letter[1])
                    if not driver.halted:  # or else nobody goes on
                        ray.get(post.answer.remote(letter[0], reply))
                driver.tick()
        except BaseException as error:
            raised.append(error)
        if not ended.is_set():
            trainer.abort()

    thread = threading.Thread(target=answer, name="ch6dist-answers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if raised:
            raise raised[0]
