"""cluster/: each file parses, its commands exist with their options, and each goes on, asks for the token, is quiet."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from ray.scripts.scripts import cli as ray_cli

from ch6dist.__main__ import app as ch6dist_app
from sweeps.__main__ import app as sweeps_app
from tests.support.paths import ROOT

FILES = sorted((ROOT / "cluster").iterdir())
PROGRAMS: dict[str, Any] = {  # groups of click, or of typer's own
    "ray": ray_cli,
    "sweeps": typer.main.get_command(sweeps_app),
    "ch6dist": typer.main.get_command(ch6dist_app),
}
RAY = "2.60.0"


def named(name: str) -> str:
    return (ROOT / "cluster" / name).read_text(encoding="utf-8")


def rayjob() -> dict[str, Any]:
    claim, job = yaml.safe_load_all(named("rayjob.yaml"))
    assert (claim["kind"], job["kind"], job["apiVersion"]) == ("PersistentVolumeClaim", "RayJob", "ray.io/v1")
    content: dict[str, Any] = job["spec"]
    return content


def sky() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(named("sky.yaml"))
    return content


def scripts(path: Path) -> str:
    """What a file has a shell do, a command a line."""
    text = path.read_text(encoding="utf-8")
    if path.name == "rayjob.yaml":
        text = rayjob()["entrypoint"]
    if path.name == "sky.yaml":
        text = sky()["setup"] + sky()["run"]
    plain = "\n".join(line.split(" #")[0] for line in text.splitlines() if not line.lstrip().startswith("#"))
    return plain.replace("\\\n", " ").replace(" -- ", "\n")


def commands(path: Path) -> list[list[str]]:
    """The words of every call of a program of ours or of Ray's."""
    found = re.findall(r"(?:^|[\s/(])((?:ray|sweeps|ch6dist) [a-z][^\n;|&)]*)", scripts(path), re.MULTILINE)
    return [shlex.split(call.replace("2> /dev/null", "")) for call in found]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_commands_exist_with_their_options(path: Path) -> None:
    calls = commands(path)
    assert any(call[:2] == ["sweeps", "run"] for call in calls)
    for program, name, *words in calls:
        group = PROGRAMS[program]
        assert name in group.commands, f"{program} {name}"
        known = {option for parameter in group.commands[name].params for option in parameter.opts}
        if name == "symmetric-run":  # it hands what is not its own to `ray start`
            known |= {option for parameter in group.commands["start"].params for option in parameter.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= known, f"{program} {name}: {given - known}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_sweep_goes_on_in_the_ray_that_is_there(path: Path) -> None:
    (call,) = [call for call in commands(path) if call[:2] == ["sweeps", "run"]]
    assert {"--name", "--resume", "--address"} <= set(call)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_ray_asks_for_a_token_and_reports_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "RAY_AUTH_MODE=token" in text or rayjob()["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert re.search(r"RAY_USAGE_STATS_ENABLED(=0|, value: \"0\")", text)
    assert "0.0.0.0" not in text
    assert not re.search(r"RAY_AUTH_TOKEN=[0-9a-f]{8}", text), "no token is written down"


def test_on_kubernetes_it_is_retried_and_nobody_outside_is_let_in() -> None:
    spec = rayjob()
    cluster = spec["rayClusterSpec"]
    assert spec["backoffLimit"] > 0
    assert spec["shutdownAfterJobFinishes"] is True
    assert cluster["rayVersion"] == RAY
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert cluster["headGroupSpec"]["enableIngress"] is False
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        (container,) = pod["containers"]
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        assert env["CH6DIST_RUNS"].startswith(container["volumeMounts"][0]["mountPath"]), "the runs outlive the pods"
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "ch6dist"}
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert all(isinstance(value, str) for value in env.values()), "Kubernetes takes text alone"


def test_skypilot_recovers_and_keeps_its_own_ray() -> None:
    content = sky()
    assert content["resources"]["use_spot"] is True
    assert content["secrets"] == {"RAY_AUTH_TOKEN": None}
    assert "ray stop" not in re.sub(r"#.*", "", content["run"])
    assert 'storage="$STORAGE"' in content["run"]
    assert set(content) <= {"name", "num_nodes", "resources", "workdir", "envs", "secrets", "setup", "run"}


def test_slurm_starts_it_again_with_a_token_of_its_own() -> None:
    text = named("slurm.sbatch")
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert {"requeue", "exclusive"} <= set(options)
    assert options["ntasks-per-node"] == "1"
    assert re.fullmatch(r"B:TERM@\d+", options["signal"])
    assert text.count("#SBATCH") == len(options), "a comment stands on a line of its own"
    assert "/dev/urandom" in text
    assert "--dashboard-host=127.0.0.1" in text


@pytest.mark.parametrize("name", ["slurm.sbatch", "sky.yaml"])
def test_its_shell_has_no_finding(name: str, tmp_path: Path) -> None:
    text = named(name)
    if name == "sky.yaml":
        text = "#!/bin/bash\n" + sky()["run"]
    script = tmp_path / "script.sh"
    script.write_text(text)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
