from __future__ import annotations

from pathlib import Path

import pytest

from ch6dist.errors import InputError
from ch6dist.runs.folders import check_name, find_run, name_from, new_run, removed_unless_begun, runs_root
from ch6dist.runs.writer import Writer

BAD_NAMES = [
    "../x",
    "/tmp/x",
    "",
    "a b",
    ".",
    "..",
    ".hidden",
    "-n",
    "a/b",
    "a\n",
    "a\x00",
    "ä",
    "a" * 101,
    "~",
    "$HOME",
]


def made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    Writer(folder).close()
    return folder


@pytest.mark.parametrize("name", [*BAD_NAMES, None, 7, ["a"]])
@pytest.mark.parametrize("explicit", [True, False])
def test_a_name_that_is_more_than_a_folders_name_is_refused(tmp_path, name, explicit):
    with pytest.raises(InputError, match="letters, digits"):
        new_run(name, root=tmp_path / "runs", explicit=explicit)
    assert list(tmp_path.iterdir()) == [], "nothing was made"


@pytest.mark.parametrize("name", ["a", "A-1", "optimizer_lr.v2", "7", "a" * 100, "a..b"])
def test_plain_names_are_names(tmp_path, name):
    assert check_name(name) == name
    assert new_run(name, root=tmp_path, explicit=True) == tmp_path / name


def test_an_explicit_name_must_be_free(tmp_path):
    new_run("one", root=tmp_path, explicit=True)
    with pytest.raises(InputError, match="one"):
        new_run("one", root=tmp_path, explicit=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        new_run("file", root=tmp_path, explicit=True)


def test_other_names_are_numbered(tmp_path):
    made_names = [new_run("one", root=tmp_path, explicit=False).name for _ in range(3)]
    assert made_names == ["one", "one-2", "one-3"]
    (tmp_path / "one-2").rmdir()
    assert new_run("one", root=tmp_path, explicit=False).name == "one-2"


def test_a_run_is_found_by_path_and_by_name(tmp_path, monkeypatch):
    run = made(tmp_path / "runs" / "one")
    assert find_run(run) == run
    assert find_run("one", root=tmp_path / "runs") == run
    monkeypatch.setenv("CH6DIST_RUNS", str(tmp_path / "runs"))
    assert find_run("one") == run
    monkeypatch.delenv("CH6DIST_RUNS")
    monkeypatch.chdir(tmp_path)
    assert find_run("one").resolve() == run


def test_the_given_root_comes_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CH6DIST_RUNS", str(tmp_path / "environment"))
    assert runs_root(tmp_path / "given") == tmp_path / "given"
    assert runs_root() == tmp_path / "environment"
    monkeypatch.setenv("CH6DIST_RUNS", "")
    assert runs_root() == Path.cwd() / "runs"


@pytest.mark.parametrize("run", ["three", "", ".", "..", "/", "file", "one/ledger"])
def test_a_name_of_no_run_is_refused_with_the_runs_there_are(tmp_path, monkeypatch, run):
    home = tmp_path / "runs"
    made(home / "one")
    made(home / "two")
    (home / "empty").mkdir()
    (home / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="one, two"):
        find_run(run, root=home)


def test_without_any_runs_it_says_so(tmp_path):
    with pytest.raises(InputError, match="none yet"):
        find_run("one", root=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *(("demo", "demo-final"), ("best trial", "best-trial-final"), ("größe", "gro-e-final"), ("…", "unnamed-final")),
        *((".hidden", "hidden-final"), ("../x", "x-final"), ("a$b'c", "a-b-c-final"), ("模型", "unnamed-final")),
        *(("gr\udcf6", "gr--final"), ("", "unnamed-final")),
    ],
)
def test_any_text_gives_a_name(text, name):
    assert name_from(text, ending="-final") == name
    check_name(name_from(text, ending="-final"))


@pytest.mark.parametrize("length", [*range(85, 101), 300])
def test_a_long_name_stays_a_name_with_its_ending_and_any_number(tmp_path, length):
    name = name_from("a" * length, ending="-final")
    assert name.endswith("-final")
    for _ in range(3):
        made(folder := new_run(name, root=tmp_path, explicit=False))
        assert find_run(check_name(folder.name), root=tmp_path) == folder
        assert folder.name.startswith(name), "the number is added, nothing is cut off"


def test_a_number_fits_into_the_longest_name(tmp_path):
    names = [new_run("a" * 100, root=tmp_path, explicit=False).name for _ in range(11)]
    assert len(set(names)) == 11
    assert [check_name(name) for name in names] == names


def test_a_run_that_is_the_working_directory_has_its_name(tmp_path, monkeypatch):
    run = made(tmp_path / "one")
    monkeypatch.chdir(run)
    assert find_run(".").name == "one"
    monkeypatch.chdir(run / "ledger")
    assert find_run("..").name == "one"


def interrupted(run, lines):
    """Write lines to the ledger of a new run, and stop."""
    with removed_unless_begun(run), Writer(run) as writer:
        writer.append(lines)
        raise KeyboardInterrupt


def test_a_folder_made_in_vain_is_removed_and_one_with_lines_stays(tmp_path):
    for lines, stays in (([], False), ([{"kind": "row"}], True)):
        run = new_run("one", root=tmp_path, explicit=True)
        with pytest.raises(KeyboardInterrupt):
            interrupted(run, lines)
        assert run.exists() == stays
