"""One host against two: how many images each trains when a sweep has both.

    python -m benchmarks.hosts --pairs 3 -o benchmarks/results/hosts.md     # root; sshd, ip and rsync are installed

Hosts are those of the tests: network namespaces with one core each, Ray started by `ray up`. On each number of hosts
`sweeps run --address auto` trains `--trials` trials per host, one at a time on a host; images are counted from the
first trial's beginning to the last one's end, as the ledger has them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from benchmarks.common import Measures, document, in_turn, new_parser, publish, ratio, row
from benchmarks.work import Work
from ch6dist.catalog.dataset_files import check_files, data_root
from ch6dist.runs.ledger import Ledger, read
from ch6dist.runs.schema import Status
from tests.support.hosts import Cluster, hosts

EPOCHS = 4
GOAL = "Goal: per host at least 0.95 of one host's."


def sweep(number: int, *, cluster: Cluster, work: Work, trials: int) -> Measures:
    """Run a sweep over all of a cluster's hosts; return `per_host`, images per second of each."""
    count = trials * len(cluster.names)
    lrs = [0.05 / (1 + index) for index in range(count)]
    content = {"name": "hosts", "trial": work.content(), "parameters": {"optimizer.lr": {"values": lrs}}}
    name = f"hosts{len(cluster.names)}-{number}"
    (cluster.runs / "hosts.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    command = f"sweeps run /srv/runs/hosts.yaml --packs off --address auto --name {name}"
    cluster.exec("head", command, timeout=1200)
    ledger = read(cluster.runs / name)
    return {"per_host": count * work.epochs * work.train_size / training_seconds(ledger) / len(cluster.names)}


def training_seconds(ledger: Ledger) -> float:
    """Return the seconds from the first trial's beginning to the last one's end."""
    lines = [line for history in ledger.history.values() for line in history]
    begun = [line["time"] for line in lines if line["status"] == Status.RUNNING]
    ended = [line["time"] for line in lines if line["status"] == Status.FINISHED]
    return max(ended) - min(begun)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure pairs and print their table."""
    parser = new_parser(__doc__, pairs=3)
    parser.add_argument("--trials", type=int, default=4, help="per host (default 4)")
    parser.add_argument("--data", default="cifar100", help="or synthetic_cifar100, where there are no files")
    arguments = parser.parse_args(argv)
    work = Work(data=arguments.data, epochs=EPOCHS)
    check_files(work.data)
    root = Path(os.path.realpath(data_root()))

    def on(count: int, number: int) -> Measures:
        with hosts(count, data=root) as cluster:
            cluster.up()
            found = sweep(number, cluster=cluster, work=work, trials=arguments.trials)
            cluster.down()
            return found

    measured = in_turn({"1 host": partial(on, 1), "2 hosts": partial(on, 2)}, pairs=arguments.pairs)
    rows = [
        *(row(f"images per second of a host, {side}", measured[side], "per_host", ",.0f") for side in measured),
        ratio("2 hosts ÷ 1 host", measured, "2 hosts", "1 host", "per_host"),
    ]
    what = f"{arguments.trials} trials per host: {work}; one core per host. {GOAL}"
    publish(document("Hosts", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
