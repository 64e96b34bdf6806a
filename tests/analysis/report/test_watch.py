"""A report that is written again while its sweep runs: with a real driver's lease, a real ledger, a real interrupt."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from tests.analysis.test_main import command
from tests.support.commands import hear_ctrl_c
from tests.support.ledgers import trial, twelve, write_ledger
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow
MARK = '<meta name="refresh-seconds"'
DRIVER = """
import sys
from pathlib import Path
from ch6dist.runs import lease
with lease.hold(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def driver():
    """Start a process that holds the lease of a run folder, as a driver does, until it is told to end."""
    begun = []

    def begin(run):
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=ROOT,
        )
        assert process.stdout.readline() == "held\n"
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def watching(run):
    return subprocess.Popen(
        [sys.executable, "-m", "analysis", "report", str(run), "--watch", "--every", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        preexec_fn=hear_ctrl_c,
    )


def page_when(page, holds):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if page.is_file() and holds(text := page.read_text(encoding="utf-8")):
            return text
        time.sleep(0.1)
    raise AssertionError("the page did not follow")


def test_the_page_follows_the_ledger_and_its_last_one_is_quiet(tmp_path, driver):
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1], epochs=3, status="running")])
    holder, page = driver(run), run / "report" / "index.html"
    watcher = watching(run)
    assert "Nothing has finished yet: 1 running." in page_when(page, lambda text: MARK in text)
    write_ledger(run, [trial(curve=[0.1, 0.2, 0.3])])
    page_when(page, lambda text: MARK in text and "Nothing has finished yet" not in text)
    holder.communicate("end\n")
    out, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, err) == (0, "")
    assert MARK not in page.read_text(encoding="utf-8")
    assert out.count("written") >= 2


def test_an_interrupt_ends_it_with_status_0_and_a_quiet_page(tmp_path, driver):
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1])])
    driver(run)
    watcher = watching(run)
    page_when(run / "report" / "index.html", lambda text: MARK in text)
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, err) == (0, "")
    assert MARK not in (run / "report" / "index.html").read_text(encoding="utf-8")


def test_a_ledger_that_breaks_meanwhile_is_one_line_and_the_page_is_quiet(tmp_path, driver):
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1])])
    driver(run)
    watcher = watching(run)
    page_when(run / "report" / "index.html", lambda text: MARK in text)
    (run / "ledger" / "000002.jsonl").write_text("{broken\n", encoding="utf-8")
    _, err = watcher.communicate(timeout=120)
    assert watcher.returncode == 2
    assert "000002.jsonl:1 is damaged" in err
    assert len(err.strip().splitlines()) == 1
    assert MARK not in (run / "report" / "index.html").read_text(encoding="utf-8")


def test_a_run_that_has_ended_is_written_once_and_quiet(tmp_path):
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1])])
    found = command("report", run, "--watch")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count("written") == 1
    assert MARK not in (run / "report" / "index.html").read_text(encoding="utf-8")


def test_a_plain_report_does_not_load_itself_again(tmp_path, driver):
    run = write_ledger(tmp_path / "run", [trial(curve=[0.1])])
    driver(run)
    assert command("report", run).returncode == 0
    assert MARK not in (run / "report" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--every", "0"), "--every: 0.0 is not allowed; allowed: a number of seconds above 0"),
        (("--every", "nan"), "--every: nan is not allowed"),
        (("--for", "artikel"), "--for: 'artikel' is not allowed; allowed: article"),
        (("--watch", "--for", "article"), "--watch: 'article' is not allowed"),
        (("--watch", "-o", "/dev/null/out"), "cannot write to /dev/null/out"),
    ],
)
def test_wrong_options_are_one_line_and_write_nothing(tmp_path, arguments, message):
    run = twelve(tmp_path / "run")
    found = command("report", run, *arguments)
    assert found.returncode == 2
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert not (run / "report").exists()


def test_a_copy_of_an_object_store_is_not_watched(tmp_path):
    found = command("report", "s3://bucket/runs/demo", "--watch")
    assert found.returncode == 2
    assert "run folders of this machine" in found.stderr


def test_started_before_its_driver_it_waits_for_it(tmp_path, driver):
    run = write_ledger(tmp_path / "run", [trial(status=None)])
    page, watcher = run / "report" / "index.html", watching(run)
    page_when(page, lambda text: MARK in text and "1 planned" in text)
    assert "waiting for a driver" in watcher.stdout.readline()
    holder = driver(run)
    write_ledger(run, [trial(curve=[0.1, 0.2, 0.3])])
    page_when(page, lambda text: MARK in text and "Nothing has finished yet" not in text)
    holder.communicate("end\n")
    _, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, err) == (0, "")
    assert "This page loads itself again" not in page.read_text(encoding="utf-8")


def test_an_interrupt_ends_the_wait_for_a_driver(tmp_path):
    run = write_ledger(tmp_path / "run", [trial(status=None)])
    watcher = watching(run)
    assert "waiting for a driver" in watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=120)
    assert (watcher.returncode, err) == (0, "")
