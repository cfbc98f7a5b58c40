"""Machines on this one: network namespaces with processes, names, mounts and homes of their own.

Needs root and iproute2. `/tmp` and `/etc` are each host's own, so anything shared must lie
elsewhere; a host's `home` lies below `/var/tmp`. Names are resolved from its hosts file alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from tests.processes import MARK
from tests.tools.install_ollama import default_cache

REQUIRED = "FLEET_REQUIRE_NAMESPACES"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHECKOUT = Path(__file__).resolve().parents[1]
HANGS_S = 600.0
FIRST_HOST = 1
BRIDGE_HOST = 254

INIT = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
print("ready", flush=True)
while True:
    signal.sigwait({signal.SIGCHLD})
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
"""
SETUP = """
set -e
hostname "$1"
folder=$2 python=$3 init=$4
shift 4
mount --bind "$folder/etc" /etc
for each in "$@"; do
    if [ -d "$each" ]; then mkdir -p "$folder$each"; mount --bind "$each" "$folder$each"; fi
done
mount --rbind "$folder/tmp" /tmp
mount -t tmpfs tmpfs /dev/shm
exec "$python" -c "$init"
"""


def missing() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if sys.platform != "linux":
        return "network namespaces are a thing of Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    lacking = [name for name in ("ip", "unshare", "nsenter") if not shutil.which(name)]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    name = f"fleet-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


def require() -> None:
    """Skip with the reason, or fail where FLEET_REQUIRE_NAMESPACES=1 says that it must run."""
    if why := missing():
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but {why}")
        pytest.skip(why)


class Host:
    """One machine; made by Network."""

    def __init__(self, name: str, ip: str, folder: Path, unshared: subprocess.Popen[str]) -> None:
        self.name = name
        self.ip = ip
        self.home = folder / "home"
        self._unshared = unshared
        self._started: list[subprocess.Popen[str]] = []
        self.init_pid = int(_children(unshared.pid)[0])

    def argv(self, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
        """The same command, as one that runs inside this machine with a bare environment."""
        mark = {MARK: os.environ.get(MARK, "")}
        usual = {"HOME": str(self.home), "PATH": PATH, "LANG": "C.UTF-8"}
        plain = {**usual, **mark, **(environment or {})}
        inside = ["nsenter", "-t", str(self.init_pid), "-m", "-u", "-i", "-n", "-p"]
        settings = [f"{name}={value}" for name, value in plain.items()]
        return [*inside, f"--wd={self.home}", "--", "env", "-i", *settings, *argv]

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = HANGS_S,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(argv, environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def popen(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[str] = subprocess.DEVNULL,
        log: Path | None = None,
    ) -> subprocess.Popen[str]:
        """A long-lived command; its words go to `log`. End it with `send`."""
        output = log.open("w") if log else None
        try:
            process = subprocess.Popen(
                self.argv(argv, environment),
                stdin=stdin,
                stdout=output if output else subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()
        self._started.append(process)
        return process

    def send(self, process: subprocess.Popen[str], number: signal.Signals) -> None:
        """Signal the command itself: nsenter, its parent here, passes nothing on."""
        for child in _children(process.pid):
            os.kill(child, number)

    def vanish(self) -> None:
        """Every process of this machine dies at once; the peers are told (FIN, RST)."""
        if self._unshared.poll() is None:
            os.kill(self.init_pid, signal.SIGKILL)
        for process in (self._unshared, *self._started):
            process.wait()
        if self._unshared.stdout:
            self._unshared.stdout.close()


class Network:
    """A bridge and one Host per name; gone, with all its processes, after the block."""

    def __init__(self, names: Sequence[str]) -> None:
        self._number = os.getpid() % 200 + 10
        self._tag = f"f{os.getpid() % 100_000}"
        self._bridge = f"{self._tag}br"
        self._folder = Path(tempfile.mkdtemp(prefix="fleet-ns-", dir="/var/tmp"))
        self.ips = {name: self._ip(number) for number, name in enumerate(names, FIRST_HOST)}
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        try:
            _ip("link", "add", self._bridge, "type", "bridge")
            _ip("addr", "add", f"{self._ip(BRIDGE_HOST)}/24", "dev", self._bridge)
            _ip("link", "set", self._bridge, "up")
            for number, name in enumerate(self.ips):
                self._wire(name, number)
                self.hosts[name] = self._started(name)
        except BaseException:
            self._take_down()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._take_down()

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def outside(self) -> str:
        """The address of this very machine on the bridge: what it serves, the hosts can reach."""
        return self._ip(BRIDGE_HOST)

    def _ip(self, host: int) -> str:
        return f"10.77.{self._number}.{host}"

    def _space(self, name: str) -> str:
        return f"{self._tag}-{name}"

    def _wire(self, name: str, number: int) -> None:
        space, outer, inner = self._space(name), f"{self._tag}v{number}", f"{self._tag}e{number}"
        _ip("netns", "add", space)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        _ip("link", "set", outer, "master", self._bridge, "up")
        _ip("link", "set", inner, "netns", space)
        _ip("-n", space, "link", "set", inner, "name", "eth0")
        _ip("-n", space, "addr", "add", f"{self.ips[name]}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "link", "set", "eth0", "up")

    def _started(self, name: str) -> Host:
        folder = self._folder / name
        (folder / "home").mkdir(parents=True)
        (folder / "tmp").mkdir()
        self._write_etc(folder / "etc", name)
        unshare = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--mount-proc"]
        setup = ["sh", "-c", SETUP, "sh", name, str(folder), sys.executable, INIT, *_in_sight()]
        said = folder / "setup.log"
        with said.open("w") as log:
            unshared = subprocess.Popen(
                ["ip", "netns", "exec", self._space(name), *unshare, *setup],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert unshared.stdout is not None
        if unshared.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the namespace of {name} did not come up: {said.read_text()}")
        return Host(name, self.ips[name], folder, unshared)

    def _write_etc(self, etc: Path, name: str) -> None:
        """A copy of /etc with this machine's own id, and names that never ask a server."""
        shutil.copytree("/etc", etc, symlinks=True)
        peers = "".join(f"{ip} {peer}\n" for peer, ip in self.ips.items())
        own = {
            "hosts": f"127.0.0.1 localhost\n{peers}",
            "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
            "hostname": f"{name}\n",
            "machine-id": hashlib.sha256(f"{self._folder} {name}".encode()).hexdigest()[:32] + "\n",
        }
        for file, text in own.items():
            (etc / file).unlink(missing_ok=True)
            (etc / file).write_text(text)

    def _take_down(self) -> None:
        for host in self.hosts.values():
            host.vanish()
        for name in self.ips:
            subprocess.run(["ip", "netns", "del", self._space(name)], capture_output=True)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def until(condition: Callable[[], object], seconds: float = HANGS_S) -> None:
    """Wait for something that happens in another machine; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _in_sight() -> list[str]:
    """Return what each machine needs of the folder that it has for itself."""
    needed = [CHECKOUT, default_cache().absolute(), Path(sys.prefix), Path(sys.base_prefix)]
    return [str(path) for path in needed if path.is_relative_to("/tmp")]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def _children(pid: int) -> list[int]:
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in told.stdout.split()]
