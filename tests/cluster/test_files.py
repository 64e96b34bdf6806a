"""cluster.yaml and its on-premises variant: Ray takes them, every command carries the token, SSH is the only way in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.support.paths import ROOT

FILES = ["cluster.yaml", "cluster.on-premises.yaml"]
START = ["head_start_ray_commands", "worker_start_ray_commands"]

# Ray's own preparation of `ray up`, against an AWS at AWS_ENDPOINT_URL; then what that AWS holds.
BOOTSTRAP = """
import json, sys, boto3, yaml
from ray.autoscaler._private.commands import _bootstrap_config
for name in ("head", "worker"):
    boto3.client("iam").create_instance_profile(InstanceProfileName="ch6dist-" + name)
config = _bootstrap_config(yaml.safe_load(open(sys.argv[1])), no_config_cache=True)
groups = boto3.client("ec2").describe_security_groups()["SecurityGroups"]
rules = {group["GroupId"]: group["IpPermissions"] for group in groups}
print("\\n" + json.dumps({"types": config["available_node_types"], "rules": rules}))
"""


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return content


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_file(name: str) -> None:
    prepared = prepare_config(load(name))
    validate_config(prepared)  # against ray-schema.json
    with pytest.raises(Exception, match=r"(?i)additional properties"):
        validate_config(prepared | {"a_key_that_ray_does_not_know": 1})


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", START)
def test_every_start_and_stop_command_carries_the_token_and_is_quiet(name: str, key: str) -> None:
    commands = load(name)[key]
    assert [part for command in commands for part in ("ray stop", "ray start") if part in command] == [
        "ray stop",
        "ray start",
    ]
    for command in commands:
        before = command[: command.index("ray st")]
        assert "RAY_AUTH_MODE=token" in before
        assert "RAY_USAGE_STATS_ENABLED=0" in before


@pytest.mark.parametrize("name", FILES)
def test_shells_carry_the_token_too_and_setting_up_twice_changes_nothing(name: str, tmp_path: Path) -> None:
    content = load(name)
    assert content["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    (tmp_path / ".bashrc").write_text("case $- in *i*) ;; *) return ;; esac\n")  # Ubuntu's ends here in a script
    mine = [command for command in content["setup_commands"] if "make" not in command and "data" not in command.split()]
    for _ in range(2):
        for command in mine:
            subprocess.run(["bash", "-ec", command], env={"HOME": str(tmp_path), "PATH": os.defpath}, check=True)
    asked = ["bash", "-c", ". ~/.bashrc; echo $RAY_AUTH_MODE $RAY_USAGE_STATS_ENABLED $CH6DIST_DATA"]
    said = subprocess.run(asked, env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True).stdout.split()
    assert said[:2] == ["token", "0"]
    assert said[2].endswith("/data")
    assert (tmp_path / ".bashrc").read_text().count(". ~/.ch6dist") == 1
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", FILES)
def test_the_dashboard_is_for_the_head_alone(name: str) -> None:
    head = load(name)["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in head
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head


def test_no_trial_lands_on_the_head_on_aws_and_spot_workers_come_and_go() -> None:
    content = load("cluster.yaml")
    types = content["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0, "GPU": 0}
    assert "--num-cpus=0 --num-gpus=0" in content["head_start_ray_commands"][-1]
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert 0 <= types["gpu"]["min_workers"] <= types["gpu"]["max_workers"] <= content["max_workers"]
    assert content["idle_timeout_minutes"] > 0


def test_every_file_that_is_installed_on_aws_is_there_and_nothing_is_missing() -> None:
    mounts = load("cluster.yaml")["file_mounts"]
    sent = {local for remote, local in mounts.items() if remote.startswith("~/ch6dist/")}
    assert all((ROOT / local).exists() for local in sent)
    assert {remote for remote in mounts if remote.startswith("~/ch6dist/")} == {f"~/ch6dist/{local}" for local in sent}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages | {"pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"} == sent


def test_the_on_premises_head_starts_the_last_worker_too() -> None:
    assert "RAY_enable_autoscaler_v2=0" in load("cluster.on-premises.yaml")["head_start_ray_commands"][-1]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a process for which AWS is a server on loopback."""
    pytest.importorskip("boto3", reason="boto3, with which Ray speaks to AWS, is not installed")
    moto = pytest.importorskip("moto.server", reason="moto, an AWS on loopback, is not installed")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    home = {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": os.environ["PATH"]}
    yield {**home, **keys, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    server.stop()


def test_on_aws_ssh_is_the_only_way_in_and_the_profiles_are_ours(aws: dict[str, str]) -> None:
    command = [sys.executable, "-c", BOOTSTRAP, str(ROOT / "cluster.yaml")]
    done = subprocess.run(command, env=aws, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name, kind in found["types"].items():
        assert kind["node_config"]["IamInstanceProfile"] == {
            "Name": f"ch6dist-{'head' if name == 'head' else 'worker'}"
        }
        (group,) = kind["node_config"]["SecurityGroupIds"]
        inside = [rule for rule in found["rules"][group] if not rule["IpRanges"] and not rule["Ipv6Ranges"]]
        outside = [rule for rule in found["rules"][group] if rule not in inside]
        assert [[pair["GroupId"] for pair in rule["UserIdGroupPairs"]] for rule in inside] == [[group]]
        assert [(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in outside] == [("tcp", 22, 22)]
