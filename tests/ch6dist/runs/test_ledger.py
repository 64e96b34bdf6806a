from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ch6dist.errors import InputError, UsageError
from ch6dist.runs import ledger as module
from ch6dist.runs.columns import ROW_COLUMNS, VOLATILE_COLUMNS
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.names import LEDGER
from ch6dist.runs.schema import Status
from ch6dist.runs.writer import Writer
from tests.support.paths import ROOT


def row(step, trial="a", attempt=1, **columns):
    return {"kind": "row", "trial": trial, "attempt": attempt, "epoch": step, "step": step, "lr": 0.1, **columns}


def state(status, trial="a", attempt=1):
    return {"kind": "status", "trial": trial, "attempt": attempt, "status": status}


def named(trial="a"):
    return {"kind": "trial", "trial": trial, "configuration": trial, "name": trial, "config": {}, "seed": 0}


def write(folder, *lines):
    with Writer(folder) as writer:
        writer.append(lines)
    return read(folder)


def segments(folder):
    return sorted(path.name for path in (folder / LEDGER).iterdir())


def test_cut_at_every_byte_of_its_last_line_it_still_loads(tmp_path):
    write(tmp_path, named(), row(1, val_loss=1.5), row(2, val_loss=1.25))
    file = tmp_path / LEDGER / "000001.jsonl"
    whole = file.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for end in range(last, len(whole)):
        file.write_bytes(whole[:end])
        assert [r["step"] for r in read(tmp_path).rows] == [1], end
    file.write_bytes(whole)
    assert [r["step"] for r in read(tmp_path).rows] == [1, 2]


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_writer_after_a_cut_begins_a_new_segment_and_nothing_before_is_lost(tmp_path, cut):
    write(tmp_path, row(1), row(2))
    file = tmp_path / LEDGER / "000001.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])
    found = write(tmp_path, row(3))
    assert segments(tmp_path) == ["000001.jsonl", "000002.jsonl"]
    assert [r["step"] for r in found.rows] == [1, 3]


def test_a_segment_opened_and_never_written_is_an_empty_ledger(tmp_path):
    Writer(tmp_path).close()
    assert read(tmp_path) == module.Ledger()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_null_wherever_they_stand(tmp_path, value):
    artifact = {"kind": "artifact", "trial": "a", "attempt": 1, "name": "range_test", "value": {"lr": [0.1, value]}}
    found = write(tmp_path, row(1, val_loss=value), artifact)
    assert found.rows[0]["val_loss"] is None
    assert found.artifacts["a", "range_test"]["value"] == {"lr": [0.1, None]}
    text = (tmp_path / LEDGER / "000001.jsonl").read_text()
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_the_last_line_of_a_key_counts_and_rows_are_sorted(tmp_path):
    found = write(tmp_path, row(2, val_loss=2.0), row(1, "b"), row(1), row(2, val_loss=3.0))
    assert [(r["trial"], r["step"], r.get("val_loss")) for r in found.rows] == [
        ("a", 1, None),
        ("a", 2, 3.0),
        ("b", 1, None),
    ]


def test_only_the_newest_attempt_is_read(tmp_path):
    artifact = {"kind": "artifact", "trial": "a", "name": "best", "path": "x"}
    old = [named(), state("running"), row(1), row(2), {**artifact, "attempt": 1}, row(1, "b"), state("failed")]
    found = write(tmp_path, *old, state("running", attempt=2), row(1, attempt=2, val_loss=0.5))
    assert [(r["trial"], r["attempt"], r["step"]) for r in found.rows] == [("a", 2, 1), ("b", 1, 1)]
    assert found.artifacts == {}
    assert (found.status("a"), found.attempt("a")) == (Status.RUNNING, 2)
    assert len(found.history["a"]) == 3


def test_a_late_line_of_an_older_attempt_changes_nothing(tmp_path):
    newer = [state("running", attempt=2), row(1, attempt=2, val_loss=0.5), state("finished", attempt=2)]
    found = write(tmp_path, *newer, row(1, val_loss=9.0), row(7), state("failed"))
    assert [(r["step"], r["val_loss"]) for r in found.rows] == [(1, 0.5)]
    assert found.status("a") == Status.FINISHED


EVENTS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(1, 3), st.integers(1, 12), st.sampled_from(["row", "row", "status"]))
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, last=st.integers(1, 5), cut=st.integers(0, 20))
def test_whatever_is_kept_of_the_rows_is_what_the_whole_ledger_has(tmp_path_factory, events, last, cut):
    folder = tmp_path_factory.mktemp("run")
    lines = [
        row(step, trial, attempt, seconds=float(number), eval_seconds=0.5)
        if kind == "row"
        else state("running", trial, attempt)
        for number, (trial, attempt, step, kind) in enumerate(events)
    ]
    whole = write(folder, named("a"), *lines)
    newest, rows = {}, {}
    for line in lines:  # the rule, written plainly
        newest[line["trial"]] = max(line["attempt"], newest.get(line["trial"], 0))
    for line in lines:
        if line["kind"] == "row" and line["attempt"] == newest[line["trial"]]:
            rows[line["trial"], line["step"]] = line
    assert whole.rows == [rows[key] for key in sorted(rows)]
    taken = []
    few = read(folder, last=last, take=taken.append)
    assert few.rows_by_trial() == {trial: found[-last:] for trial, found in whole.rows_by_trial().items()}
    spent = {
        trial: sum(line["seconds"] + line["eval_seconds"] for line in rows.values() if line["trial"] == trial)
        for trial in newest
    }
    assert whole.seconds == few.seconds == {trial: spent[trial] for trial in whole.seconds}
    assert all(trial in whole.seconds for trial, _ in rows)
    assert (few.statuses, few.history, few.attempts, few.lines) == (whole.statuses, whole.history, newest, [])
    assert {(line["trial"], line["step"]): line for line in taken if line["attempt"] == newest[line["trial"]]} == rows
    added = write(tmp_path_factory.mktemp("half"), named("a"), *lines[:cut])
    module.add_lines(added, lines[cut:])
    assert (added.rows, added.statuses, added.history) == (whole.rows, whole.statuses, whole.history)


@pytest.mark.parametrize("last", [None, 1])
@pytest.mark.parametrize(
    "damage", [b'{"kind": "row", "tri', b"", b"\x00\x00\x00", b"17", b"null", b"[1, 2]", b"\xff\xfe"]
)
def test_a_damaged_line_in_the_middle_is_refused_naming_file_and_line(tmp_path, damage, last):
    write(tmp_path, row(1), row(2), row(3))
    file = tmp_path / LEDGER / "000001.jsonl"
    lines = file.read_bytes().split(b"\n")
    file.write_bytes(b"\n".join([lines[0], damage, *lines[2:]]))
    with pytest.raises(UsageError, match=r"000001\.jsonl:2 is damaged"):
        read(tmp_path, last=last)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ledger/000001\.jsonl"):
        read(tmp_path)
    (tmp_path / LEDGER).mkdir()
    with pytest.raises(InputError):
        read(tmp_path)


def test_segments_roll_over(tmp_path):
    with Writer(tmp_path, lines_per_segment=3) as writer:
        for step in range(1, 11):
            writer.append([row(step)])
    counts = [len(path.read_text().splitlines()) for path in sorted((tmp_path / LEDGER).iterdir())]
    assert counts == [3, 3, 3, 1]
    assert [r["step"] for r in read(tmp_path).rows] == list(range(1, 11))


def test_twenty_thousand_rows_and_as_many_reruns_load(tmp_path):
    trials = [f"t{number:04d}" for number in range(1000)]
    first = [row(step, trial) for trial in trials for step in range(1, 11)]
    again = [row(step, trial, attempt=2) for trial in trials for step in range(1, 11)]
    found = write(tmp_path, *first, *again)
    assert len(found.rows) == 10_000
    assert {r["attempt"] for r in found.rows} == {2}
    assert len(found.rows_by_trial()["t0999"]) == 10


COLUMNS = [c.name for c in ROW_COLUMNS if c.name not in ("trial", "attempt", "step")]


def test_equal_ledgers_have_no_differences(tmp_path):
    lines = [named(), row(1, val_loss=0.5), row(2, val_loss=math.nan), state("diverged")]
    assert differences(write(tmp_path / "a", *lines), write(tmp_path / "b", *lines)) == []


@pytest.mark.parametrize("column", COLUMNS)
def test_differences_are_those_that_are_not_speed(tmp_path, column):
    a = write(tmp_path / "a", named(), row(1, **{column: 1.0}), state("finished"))
    b = write(tmp_path / "b", named(), row(1, **{column: 1.0 + 2**-52}), state("finished"))
    found = differences(a, b)
    assert len(found) == (column not in VOLATILE_COLUMNS)
    assert all(column in line for line in found)


def test_differences_do_not_look_at_the_attempt(tmp_path):
    a = write(tmp_path / "a", named(), row(1), state("finished"))
    again = [row(1, attempt=2), state("finished", attempt=2)]
    assert differences(a, write(tmp_path / "b", named(), row(1), row(9), *again)) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([named(), row(1), state("finished")], "only in the first: ('a', 2)"),
        ([named(), row(1), row(2), row(3), state("finished")], "only in the second: ('a', 3)"),
        ([named(), row(1), row(2), state("stopped")], "status: finished and stopped"),
        ([named(), row(1), row(2), state("finished"), named("b")], "b only in one"),
        ([named(), row(1, test_loss=0.5), row(2), state("finished")], "test_loss: None and 0.5"),
    ],
)
def test_differences_name_what_differs(tmp_path, lines, expected):
    a = write(tmp_path / "a", named(), row(1), row(2), state("finished"))
    found = differences(a, write(tmp_path / "b", *lines))
    assert len(found) == 1
    assert expected in found[0]


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none()
TEXT = st.text(st.characters(codec="utf-8"))  # half surrogate pairs have a test of their own
ROWS = st.dictionaries(st.integers(1, 10**9), st.dictionaries(TEXT.map(lambda key: f"x{key}"), NUMBERS | TEXT))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=ROWS)
def test_what_is_written_is_read_back(tmp_path_factory, content):
    lines = [row(step, **columns) for step, columns in content.items()]
    folder = tmp_path_factory.mktemp("run")
    assert write(folder, *lines).rows == sorted(lines, key=lambda line: line["step"])


def test_text_that_is_no_unicode_does_not_make_the_ledger_unreadable(tmp_path):
    reason = b"no such file: caf\xe9.bin\n\xe2\x80\xa8".decode(errors="surrogateescape")
    found = write(tmp_path, {**state("failed"), "reason": reason}, row(1))
    assert found.statuses["a"]["reason"] == "no such file: caf?.bin\n\u2028"


FULL_DISK = """
import resource, signal, sys
from ch6dist.runs.writer import Writer
from ch6dist.runs.ledger import read
line = {"kind": "row", "trial": "a", "attempt": 1, "epoch": 1, "lr": 0.1, "note": "x" * 1000}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Writer(sys.argv[1]) as writer:
    writer.append([{**line, "step": 1}])
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        writer.append([{**line, "step": step} for step in range(2, 12)])
    except OSError as error:
        print("refused", error.errno)
    print(len(read(sys.argv[1]).rows))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append([{**line, "step": step} for step in range(2, 12)])
print([row["step"] for row in read(sys.argv[1]).rows])
"""


@pytest.mark.parametrize("size", [1500, 2500, 5000])
def test_a_full_disk_is_reported_and_what_follows_it_is_readable(tmp_path, size):
    found = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), str(size)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0] == "refused 27"  # EFBIG: as a full disk, after a part of what was to be written
    assert 1 <= int(lines[1]) < 11
    assert lines[2] == str(list(range(1, 12)))
