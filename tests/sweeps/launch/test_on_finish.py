"""`on_finish`: a command or a webhook is told how a run ended, and whatever it does, the run has ended as it did."""

from __future__ import annotations

import json
import os
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ch6dist.errors import InputError
from ch6dist.runs.ledger import read, read_spec
from ch6dist.runs.provenance import command_line
from ch6dist.sections import parse_section
from sweeps.launch import on_finish
from sweeps.launch.on_finish import call_on_finish
from sweeps.spec.sweep_file import SweepSpec
from tests.support.commands import driving, sweep_file
from tests.support.ledgers import SWEEP, HandTrial, trial, write_ledger
from tests.support.runs import newest_epochs, statuses
from tests.support.sweep_files import sweep

TRIALS = [
    trial("SGD", lr=0.1, curve=[0.1, 0.2]),
    trial("Adam", lr=1e-3, curve=[0.2, 0.3]),
    trial("Adam", lr=1e-1, curve=[0.1], status="diverged"),
    trial("SGD", lr=0.01, curve=[0.1], status="running", epochs=2),
]
COUNTS = {"finished": 2, "diverged": 1, "interrupted": 1}
SECRET = "T0PS3CRET"


def run_of(folder: Path, target: str, trials: list[HandTrial] = TRIALS) -> Path:
    """A run whose sweep has `on_finish: target`."""
    run = folder / "night"
    write_ledger(run, trials)
    segment = next((run / "ledger").glob("*.jsonl"))
    head, _, rest = segment.read_text().partition("\n")
    line = json.loads(head)
    line["spec"] |= {"on_finish": target}
    segment.write_text(f"{json.dumps(line)}\n{rest}")
    return run


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_finish, "SECONDS", 1.0)


class Hook(HTTPServer):
    """A webhook on loopback, and what it was sent."""

    def __init__(self, answer: int) -> None:
        self.answer, self.bodies, self.paths = answer, list[dict[str, Any]](), list[str]()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.paths.append(self.path)
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def hook(answer: int = 200) -> Iterator[Hook]:
    with Hook(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def told(run: Path, status: int = 0, halted: str = "", target: str | None = None) -> list[str]:
    """What a run's end prints; its exit status stays what it is."""
    said: list[str] = []
    target = target or read_spec(run).get("on_finish")
    assert call_on_finish(target, run, status, say=said.append, halted=halted) == status
    assert not any(SECRET in line or "\n" in line for line in said)
    return said


# What is told


@pytest.mark.parametrize(
    ("status", "halted", "ending"), [(0, "", "finished"), (1, "", "failed"), (130, "x", "stopped")]
)
def test_a_webhook_gets_one_request_that_says_all(status: int, halted: str, ending: str, tmp_path: Path) -> None:
    with hook() as server:
        assert told(run_of(tmp_path, server.url), status, halted) == []
    (body,) = server.bodies
    assert server.paths == [f"/hooks/{SECRET}"]
    assert (body["name"], body["folder"]) == ("night", str(tmp_path / "night"))
    assert (body["status"], body["reason"], body["trials"], body["counts"]) == (ending, halted, 4, COUNTS)
    assert body["best"]["metric"] == "val_accuracy"
    assert body["best"]["score"] == pytest.approx(0.3, abs=0.06)  # over the last epochs
    assert "Adam" in body["best"]["name"]
    assert (
        f"night {'was' if ending == 'stopped' else 'has'} {ending}; 4 trials: 1 interrupted, 2 finished" in body["text"]
    )
    assert SECRET not in json.dumps(body)


def test_a_command_gets_the_same_as_variables(tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = "$SWEEP_NAME|$SWEEP_FOLDER|$SWEEP_STATUS|$SWEEP_REASON|$SWEEP_TRIALS|$SWEEP_COUNTS|$SWEEP_METRIC"
    run = run_of(tmp_path, f'echo "{asked}" > {shlex.quote(str(out))}; echo "$SWEEP_JSON" >> {shlex.quote(str(out))}')
    assert told(run, 130, "asked to stop") == []
    line, body = out.read_text().splitlines()
    counts = "interrupted=1 finished=2 diverged=1"
    assert line == f"night|{run}|stopped|asked to stop|4|{counts}|val_accuracy"
    assert json.loads(body)["counts"] == COUNTS


def test_a_run_without_a_score_is_told_too(tmp_path: Path) -> None:
    with hook() as server:
        told(run_of(tmp_path, server.url, [trial("SGD", status=None)]))
    assert server.bodies[0]["best"] is None


def test_without_it_nothing_happens(tmp_path: Path) -> None:
    write_ledger(tmp_path / "night", TRIALS)
    assert "on_finish" not in SWEEP["spec"]
    assert told(tmp_path / "night") == []


# What goes wrong


def test_a_server_that_refuses_is_one_line(tmp_path: Path) -> None:
    with hook(404) as server:
        assert told(run_of(tmp_path, server.url)) == ["on_finish: the server answered 404"]


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (line,) = told(run_of(tmp_path, f"http://127.0.0.1:{port}/{SECRET}"))
    assert line == "on_finish: no answer ([Errno 111] Connection refused)"


@pytest.mark.parametrize("drips", [False, True])
@pytest.mark.usefixtures("soon")
def test_a_server_that_hangs_is_waited_for_no_longer(drips: bool, tmp_path: Path) -> None:
    """Also one that says something all the time, so that no single read times out."""
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not over.wait(0.1):
                if drips:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX: " if drips is True else b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        begun = time.monotonic()
        (line,) = told(run_of(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}/"))
        assert time.monotonic() - begun < 3
        over.set()
        thread.join()
    assert line.startswith("on_finish: ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"echo {SECRET} >&2; exit 3", "on_finish: the command ended with status 3"),
        (f"no-such-program-{SECRET}", "on_finish: the command ended with status 127"),
        ("kill -9 $$", "on_finish: the command ended with status -9"),
    ],
)
def test_a_command_that_fails_is_one_line(line: str, said: str, tmp_path: Path) -> None:
    assert told(run_of(tmp_path, line)) == [said]


@pytest.mark.usefixtures("soon")
def test_a_command_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    run = run_of(tmp_path, f"sleep 60 & echo $! $$ > {shlex.quote(str(pids))}; wait")
    assert told(run, 1) == ["on_finish: the command took longer than 1 s and was ended"]
    for pid in pids.read_text().split():
        deadline = time.monotonic() + 5
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline, pid
            time.sleep(0.01)


def test_a_record_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (line,) = told(tmp_path / "nowhere", target="true")
    assert line.startswith("on_finish: nothing was told (")


def test_a_line_that_no_process_can_have_is_one_line(tmp_path: Path) -> None:
    assert told(run_of(tmp_path, f"echo \0 {SECRET}"), 1) == ["on_finish: nothing was told (embedded null byte)"]


# What may be written


@pytest.mark.parametrize("target", ["mail -s done me", "https://hooks.example.org/x", "curl -d done http://a/b"])
def test_a_line_or_a_url_is_taken(target: str) -> None:
    assert parse_section(SweepSpec, sweep(on_finish=target)).on_finish == target


@pytest.mark.parametrize(
    "target",
    [
        *("", "  ", f"https:///{SECRET}", f"https://me:{SECRET}@a.org/", f"http://a.org/{SECRET} x", "http://a.org:x/"),
        *(f"http://a.org/{SECRET}\n", f"http://a.org/{SECRET}\tx", f"http://ä.org/{SECRET}"),
    ],
)
def test_what_cannot_be_called_is_refused_and_not_shown(target: str) -> None:
    if target.strip() != target and target.strip():
        assert parse_section(SweepSpec, sweep(on_finish=target)).on_finish == target.strip()
        return
    with pytest.raises(InputError, match="on_finish") as error:
        parse_section(SweepSpec, sweep(on_finish=target))
    assert SECRET not in str(error.value)


def test_the_recorded_command_line_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sweeps", "run", "a.yaml", f"on_finish=https://a/{SECRET}", "seeds=2"])
    assert command_line() == "sweeps run a.yaml 'on_finish=…' seeds=2"


# From the sweep file to the end of a driver


def test_a_sweep_that_is_stopped_says_so_once_and_shows_no_secret(tmp_path: Path) -> None:
    with hook(500) as server:
        spec = sweep_file(
            tmp_path, epochs=100_000, on_finish=server.url, parameters={"optimizer.lr": {"values": [0.01]}}
        )
        run = tmp_path / "runs" / "tiny"
        with driving("run", spec, cwd=tmp_path) as driver:
            driver.until(lambda: newest_epochs(run))
            driver.interrupt()
            assert driver.wait() == 130, driver.output()
            assert "on_finish: the server answered 500" in driver.output()
            assert SECRET not in driver.output()
    (body,) = server.bodies
    assert (body["status"], body["reason"], body["counts"]) == ("stopped", "interrupted", {"interrupted": 1})
    assert set(statuses(read(run)).values()) == {"running"}
    assert os.fspath(run) == body["folder"]
