"""SLURM on hosts made of namespaces, as far as a job script sees it: its environment, `srun`, `scontrol`, its ends.

    with job_hosts(2) as slurm:
        job = slurm.sbatch("cluster/slurm.sbatch", "/srv/runs/my.yaml", "night")
        slurm.signal_batch()        # as `--signal=B:TERM@…` and `scancel --batch --signal=TERM` do
        slurm.end_job()             # as SLURM does at a requeue: every process of the job is gone

`srun` runs its command once on each host, by ssh, in the environment and the folder that it was called in.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.namespaces import Lan, plugged, wait_for

SRUN = r"""#!/bin/bash
printf '%s\n' "$@" > "$RIG/srun"
while [[ $1 == --* ]]; do shift; done
id=0
for host in ${SLURM_JOB_NODELIST//,/ }; do
    export SLURM_PROCID=$id SLURM_NODEID=$((id++))
    ssh -n -i "$RIG/home/laptop/.ssh/id_ed25519" -o StrictHostKeyChecking=no -o LogLevel=ERROR "root@$host" \
        "$(export -p); cd $(printf %q "$PWD"); exec $(printf '%q ' "$@")" &
done
worst=0
for task in $(jobs -p); do wait "$task" || { status=$?; [ "$status" -le "$worst" ] || worst=$status; }; done
exit "$worst"
"""
SCONTROL = r"""#!/bin/bash
case "$1 $2" in
    "show hostnames") tr , '\n' <<< "$3" ;;
    "requeue $SLURM_JOB_ID") echo "$2" >> "$RIG/requeued" ;;
    *) echo "scontrol: $*" >&2; exit 1 ;;
esac
"""
JOB = "4711"


class Slurm(Lan):
    """Hosts, and what a job script finds on the first of them."""

    def furnish(self) -> None:
        """Put `srun` and `scontrol` where the job script looks for them."""
        programs = self.rig / "bin"
        programs.mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)

    def sbatch(self, script: str, *arguments: str, log: Path) -> subprocess.Popen[str]:
        """Start a job script on the first host, with what SLURM would have in its environment."""
        given = {
            "SLURM_JOB_ID": JOB,
            "SLURM_JOB_NODELIST": ",".join(self.names),
            "SLURM_JOB_NUM_NODES": str(len(self.names)),
            "SLURM_CPUS_PER_TASK": "1",
            "PYTHONPATH": "/srv/ch6dist",
            "RAY_gcs_rpc_server_reconnect_timeout_s": "30",  # instead of 60: until others see that the head is done
            "RIG": str(self.rig),
        }
        variables = " ".join(f"{key}={shlex.quote(value)}" for key, value in given.items())
        command = shlex.join(["bash", script, *arguments])
        there = f"export {variables} PATH={self.rig}/bin:$PATH; echo $$ > {self.rig}/batch; exec {command}"
        return self.start(self.names[0], there, log=log)

    def signal_batch(self) -> None:
        """Send SIGTERM to the job script, and to nothing else."""
        self.exec(self.names[0], f"kill -TERM $(cat {self.rig}/batch)")

    @property
    def requeued(self) -> bool:
        """Whether the job script has put its job back into the queue."""
        return (self.rig / "requeued").exists()

    def end_job(self, job: subprocess.Popen[str]) -> None:
        """End every process that the job has on a host, as SLURM does before it starts the job again."""
        for name in self.names:
            wait_for(lambda name=name: not self._ended_on(name), what=f"the job to be gone from {name}")
        job.wait(timeout=60)
        (self.rig / "requeued").unlink(missing_ok=True)

    def _ended_on(self, name: str) -> list[str]:
        """Send SIGKILL to what is left of a job on a host; return what was."""
        lines = self.exec(name, "ps -eo pid=,comm=,args=").stdout.splitlines()
        found = [line.split(None, 2) for line in lines]
        kept = ("sshd", "ps")
        left = [pid for pid, what, rest in found if pid != "1" and what not in kept and "bash -c cd /srv" not in rest]
        if left:
            self.exec(name, f"kill -KILL {' '.join(left)}", check=False)
        return left


@contextmanager
def job_hosts(count: int) -> Iterator[Slurm]:
    """Hosts that a job has got, with a folder that they share; nothing of them outlives the block."""
    folder = Path(tempfile.mkdtemp(prefix="ch6dist-slurm-"))
    slurm = Slurm(["head", *(f"worker-{number}" for number in range(1, count))], folder)
    try:
        with plugged(slurm):
            slurm.furnish()
            yield slurm
    finally:
        shutil.rmtree(folder)
