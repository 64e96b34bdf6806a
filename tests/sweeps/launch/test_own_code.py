"""Code of the user's own: it travels with its run, a change of it makes other trials, and none runs unasked."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ch6dist.catalog.fingerprints import hash_of
from ch6dist.runs.differences import differences
from ch6dist.runs.ledger import read
from ch6dist.runs.own_code import unpack
from ch6dist.training.checkpoint import Checkpoints
from sweeps.launch.own import of_run
from tests.support.commands import command, environment, refused, succeed, sweep_file, sweeps
from tests.support.own import OWN, own_optimizer, shadow
from tests.support.runs import statuses
from tests.support.trials import same_weights

pytestmark = pytest.mark.slow  # sweeps of two trials, several of them

CHANGED = "changed since: trials that are in the run keep"


def safe(*arguments: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `sweeps` as it is installed: in a folder that may hold a sweeps.py."""
    line = [sys.executable, "-P", "-m", "sweeps", *map(str, arguments)]
    return subprocess.run(line, cwd=cwd, env=environment(**env), capture_output=True, text=True, check=False)


def codes(run: Path) -> list[str]:
    return [line["config"]["optimizer"].get("code", "") for line in read(run).trials.values()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sweep of the user's own optimizer that has ended, and modules that shadow others."""
    here = tmp_path_factory.mktemp("own")
    own_optimizer(here)
    shadow(here, "sweeps", "random", "typing", "torch", "ray", "ch6dist")
    spec = sweep_file(here, parameters={"optimizer": {"values": ["myoptim:Opt", "Adam"]}}, epochs=1)
    done = safe("run", spec, cwd=here)
    assert done.returncode == 0, done.stdout + done.stderr
    return here


@pytest.fixture
def moved(trained: Path, tmp_path: Path) -> Path:
    """The run folder alone, in another working directory and as another user has it."""
    return Path(shutil.copytree(trained / "runs" / "tiny", tmp_path / "tiny"))


def test_it_trains_in_a_folder_whose_modules_have_the_names_of_others(trained: Path) -> None:
    run = trained / "runs" / "tiny"
    assert set(statuses(read(run)).values()) == {"finished"}
    [code] = filter(None, codes(run))
    kept = {str(path.relative_to(run / "code")) for path in (run / "code").rglob("*") if path.is_file()}
    assert kept == {f"{code}/myoptim.py", f"{code}/helper.py"}
    assert (run / "code" / code / "helper.py").read_bytes() == (trained / "helper.py").read_bytes()


def test_a_run_is_read_elsewhere_and_nothing_of_it_runs(moved: Path, tmp_path: Path) -> None:
    own_optimizer(tmp_path)
    (tmp_path / "myoptim.py").write_text("open('ran', 'w')\n")
    for arguments in (("status",), ("top",), ("best",), ("explain",)):
        succeed(arguments[0], moved, cwd=tmp_path)
    assert "myoptim:Opt" in succeed("top", moved, cwd=tmp_path).stdout
    [own] = [trial for trial in read(moved).trials if trial.startswith("opt")]
    assert "scale" in succeed("show", moved, own, cwd=tmp_path).stdout
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("how", [("rerun", "opt"), ("resume", "seeds=2"), ("final", "--trial", "opt")])
def test_code_of_a_run_from_elsewhere_is_refused_in_one_line(how: tuple[str, ...], moved: Path, tmp_path: Path) -> None:
    before = (moved / "ledger" / "000001.jsonl").read_bytes()
    done = sweeps(how[0], moved, *how[1:], cwd=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "brings code of its own: helper.py, myoptim.py; --trust runs it" in done.stderr
    assert (moved / "ledger" / "000001.jsonl").read_bytes() == before
    assert len(list((moved / "ledger").iterdir())) == 1


def test_a_look_at_a_network_runs_no_code_of_a_run_from_elsewhere_unasked(moved: Path, tmp_path: Path) -> None:
    look = ("look", moved, "opt", "-o", tmp_path / "out", "--root", tmp_path)
    elsewhere = {"cwd": tmp_path, "module": "ch6dist", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = sweeps(*look, **elsewhere)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "brings code of its own: helper.py, myoptim.py; --trust runs it" in done.stderr
    assert not (tmp_path / "out").exists()
    succeed(*look, "--trust", **elsewhere)
    assert (tmp_path / "out" / "network.json").is_file()


@pytest.mark.parametrize(("answer", "status"), [("n", 2), ("", 2), ("y", 0)])
def test_a_terminal_is_asked(answer: str, status: int, moved: Path, tmp_path: Path) -> None:
    near, far = pty.openpty()
    env = environment(XDG_CACHE_HOME=str(tmp_path / "cache"))
    line = command("rerun", moved, "opt", "--packs", "off")
    if answer == "y":  # what follows is tried without a sweep: the answer is remembered before it begins
        line = [sys.executable, "-c", ASK, str(moved)]
    process = subprocess.Popen(line, cwd=tmp_path, env=env, stdin=far, stdout=far, stderr=far)
    os.close(far)
    os.write(near, f"{answer}\n".encode())
    assert process.wait(timeout=60) == status
    said = os.read(near, 10_000).decode()
    os.close(near)
    assert "brings code of its own: helper.py, myoptim.py; run it? [y/N]" in said
    assert (tmp_path / "cache" / "ch6dist" / "trusted-code").exists() == (answer == "y")


ASK = """
import sys
from pathlib import Path
from ch6dist.runs.ledger import read
from sweeps.launch.own import of_run
run = Path(sys.argv[1])
of_run(run, read(run), trust=False)
"""


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_copy_that_is_not_what_was_recorded_is_refused(damage: str, moved: Path, tmp_path: Path) -> None:
    [helper] = (moved / "code").rglob("helper.py")
    if damage == "changed":
        helper.write_text("STEP = 2.0\n")
    if damage == "lost":
        helper.unlink()
    assert "helper.py" in refused("rerun", moved, "opt", "--trust", cwd=tmp_path)


def test_only_what_was_recorded_is_unpacked(moved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [home] = (moved / "code").iterdir()
    (home / "__pycache__").mkdir()
    (home / "__pycache__" / "helper.cpython-311.pyc").write_bytes(b"attack")
    (home / "random.py").write_text("attack")
    code = of_run(moved, read(moved), trust=True)
    [files] = code.files.values()
    unpacked = unpack(files)
    assert sorted(path.name for path in unpacked.iterdir()) == ["helper.py", "myoptim.py"]


def test_what_is_installed_but_named_by_a_run_is_asked_for_too(moved: Path, tmp_path: Path) -> None:
    segment = moved / "ledger" / "000001.jsonl"
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    for line in lines:
        if line["kind"] == "trial" and "code" not in line["config"]["optimizer"]:
            line["config"]["optimizer"]["name"] = "subprocess:Popen"
    segment.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    own_optimizer(tmp_path)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert "subprocess:Popen" in sweeps("rerun", moved, "adam", cwd=tmp_path, **cache).stderr


def test_a_path_out_of_its_folder_is_refused(moved: Path, tmp_path: Path) -> None:
    segment = moved / "ledger" / "000001.jsonl"
    text = segment.read_text()
    head: dict[str, Any] = json.loads(text.splitlines()[0])
    files = {"../../evil.py": "0" * 64}
    for one in head["described"]:
        text = text.replace(one["code"], hash_of(files))
        text = text.replace(json.dumps(one["files"], separators=(",", ":")), json.dumps(files, separators=(",", ":")))
    segment.write_text(text)
    assert "is damaged" in refused("rerun", moved, "opt", "--trust", cwd=tmp_path)


def test_a_changed_file_makes_other_trials_and_a_resume_keeps_the_old(tmp_path: Path) -> None:
    own_optimizer(tmp_path)
    spec = sweep_file(tmp_path, parameters=OWN, epochs=1)
    succeed("run", spec, cwd=tmp_path)
    run = tmp_path / "runs" / "tiny"
    [old] = codes(run)
    first = read(run)

    own_optimizer(tmp_path, step=2.0, names=("Opt", "New"))
    again = succeed("rerun", run, "opt", cwd=tmp_path)
    assert f"helper.py, myoptim.py have {CHANGED}" in again.stdout
    assert differences(first, read(run)) == []

    more = ["seeds=2", 'parameters.optimizer.values=["myoptim:Opt", "myoptim:New"]']
    assert CHANGED in succeed("resume", run, *more, cwd=tmp_path).stdout
    by_name = {(line["config"]["optimizer"]["name"], line["seed"]): line for line in read(run).trials.values()}
    assert {key: line["config"]["optimizer"]["code"] == old for key, line in by_name.items()} == {
        ("myoptim:Opt", 0): True,
        ("myoptim:Opt", 1): True,
        ("myoptim:New", 0): False,
        ("myoptim:New", 1): False,
    }
    assert set(statuses(read(run)).values()) == {"finished"}
    assert len(list((run / "code").iterdir())) == 2

    assert "-2" in succeed("run", spec, cwd=tmp_path).stdout
    [new] = codes(tmp_path / "runs" / "tiny-2")
    assert new not in (old, "")
    (tmp_path / "myoptim.py").unlink()
    succeed("final", run, "--trial", next(iter(first.trials)), cwd=tmp_path)
    assert codes(tmp_path / "runs" / "tiny-final") == [old]


def test_one_trial_keeps_its_code_too(tmp_path: Path) -> None:
    own_optimizer(tmp_path)
    data = {"name": "synthetic_cifar100", "train_size": 128, "val_size": 64, "batch_size": 64, "augment": "none"}
    trial = {"data": data, "optimizer": "myoptim:Opt", "epochs": 1}
    (tmp_path / "t.yaml").write_text(yaml.safe_dump(trial))
    succeed("train", "t.yaml", "--run", "one", module="ch6dist", cwd=tmp_path)
    [code] = codes(tmp_path / "one")
    assert (tmp_path / "one" / "code" / code / "helper.py").is_file()
    [name] = read(tmp_path / "one").trials
    before = Checkpoints(tmp_path / "one" / "checkpoints").load(name, "last")
    lines = (tmp_path / "one" / "ledger" / "000001.jsonl").read_text().splitlines()
    begun = [line for line in lines if '"kind":"row"' not in line and '"finished"' not in line]
    (tmp_path / "one" / "ledger" / "000001.jsonl").write_text("".join(f"{line}\n" for line in begun))
    shutil.rmtree(tmp_path / "one" / "checkpoints")
    own_optimizer(tmp_path, step=2.0)
    done = succeed("train", "t.yaml", "--run", "one", "--resume", module="ch6dist", cwd=tmp_path)
    assert "changed since: helper.py" in done.stdout
    after = Checkpoints(tmp_path / "one" / "checkpoints")
    again = after.load(name, "last") or Checkpoints(tmp_path / "one" / "checkpoints", {name: 2}).load(name, "last")
    assert before is not None
    assert again is not None
    assert same_weights(before["lane"]["model"], again["lane"]["model"])
