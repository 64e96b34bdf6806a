"""How many reports a second one driver takes: workers that train nothing ask a real driver over the wire.

    python -m benchmarks.wire -o benchmarks/results/wire.md

A report holds a row for each lane of a pack, and is answered when its lines are in the ledger and synced. Workers are
processes of this machine, each a pack that asks as fast as it is answered; the driver, its trial table and its ledger
are those of a sweep. With `--lanes 64` a report is what a GPU's pack of 64 lanes sends at the end of an epoch.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.common import document, in_turn, module, new_parser, publish, row, run
from benchmarks.stub_worker import made_up_row
from ch6dist.config import parse_trial
from ch6dist.runs.ledger import Ledger
from ch6dist.runs.writer import Writer
from sweeps.driver.driver import Driver, Rules
from sweeps.driver.jobs import PackJob
from sweeps.driver.progress import Progress
from sweeps.driver.trial_table import TrialTable
from sweeps.record.record import Record
from sweeps.record.uploader import NoUploader
from sweeps.wire.messages import Address
from sweeps.wire.reporter import Reporter
from sweeps.wire.server import Server

WORKERS = (1, 4, 16, 64)


def work(address: Address, number: int, reports: int, ready: multiprocessing.synchronize.Barrier) -> None:
    """Be the worker of a pack: begin, then report an epoch of every trial, again and again."""
    with Reporter(address, pack=number) as reporter:
        trials = {trial.trial_id: trial for trial in reporter.begin()}
        ready.wait()
        for epoch in range(1, reports + 1):
            reporter([made_up_row(name, trial, epoch=epoch, lanes=len(trials)) for name, trial in trials.items()])


def once(workers: int, *, lanes: int, reports: int) -> dict[str, float]:
    """Return reports and rows a second of so many workers, over all of them."""
    content = {"epochs": reports + 1, "data": {"name": "synthetic_cifar100"}}
    trials = [parse_trial({**content, "seed": seed}) for seed in range(workers * lanes)]
    table = TrialTable({trial.trial_id: trial.model_dump() for trial in trials})
    names = list(table.entries)
    packs = [PackJob(tuple(names[first : first + lanes])) for first in range(0, len(names), lanes)]
    each = max(1, reports // workers)
    fork = multiprocessing.get_context("fork")  # a hundred interpreters would take minutes to start
    ready = fork.Barrier(workers + 1)
    with tempfile.TemporaryDirectory() as folder, Writer(folder) as writer:
        path = Path(folder)
        record = Record(path, writer, NoUploader(path), str(path / "checkpoints"), print)
        progress = Progress(table, Console(file=io.StringIO()), title="wire")
        driver = Driver(record, table, progress, packs, Rules(max_retries=0))
        driver.begin(Ledger())
        while driver.next_pack() is not None:
            pass
        with Server(driver.on_messages, host="127.0.0.1") as server:
            asking = [fork.Process(target=work, args=(server.address, n, each, ready)) for n in range(workers)]
            for process in asking:
                process.start()
            ready.wait()
            began = time.perf_counter()
            for process in asking:
                process.join()
            seconds = time.perf_counter() - began
    if any(process.exitcode for process in asking) or table.epochs_done != workers * lanes * each:
        raise SystemExit(f"{table.epochs_done} rows of {workers * lanes * each} arrived")
    return {"reports_per_s": workers * each / seconds, "rows_per_s": workers * each * lanes / seconds}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure runs of each number of workers and print their table; `--once`: be one run."""
    parser = new_parser(__doc__, pairs=3)
    parser.add_argument("--lanes", type=int, default=8, help="of each pack (default 8)")
    parser.add_argument("--reports", type=int, default=2000, help="of all workers together (default 2000)")
    parser.add_argument("--once", type=int, metavar="WORKERS", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.once:
        print(json.dumps(once(arguments.once, lanes=arguments.lanes, reports=arguments.reports)))
        return
    options = ["--lanes", arguments.lanes, "--reports", arguments.reports, "--once"]
    sides = {
        str(count): lambda number, count=count: run(module("benchmarks.wire", *options, count)) for count in WORKERS
    }
    measured = in_turn(sides, pairs=arguments.pairs)
    rows = [
        line
        for count, runs in measured.items()
        for line in (
            row(f"workers: {count}, reports a second", runs, "reports_per_s", ",.0f"),
            row(f"workers: {count}, rows a second", runs, "rows_per_s", ",.0f"),
        )
    ]
    what = (
        f"Packs of {arguments.lanes} lanes, {arguments.reports:,} reports in all, a row of every lane in each; the "
        "workers share the machine with the driver."
    )
    publish(document("Reports that one driver takes", rows, what=what, pairs=arguments.pairs), arguments.output)


if __name__ == "__main__":
    main()
