"""Hosts made of Linux namespaces: each with its own processes, address, hostname, /tmp, home and sshd.

    net = Lan(["head", "worker-1"], folder)
    with plugged(net):
        net.exec("head", "hostname -I").stdout
        net.cut("worker-1")          # the cable is out
        net.mend("worker-1")
        net.kill("worker-1")         # the power is out
        net.boot("worker-1")         # same disk, empty /tmp

Besides the hosts there is a `laptop`, whose network holds the bridge that all are plugged into; nothing of it is in
this machine's own network, so that no packet leaves it. /srv is shared by all: the checkout, its environment, data,
runs. At the end of the block, and when this process dies, whatever way, the kernel takes everything back: each host's
first process is killed with its parent, and with it go its processes, mounts and network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.paths import ROOT

LAPTOP = "laptop"
HOME = "/run/home"
NEEDED = ("ip", "ss", "ps", "sshd", "ssh-keygen", "rsync", "unshare", "nsenter", "setpriv")
PACKAGES = "iproute2 openssh-server openssh-client procps rsync util-linux"
SECONDS = 120  # after which a command that should have ended is taken for hung
ADDRESSES = {LAPTOP: "192.0.2.1", "head": "192.0.2.10", **{f"worker-{n}": f"192.0.2.{10 + n}" for n in range(1, 9)}}
# A machine keeps its network card when it reboots: with another address of the card, the others, who remember the old
# one, send into the void for a while. The laptop's bridge would take over the lowest one of the cards plugged in.
CARDS = {name: f"02:00:00:00:00:{int(address.rpartition('.')[2]):02x}" for name, address in ADDRESSES.items()}

# What a host does first: own mounts, own names, then sshd (the laptop: nothing) until it is killed.
FIRST = r"""
set -e
hostname "$NAME"
stage="$RIG/stage"
mount -t tmpfs tmpfs "$stage"
mkdir -p -m 1777 "$stage/tmp"
mkdir -p "$stage"/run/{home,sshd} "$stage"/srv/{ch6dist,venv,runs,data}
mount --bind "$RIG/home/$NAME" "$stage/run/home"
mount --bind "$CHECKOUT" "$stage/srv/ch6dist"
mount --bind "$ENVIRONMENT" "$stage/srv/venv"
mount --bind "$RIG/runs" "$stage/srv/runs"
[ -z "$DATA" ] || mount --bind "$DATA" "$stage/srv/data"
for path in "$RIG" "$CHECKOUT" "$ENVIRONMENT" "$PYTHON"; do  # scripts name these as they are
    case "$path/" in /tmp/* | /run/* | /srv/*) mkdir -p "$stage$path"; mount --bind "$path" "$stage$path" ;; esac
done
for folder in run srv tmp; do mount --rbind "$stage/$folder" "/$folder"; done  # last the one that hides the stage
mount -t tmpfs tmpfs /dev/shm
mount --bind "$RIG/passwd" /etc/passwd
mount --bind "$RIG/hosts" /etc/hosts
[ ! -e /etc/resolv.conf ] || mount --bind "$RIG/resolv.conf" /etc/resolv.conf
ip link set lo up
cd /
touch "$RIG/ready/$NAME"
if [ "$NAME" = laptop ]; then sleep infinity & else "$SSHD" -D -f "$RIG/sshd_config" & fi
wait  # bash, as the first process, buries orphans
"""


def why_not() -> str | None:
    """Why no hosts can be made here, as the reason with which a test is skipped; None where they can."""
    missing = [name for name in NEEDED if not _program(name)]
    if os.geteuid() != 0:
        return "hosts made of namespaces need root"
    if missing:
        return f"hosts made of namespaces need {', '.join(missing)} (Debian: {PACKAGES})"
    if not (Path(sys.prefix) / "bin" / "sweeps").exists():
        return f"hosts run the installed commands, and {sys.prefix} has none: make install"
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False).returncode:
        return "this machine allows no namespaces"
    return None


class Host:
    """One host: the process whose namespaces it is, and its first process."""

    def __init__(self, name: str, lan: Lan) -> None:
        self.name, self.lan = name, lan
        ready = lan.rig / "ready" / name
        ready.unlink(missing_ok=True)
        own = ["unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = ["setpriv", "--pdeathsig", "KILL", *own, "bash", "-c", FIRST]
        with (lan.rig / f"{name}.log").open("a") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(command, env=lan.variables(name), **streams)
        try:
            wait_for(lambda: ready.exists() or self.process.poll() is not None, what=f"{name} to boot")
            assert self.process.poll() is None, (lan.rig / f"{name}.log").read_text()
        except BaseException:
            self.process.kill()  # its first process dies with it
            self.process.wait()
            raise
        self.first = int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())

    def enter(self, command: str) -> list[str]:
        """The arguments that run a shell command on this host, with what its .bashrc exports."""
        there = ["nsenter", "--target", str(self.first), "--net", "--mount", "--uts", "--ipc", "--pid"]
        clean = ["env", "-i", f"HOME={HOME}", "USER=root", "LANG=C.UTF-8", f"PATH={os.defpath}:/usr/sbin:/sbin"]
        return [*there, *clean, "bash", "-c", f"cd /srv/ch6dist; [ ! -e ~/.bashrc ] || . ~/.bashrc; {command}"]

    def kill(self) -> None:
        """End the first process; returns when no process of the host is left."""
        with suppress(ProcessLookupError):
            os.kill(self.first, 9)
        self.process.wait()


class Lan:
    """Hosts on one network, and the laptop of the person who uses them."""

    def __init__(self, names: list[str], rig: Path, data: Path | None = None) -> None:
        self.names, self.rig, self.data = names, rig, data
        self.runs = rig / "runs"  # /srv/runs on every host
        self.hosts: dict[str, Host] = {}

    def variables(self, name: str) -> dict[str, str]:
        """What a host's first process has to know."""
        folders = {"RIG": self.rig, "CHECKOUT": ROOT, "ENVIRONMENT": sys.prefix, "PYTHON": sys.base_prefix}
        paths = {key: str(path) for key, path in folders.items()} | {"DATA": str(self.data or "")}
        return {"NAME": name, "PATH": f"{os.defpath}:/usr/sbin:/sbin", "SSHD": _program("sshd") or "", **paths}

    def exec(
        self, host: str, command: str, *, check: bool = True, timeout: float = SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command on a host (or the laptop) to its end."""
        whole = {"capture_output": True, "text": True, "timeout": timeout, "stdin": subprocess.DEVNULL, "check": False}
        done = subprocess.run(self.hosts[host].enter(command), **whole)
        assert not check or done.returncode == 0, f"{host}$ {command}\n{done.stdout}{done.stderr}"
        return done

    def start(self, host: str, command: str, *, log: Path) -> subprocess.Popen[str]:
        """Start a shell command on a host and leave it running; what it says goes to `log`."""
        with log.open("w") as out:
            whole = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT, "text": True}
            return subprocess.Popen(self.hosts[host].enter(command), **whole)

    def boot(self, name: str) -> None:
        """Start a host that is off: the disk (its home) as it was, /tmp empty. Returns when its sshd answers."""
        self.hosts[name] = host = Host(name, self)
        here = ["nsenter", "--target", str(host.process.pid), "--net", "ip"]
        if name == LAPTOP:
            _run([*here, "link", "add", "lan", "address", CARDS[name], "type", "bridge"])
            _run([*here, "address", "add", f"{ADDRESSES[name]}/24", "dev", "lan"])
            _run([*here, "link", "set", "lan", "up"])
            return
        card = ["name", "eth0", "address", CARDS[name], "netns", str(host.process.pid)]
        self._switch("link", "add", name, "type", "veth", "peer", *card)
        self._switch("link", "set", name, "master", "lan")
        _run([*here, "address", "add", f"{ADDRESSES[name]}/24", "dev", "eth0"])
        _run([*here, "link", "set", "eth0", "up"])
        _run([*here, "route", "add", "default", "via", ADDRESSES[LAPTOP]])  # by which programs learn their own address
        self.mend(name)
        wait_for(lambda: self.exec(name, "ss -Hltn sport = :22").stdout, what=f"the sshd of {name}")

    def kill(self, name: str) -> None:
        """Switch a host off, as a failing power supply does; returns when nothing of it runs."""
        self.hosts.pop(name).kill()
        if name != LAPTOP:
            self._switch("link", "delete", name, check=False)  # often the kernel was quicker

    def cut(self, name: str) -> None:
        """Pull a host's network cable."""
        self._switch("link", "set", name, "down")

    def mend(self, name: str) -> None:
        """Put it back."""
        self._switch("link", "set", name, "up")

    def processes(self, name: str) -> list[str]:
        """The commands that run on a host besides its first process, its sshd and this question."""
        lines = self.exec(name, "ps -eo pid=,ppid=,args=").stdout.splitlines()
        found = [line.split(None, 2) for line in lines]
        asking = {pid for pid, _, command in found if command.startswith(("bash -c cd /srv", "ps -eo"))}
        return [
            command
            for pid, _, command in found
            if pid != "1" and pid not in asking and "sshd" not in command.split()[0]
        ]

    def _switch(self, *arguments: str, check: bool = True) -> None:
        _run(["nsenter", "--target", str(self.hosts[LAPTOP].process.pid), "--net", "ip", *arguments], check=check)


@contextmanager
def plugged(net: Lan) -> Iterator[None]:
    """Boot the laptop and the hosts of `net`; nothing of them outlives the block."""
    try:
        _furnish(net.rig, [LAPTOP, *net.names])
        for name in (LAPTOP, *net.names):
            net.boot(name)
        yield
    finally:
        for host in reversed(list(net.hosts.values())):
            host.kill()


def _furnish(rig: Path, names: list[str]) -> None:
    """The files of the hosts: homes, keys, names, sshd's configuration."""
    for folder in ("stage", "ready", "runs", *(f"home/{name}/.ssh" for name in names)):
        (rig / folder).mkdir(parents=True)
    for key in (rig / "home" / LAPTOP / ".ssh" / "id_ed25519", rig / "host_key"):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)])
    passwd = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines()]
    lines = [[*entry[:5], HOME, "/bin/bash"] if entry[0] == "root" else entry for entry in passwd]
    (rig / "passwd").write_text("".join(":".join(line) + "\n" for line in lines))
    names_of = "".join(f"{ADDRESSES[name]} {name}\n" for name in names)
    (rig / "hosts").write_text(f"127.0.0.1 localhost\n{names_of}")
    (rig / "resolv.conf").write_text("")  # no name server but 127.0.0.1, which refuses at once
    settings = {
        "HostKey": rig / "host_key",
        "AuthorizedKeysFile": rig / "home" / LAPTOP / ".ssh" / "id_ed25519.pub",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "MaxStartups": 100,
    }
    (rig / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in settings.items()))


def wait_for(
    condition: Callable[[], object], *, what: str = "a condition", seconds: float = 2 * SECONDS, pause: float = 0.1
) -> None:
    """Return when `condition` holds; AssertionError naming `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(pause)


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _run(command: list[str], *, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
