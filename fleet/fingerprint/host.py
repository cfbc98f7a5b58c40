"""Facts of any Linux or macOS machine: system, processor, memory, condition."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.fingerprint.linux import linux_facts
from fleet.fingerprint.macos import macos_facts
from fleet.model.machine import Fact
from fleet.ports import Commands


class HostProbe:
    name = "host"
    tells = frozenset(
        {
            *("chip", "model", "architecture", "virtual", "cpu_cores", "cpu_threads", "memory_gb"),
            *("os", "os_version", "os_build", "kernel", "memory_pressure", "boot_unix_s"),
        }
    )

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def available(self) -> bool:
        return self._system() in ("Linux", "Darwin")

    def collect(self) -> Sequence[Fact]:
        collect = macos_facts if self._system() == "Darwin" else linux_facts
        return collect(self._commands)

    def _system(self) -> str:
        return self._commands.run(["uname", "-s"]).stdout.strip()
