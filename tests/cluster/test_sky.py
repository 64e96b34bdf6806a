"""`run` of cluster/sky.yaml on two hosts: Ray is put up by both, the sweep trained, and both end with it.

No SkyPilot is installed; what it sets for a job is set here, and a folder that both share is the bucket.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from ch6dist.runs.ledger import read
from tests.support.commands import TINY, sweep_file
from tests.support.namespaces import ADDRESSES, wait_for, why_not
from tests.support.paths import ROOT
from tests.support.runs import statuses
from tests.support.slurm import job_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.exhaustive, pytest.mark.timeout(600)]
SECONDS = 300
TOKEN = "5" * 64


def test_both_machines_train_and_end_with_the_sweep(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with job_hosts(2) as hosts:
        data = TINY["trial"]["data"]
        spec = sweep_file(hosts.runs, data=data, parameters={"optimizer.lr": {"values": [0.01, 0.001]}})
        (hosts.rig / "run.sh").write_text(yaml.safe_load((ROOT / "cluster" / "sky.yaml").read_text())["run"])
        logs = {name: tmp_path / f"{name}.log" for name in hosts.names}
        jobs = {}
        for rank, name in reversed(list(enumerate(hosts.names))):  # the workers are there before the head
            given = {
                "SKYPILOT_NODE_RANK": str(rank),
                "SKYPILOT_NODE_IPS": "\n".join(ADDRESSES[host] for host in hosts.names),
                "SKYPILOT_NUM_NODES": str(len(hosts.names)),
                "RAY_AUTH_TOKEN": TOKEN,
                "RAY_gcs_rpc_server_reconnect_timeout_s": "5",  # else a minute after the head's end
                "PYTHONPATH": "/srv/ch6dist",
                "SPEC": f"/srv/runs/{spec.name}",
                "STORAGE": "/srv/runs",
                "NAME": "night",
            }
            variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in given.items())
            command = f"ln -s /srv/venv ~/venv; export {variables} CH6DIST_RUNS=/srv/runs; exec bash {hosts.rig}/run.sh"
            jobs[name] = hosts.start(name, command, log=logs[name])
        for name, job in jobs.items():
            wait_for(lambda job=job: job.poll() is not None, what=f"{name} to end: {logs[name]}", seconds=SECONDS)
            assert job.returncode == 0, logs[name].read_text()
        ledger = read(hosts.runs / "night")
        assert set(statuses(ledger).values()) == {"finished"}
        assert {line["host"] for history in ledger.history.values() for line in history if "host" in line} <= set(
            hosts.names
        )
        assert "2 hosts" in logs["head"].read_text(), "it waited for both"
        # the head's Ray is gone with its script; of a worker's, Ray's own monitors stay a while
        wait_for(lambda: hosts.processes("head") == [], what="the head to be idle", seconds=60)
