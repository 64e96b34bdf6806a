"""Trains the seeds of a final training, each over several processes: `torchrun` on this host, Ray Train on a cluster.

    slots = placed(resources, trials, how, run=run)      # refused, where it is, before anything is written
    status = train_over(run, content, trials, slots, how)

Both ways write the same ledger. `torchrun`'s rank 0 is a driver of its own (ch6dist/solo.py); on a cluster the driver
is here, and rank 0 goes on when it has written. Exit statuses are those of sweeps/runner.py.
"""

from __future__ import annotations

import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import yaml
from rich.console import Console

from ch6dist.config import TrialConfig
from ch6dist.errors import InputError
from ch6dist.runs.ledger import read
from ch6dist.runs.provenance import sweep_line
from ch6dist.runs.write_ahead import lost_lines
from ch6dist.storage.files import is_remote, open_folder
from sweeps.driver.elastic_driver import ElasticDriver
from sweeps.driver.trial_table import Board
from sweeps.launch.execute import Launch, Settings
from sweeps.launch.runner import hosts_of
from sweeps.on_ray.session import ray_session
from sweeps.plan.hosts import storage_note
from sweeps.plan.slots import Slots, place
from sweeps.record import stop_requests
from sweeps.record.record import opened
from sweeps.spec.sweep_file import Resources

FIT = "sweeps.on_ray.trainer:fit"  # by name: it brings torch, which the other ways of training leave to others


def placed(
    resources: Mapping[str, Any], trials: Sequence[TrialConfig], how: Launch, *, run: Path | str, fewer: bool = False
) -> Slots | None:
    """The place of the workers on the Ray at `how.address`; None without one. InputError where they never find one.

    Says what the hosts must share, the folder `run` among it, if it is no URL. `fewer`: one worker is enough, because
    the training has begun and hosts may be gone since.
    """
    if how.address is None:
        return None
    wanted = Resources.model_validate({**resources, "span_hosts": True})
    least = wanted.model_copy(update={"workers": 1}) if fewer else wanted
    hosts = hosts_of(how)
    slots = place(least, hosts)
    if note := storage_note(hosts, trials, run=run):
        how.console.print(f"note: {note}")
    return replace(slots, workers=wanted.workers, span_hosts=True)


def train_over(
    run: Path, content: Mapping[str, Any], trials: Sequence[TrialConfig], slots: Slots | None, how: Launch
) -> int:
    """Every trial that has not ended, in turn, over the workers of `content`; the exit status."""
    storage = content.get("storage")
    if slots is None:
        if storage and is_remote(storage):
            if read(run).rows:
                raise InputError(
                    "--address", None, f"auto: its checkpoints are in {storage}, which torchrun does not use"
                )
            how.console.print(f"note: torchrun keeps all of it in {run}; with --address it would be kept in {storage}")
        return torchrun(run, trials, workers=content["resources"]["workers"], console=how.console)
    with opened(run, storage, say=how.console.print) as record:
        stop_requests.clear(run)
        lost = lost_lines(open_folder(record.checkpoints), read(run)) if is_remote(record.checkpoints) else []
        record.writer.append([sweep_line(content) | {"address": how.address}, *lost])
        settings = Settings.of(content)
        driver = ElasticDriver(record, Board.from_ledger(read(run)), how.console, max_retries=settings.max_retries)
        driver.keep(settings.checkpoints.keep)
        how.console.print(f"run folder: {run}")
        seconds = settings.checkpoints.seconds
        with driver.interruptible(), ray_session(address=how.address, cpus=0, gpus=0):
            pkgutil.resolve_name(FIT)(driver.job(slots, checkpoint_seconds=seconds), driver=driver)
        driver.note_halt()
        status = driver.verdict(how.console.print, resume=f"sweeps final {run} --resume --address {how.address}")
    return record.status(status)


def torchrun(run: Path, trials: Sequence[TrialConfig], *, workers: int, console: Console) -> int:
    """Each trial in turn over `workers` processes of this host; the first exit status that is not 0."""
    for trial in trials:
        file = run / f"trial-s{trial.seed}.yaml"
        file.write_text(yaml.safe_dump(trial.model_dump(), sort_keys=False))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={workers}"]
        # behind `--` torchrun leaves the options to ch6dist; it would take `--run` for its own `--run-path`
        command = [*launcher, "-m", "--", "ch6dist", "train", str(file), "--run", str(run), "--resume"]
        status = _run(command)
        if status != 0:
            console.print(f"go on with: sweeps final {run} --resume")
            return status
    return 0


def _run(command: list[str]) -> int:
    """The exit status of a command. Ctrl-C and SIGTERM end it, and it its own processes, before this one goes on."""
    asked: list[int] = []
    env = {"OMP_NUM_THREADS": "1", **os.environ}
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    ) as process:

        def on_signal(number: int, frame: FrameType | None) -> None:
            if not asked:  # a second signal would interrupt its tidying up
                process.terminate()
            asked.append(number)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for line in process.stderr or ():
                if not asked:  # how torchrun takes a signal is thirty lines that help nobody
                    sys.stderr.write(line)
            status = process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return 130 if asked else status
