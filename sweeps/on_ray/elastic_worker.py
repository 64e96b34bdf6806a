"""What every worker of Ray Train's TorchTrainer runs: trial after trial, as the driver gives them, until none is left.

Workers may be lost and started again, more or fewer of them: they ask what to train, and find the trial's checkpoint.
Only workers and the trainer import this file: it brings torch.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import ray
from ray import train as ray_train
from ray.train.torch import get_device

from ch6dist.distributed.group import TorchGroup
from sweeps.driver.jobs import Job, PackJob
from sweeps.on_ray.pack_worker import train_job
from sweeps.on_ray.reporter import Reporter


class ElasticReporter(Reporter):
    """Reports by post instead of through Tune."""

    def __init__(self, job: Job, post: Any, workers: str) -> None:
        super().__init__(job, pack=0)
        self.post, self.workers = post, workers

    def next_trial(self, count: int) -> str | None:
        """The id of the trial that the driver wants `count` workers to train; None when none is left."""
        given: str | None = self._report({"next": count})["trial"]
        return given

    def _report(self, content: Mapping[str, Any]) -> dict[str, Any]:
        return dict(ray.get(self.post.ask.remote(self.workers, content)))


def train_trials(config: Mapping[str, Any]) -> None:
    """Ray Train's training function, on every rank. Its process group is there already.

    Args:
        config: `job`, the Job, each trial of which is a pack of one, and `post`, the handle of the actor Post.

    An error is told to the driver, then raised: Ray starts the workers anew, and the driver says what is left to do.
    """
    context, job, post = ray_train.get_context(), config["job"], config["post"]
    group = TorchGroup(context.get_world_rank(), context.get_world_size())
    workers = group.from_first(uuid.uuid4().hex)
    if group.rank == 0:
        ray.get(post.join.remote(workers))
    reporter = ElasticReporter(job, post, workers)
    while trial := group.once(lambda: reporter.next_trial(group.world_size)):
        try:
            # eager whatever their number: the workers that go on must find their own kind of checkpoint
            alone = PackJob((trial,), engine="eager")
            train_job(alone, job, attempts=job.attempts, report=reporter, group=group, device=str(get_device()))
        except Exception as error:
            reporter.broken(error)
            raise
