"""Questions about the user's code: one process for those of a command, a fork of it for each, and none that is left."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ch6dist.catalog import asked
from ch6dist.catalog.asked import ask
from tests.support.paths import ROOT

PROGRAMS = {
    "who": "import json, os, sys\n"
    "print(json.dumps({'pid': os.getpid(), 'parent': os.getppid(), 'folder': os.getcwd(), 'argv': sys.argv,\n"
    "                  'told': os.environ.get('TOLD')}))",
    "leaves": "import json, sys\nfound = sys.modules.get('left')\nsys.modules['left'] = sys\n"
    "print(json.dumps({'found': found is not None}))",
    "talks": "import sys\nprint('x' * 200_000)\nprint('y' * 200_000, file=sys.stderr)\nprint('{\"long\": 1}')",
    "reads": "import json, sys\nprint(json.dumps({'read': sys.stdin.read()}))",
    "dies": "import os\nos.kill(os.getpid(), 9)",
    "raises": "raise ValueError('no\\nsuch thing')",
    "refuses": "import sys\nsys.exit('not that')",
    "silent": "",
    "hangs": "import time\ntime.sleep(600)",
}


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Programs in the working directory, and a process that has answered nothing yet."""
    for name, body in PROGRAMS.items():
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asked, "_ANSWERING", asked._Answering())
    monkeypatch.setattr(asked, "PRELOAD", ())  # torch would take its second and a half in each of these tests
    yield
    asked._ANSWERING.end()


def process() -> int:
    assert asked._ANSWERING.process is not None
    return asked._ANSWERING.process.pid


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for does not."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_questions_share_a_process_and_each_is_a_fork_of_it() -> None:
    first, second = ask("who", ["a"]), ask("who", ["b"])
    assert first["parent"] == second["parent"] == process() != os.getpid()
    assert first["pid"] != second["pid"]
    assert (first["argv"][1:], second["argv"][1:]) == (["a"], ["b"])


def test_what_is_alone_is_no_fork() -> None:
    assert ask("who", [], alone=True)["parent"] == os.getpid()


def test_nothing_of_a_question_is_found_by_the_next() -> None:
    assert [ask("leaves", [])["found"] for _ in range(2)] == [False, False]


def test_each_is_asked_in_its_folder_and_with_the_environment_of_that_moment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "below").mkdir()
    assert ask("who", [], folder="below")["folder"] == str(tmp_path / "below")
    monkeypatch.setenv("TOLD", "now")
    found = ask("who", [])
    assert (found["folder"], found["told"]) == (str(tmp_path), "now")
    monkeypatch.delenv("TOLD")
    assert ask("who", [])["told"] is None


def test_a_program_may_say_much_and_reads_nothing_of_the_next_question() -> None:
    assert ask("talks", []) == {"long": 1}
    assert ask("reads", []) == {"read": ""}
    assert ask("who", ["still"])["argv"][1:] == ["still"]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("dies", "its process ended with status -9 and said: nothing"),
        ("raises", "its process ended with status 1 and said: such thing"),
        ("refuses", "its process ended with status 1 and said: not that"),
        ("silent", "its process ended with status 0 and said: nothing"),
        ("no_such_program", "its process ended with status 1 and said: ImportError: No module named no_such_program"),
    ],
)
@pytest.mark.parametrize("alone", [False, True])
def test_a_program_without_an_answer_says_how_it_ended_and_the_next_one_answers(
    program: str, why: str, alone: bool
) -> None:
    error = ask(program, [], alone=alone)["error"]
    assert error.startswith("code that can be run; its process ended")
    if not (alone and program == "no_such_program"):  # Python has its own words for that
        assert error == f"code that can be run; {why}"
    assert "pid" in ask("who", [], alone=alone)


def test_what_hangs_is_ended_in_time() -> None:
    first = ask("who", [])["parent"]
    began = time.monotonic()
    assert ask("hangs", [], limit=0.5) == {"error": "code that answers within 0 s"}
    assert time.monotonic() - began < 60
    assert not is_there(first)
    assert ask("who", [])["parent"] != first


def test_a_process_that_was_killed_or_has_gone_meanwhile_is_replaced() -> None:
    for _ in range(2):
        first = ask("who", [])["parent"]
        os.kill(first, signal.SIGKILL)
        assert ask("who", [])["parent"] == process() != first


def test_it_ends_when_nobody_asks_for_long() -> None:
    idle = "import ch6dist.objects.answering as a; a.IDLE_SECONDS = 0.2; a.main()"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", idle], stdin=subprocess.PIPE, env=environment) as answering:
        assert answering.wait(timeout=60) == 0, "its stdin is still open"


def test_what_cannot_be_imported_beforehand_is_said_by_the_program(tmp_path: Path) -> None:
    (tmp_path / "broken_lib.py").write_text("raise OSError('libcudart.so: cannot open shared object file')")
    (tmp_path / "needs_it.py").write_text("import broken_lib")
    said = ask("needs_it", [], preload=("broken_lib",))["error"]
    assert said.endswith("said: OSError: libcudart.so: cannot open shared object file")


def test_a_process_with_thousands_of_open_files_can_ask(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limit[1]), limit[1]))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1500):
                stack.enter_context(open(os.devnull))
            assert "pid" in ask("who", [])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


def test_half_an_answer_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process ends in the middle of a line: it is asked anew, of another one."""
    body = "import pathlib, sys\nsys.stdin.readline()\nseen = pathlib.Path('seen')\n"
    body += "again = seen.exists()\nseen.touch()\n"
    body += 'print(\'{"status": 0, "out": "{}", "said": ""}\' if again else \'{"status": 0, "o\', end=\'\')\n'
    body += "print() if again else None\n"
    (tmp_path / "cut_off.py").write_text(body)
    monkeypatch.setattr(asked, "ANSWERING", "cut_off")
    assert ask("who", []) == {}


def test_it_imports_from_where_this_process_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "pid" in ask("who", [])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "who.py").write_text("print('{\"other\": true}')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    assert ask("who", []) == {"other": True}


@pytest.mark.parametrize("how", ["its end", "SIGKILL", "Ctrl-C"])
def test_no_process_is_left_by_a_command(how: str, tmp_path: Path) -> None:
    """Asked by a command that ends, is killed, or is interrupted while it waits."""
    waits = "time.sleep(600)" if how == "SIGKILL" else "ask('hangs', [])" if how == "Ctrl-C" else "pass"
    program = (
        "import time\nfrom ch6dist.catalog import asked\nfrom ch6dist.catalog.asked import ask\nasked.PRELOAD = ()\n"
        f"print(ask('who', [])['parent'], flush=True)\n{waits}\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    command = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert command.stdout is not None
    answering = int(command.stdout.readline())
    if how == "SIGKILL":
        command.kill()
    elif how == "Ctrl-C":
        assert in_time(lambda: bool(children_of(answering))), "it has not begun"
        command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    assert in_time(lambda: not is_there(answering))


def in_time(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold within half a minute."""
    deadline = time.monotonic() + 30
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def children_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []


def test_a_fork_of_this_process_leaves_its_answers_alone() -> None:
    """What forks a process that has asked (a pool of workers) must neither read its pipe nor end its process."""
    mine = ask("who", [])["parent"]
    child = os.fork()
    if not child:
        other: Any = ask("who", [])
        os._exit(0 if other["parent"] != mine else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ask("who", [])["parent"] == mine


def test_what_hangs_ends_although_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    program = (
        "from ch6dist.catalog import asked\nfrom ch6dist.catalog.asked import ask\nasked.PRELOAD = ()\n"
        "print(ask('who', [])['parent'], flush=True)\nask('hangs', [], limit=1.0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    command = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert command.stdout is not None
    answering = int(command.stdout.readline())
    assert in_time(lambda: bool(children_of(answering)))
    command.kill()
    command.communicate(timeout=60)
    assert in_time(lambda: not is_there(answering))
