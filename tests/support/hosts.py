"""Ray on real hosts: `ray up` and `ray down` of cluster.on-premises.yaml, from a laptop to a head and workers.

    with hosts(3) as cluster:
        cluster.up()
        cluster.exec("head", "sweeps run sweep.yaml --address auto")
        cluster.cut("worker-1"), cluster.kill("head"), cluster.boot("head"), cluster.up()
        cluster.down()

The laptop stands in the checkout, whose file is filled in as a person would: who logs in, and one CPU per host.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.namespaces import ADDRESSES, LAPTOP, ROOT, Lan, plugged, wait_for

FILE = "cluster.on-premises.yaml"
UP_SECONDS = 180
# Asked on the head: the addresses of the hosts that Ray has, and whether it takes them for alive.
NODES = """
import json, ray
ray.init(address="auto", logging_level=50, log_to_driver=False)
print(json.dumps([node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]]))
"""


class Cluster(Lan):
    """Hosts with a Ray that the laptop's `ray up` starts on them."""

    def fill_in(self) -> None:
        """Put the on-premises file, filled in, where the laptop looks for it; the checkout's own stays as it is."""
        text = (ROOT / FILE).read_text()
        workers = ", ".join(ADDRESSES[name] for name in self.names[1:])
        for old, new in (
            ("ssh_user: ubuntu", "ssh_user: root"),
            ("worker_ips: [192.0.2.11, 192.0.2.12]", f"worker_ips: [{workers}]"),
            ("ray start --", "ray start --num-cpus=1 --"),
        ):
            assert old in text, f"{FILE} has no {old!r}"
            text = text.replace(old, new)
        (self.rig / FILE).write_text(text)
        bashrc = "export PATH=/srv/venv/bin:$PATH RAY_USAGE_STATS_ENABLED=0\n"
        (self.rig / "home" / LAPTOP / ".bashrc").write_text(bashrc)
        self.exec(LAPTOP, f"mount --bind {self.rig}/{FILE} {FILE}")

    def up(self) -> None:
        """`ray up`, until every host has joined."""
        self.exec(LAPTOP, "ray get-auth-token --generate > /dev/null")
        self.exec(LAPTOP, f"ray up -y {FILE}", timeout=UP_SECONDS)
        wait_for(lambda: self.alive() == set(self.names), what="all hosts to join", seconds=UP_SECONDS, pause=1)

    def down(self) -> None:
        """`ray down`, and what it leaves on the workers of a cluster that is not rented: their Ray."""
        self.exec(LAPTOP, f"ray down -y {FILE}")
        for name in self.names[1:]:
            self.exec(LAPTOP, f"ssh -o StrictHostKeyChecking=no root@{ADDRESSES[name]} ray stop")

    def alive(self) -> set[str]:
        """The names of the hosts that Ray on the head takes for alive; none where no Ray answers there."""
        asked = self.exec("head", f"python -c '{NODES}'", check=False)
        there = json.loads(asked.stdout.splitlines()[-1]) if asked.returncode == 0 else []
        return {name for name in self.names if ADDRESSES[name] in there}


@contextmanager
def hosts(count: int, *, data: Path | None = None) -> Iterator[Cluster]:
    """A laptop, a head and `count` - 1 workers, booted, Ray not up yet; `data` is what lies under /srv/data."""
    folder = Path(tempfile.mkdtemp(prefix="ch6dist-hosts-"))
    cluster = Cluster(["head", *(f"worker-{number}" for number in range(1, count))], folder, data)
    try:
        with plugged(cluster):
            cluster.fill_in()
            yield cluster
    finally:
        shutil.rmtree(folder)
