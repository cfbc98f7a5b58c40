"""A Mac played by small programs on PATH: each keeps its state in one folder, as a kernel would.

`FakeMac(folder)` puts them there; the product runs them as it runs the real ones. Nothing they
print is copied from a real machine.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fleet.owner import permission
from fleet.settings.wired_limit import SHIPPED
from tests import processes
from tests.builders_flow import until
from tests.fake_bin.programs import put

PROGRAMS = Path(__file__).with_name("programs.py")
NAMES = (
    "uname", "sw_vers", "sysctl", "ioreg", "pmset", "notifyutil", "launchctl", "powermetrics",
    "sudo", "visudo", "ollama", "systemctl", "osascript", "open", "pgrep", "lsof",
)  # fmt: skip

KERNEL = {
    "hw.memsize": str(96 * 2**30),
    "hw.model": "Mac99,1",
    "hw.physicalcpu": "13",
    "hw.logicalcpu": "13",
    "machdep.cpu.brand_string": "Apple M9 Max",
    "kern.osproductversion": "15.6",
    "kern.osversion": "24X99",
    "kern.osrelease": "24.6.0",
    "kern.boottime": "{ sec = 1700000000, usec = 0 } Tue Nov 14 22:13:20 2023",
    "kern.hv_vmm_present": "0",
    "kern.memorystatus_vm_pressure_level": "1",
    "vm.swapusage": "total = 0.00M  used = 0.00M  free = 0.00M  (encrypted)",
    "vm.loadavg": "{ 0.10 0.10 0.10 }",
    "iogpu.wired_limit_mb": "0",
}
DEFAULT_LIMIT_MB = 73_728
MACHINE = {
    "os": "darwin",
    "chip": "Apple M9 Max",
    "memory_gb": 96,
    "gpu_memory_mb": DEFAULT_LIMIT_MB,
    "models": {
        "tiny": {"prefill_tokens_per_s": 20_000, "decode_tokens_per_s": 2_000, "load_s": 0.01}
    },
}
"""What the Mac's Ollama does."""


class FakeMac:
    """`faults`: what goes wrong from now on, see `programs.py`."""

    def __init__(self, folder: Path, *, allowed: bool = True, **kernel: str) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.helper = folder / "Library" / "fleet-wired-limit"
        self.rule = folder / "sudoers"
        for each in (self.bin, self.helper.parent, folder / "home" / ".ollama" / "models"):
            each.mkdir(parents=True)
        (folder / "home" / ".ollama" / "models" / "manifests").mkdir()
        for name in NAMES:
            program = self.bin / name
            light = "" if name == "ollama" else "-I -S "  # it alone imports anything of ours
            program.write_text(f'#!/bin/sh\nexec {sys.executable} {light}{PROGRAMS} {name} "$@"\n')
            program.chmod(0o755)
        self.set(**KERNEL | kernel)
        self.faults()
        put(folder / "machine.json", json.dumps(MACHINE))
        if allowed:
            self.allow()

    def allow(self) -> None:
        """As `fleet join --allow wired-limit` leaves a Mac."""
        self.helper.write_bytes(SHIPPED.read_bytes())
        self.helper.chmod(0o755)
        self.rule.write_text(permission.rule(os.getuid(), self.helper))

    def set(self, **kernel: str) -> None:
        known = self.kernel() if (self.folder / "kernel.json").exists() else {}
        put(self.folder / "kernel.json", json.dumps({**known, **kernel}))

    def kernel(self) -> dict[str, str]:
        return dict(json.loads((self.folder / "kernel.json").read_text()))

    @property
    def limit_mb(self) -> int:
        return int(self.kernel()["iogpu.wired_limit_mb"])

    def set_limit(self, limit_mb: int) -> None:
        """By hand, as its owner would."""
        self.set(**{"iogpu.wired_limit_mb": str(limit_mb)})

    def faults(self, **faults: Any) -> None:
        put(self.folder / "faults.json", json.dumps(faults))

    def steps(self) -> list[str]:
        path = self.folder / "steps"
        return path.read_text().splitlines() if path.exists() else []

    def environment(self, **changes: str) -> Mapping[str, str]:
        return {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder),
            "FLEET_LOCKS": str(self.folder / "locks"),
            "FAKE_MAC": str(self.folder),
            "FLEET_STATE": str(self.folder / "state"),
            "FLEET_HOME": str(self.folder / "store"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            processes.MARK: os.environ.get(processes.MARK, ""),
            **changes,
        }

    @contextmanager
    def ollama(self) -> Iterator[str]:
        """The owner's own, which nothing may touch; yields its address. It counts as no step."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{listener.getsockname()[1]}"
        with (self.folder / "owner.log").open("wb") as log:
            process = subprocess.Popen(
                [self.bin / "ollama", "serve"],
                env=self.environment(OLLAMA_HOST=host, FAKE_OWNER="1"),
                stdout=log,
                stderr=log,
            )
        try:
            until(lambda: _listens(host))
            yield host
            assert process.poll() is None, "the owner's Ollama was ended"
        finally:
            process.terminate()
            process.wait()

    @contextmanager
    def kept(self, kind: str) -> Iterator[str]:
        """The owner's own, kept by what `kind` says and restarted by it alone; its address."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{listener.getsockname()[1]}"
        put(self.folder / "owner.json", json.dumps({"kind": kind, "host": host}))
        app = self.folder / "Ollama.app" / "Contents" / "MacOS" / "Ollama"
        app.parent.mkdir(parents=True, exist_ok=True)
        app.write_text(f"{self.bin}/ollama serve\nexit\n")
        self._program("begin")
        try:
            until(lambda: _listens(host))
            yield host
        finally:
            self._program("end")

    def owners_pid(self) -> int | None:
        """None while it is being started anew."""
        with suppress(FileNotFoundError, ValueError):
            return int((self.folder / "owner.pid").read_text())
        return None

    def _program(self, name: str) -> None:
        argv = [sys.executable, "-I", "-S", str(PROGRAMS), name]
        subprocess.run(argv, env=dict(self.environment()), check=True)

    def own_servers(self) -> list[int]:
        """Ollamas that fleet started and that still live."""
        mark = b"OLLAMA_NOPRUNE=1\0"
        mine = f"FAKE_MAC={self.folder}\0".encode()
        found = []
        for each in Path("/proc").iterdir():
            with suppress(OSError):
                environment = (each / "environ").read_bytes() if each.name.isdigit() else b""
                if mark in environment and mine in environment:
                    found.append(int(each.name))
        return found


def _listens(host: str) -> bool:
    name, _, port = host.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0
