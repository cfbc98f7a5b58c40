"""How an Ollama is run, out of what systemd, the kernel, launchd, `ps` and `lsof` print of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.model.quantities import PROCESS_ID
from fleet.readers.environment import kept
from fleet.readers.text import pairs, whole

Kind = Literal["systemd", "systemd user", "launchd", "app", "by hand", "container"]

UNIT_PROPERTIES = "Id,MainPID,ActiveState,Environment"
OLLAMA_UNIT = "ollama.service"
"""As Ollama's installer names it."""
APP = "/Ollama.app/Contents/"
_CONTAINER = re.compile(r"docker|containerd|libpod|kubepods|/lxc|crio", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,200}\.service", re.ASCII)
_LABEL = re.compile(r"[A-Za-z0-9_.@-]{1,200}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAs:
    """`kind` None: not known, `why` says why. `name`: of the unit or of the service."""

    kind: Kind | None
    name: str = ""
    why: str = ""

    def __str__(self) -> str:
        words = {
            "systemd": f"systemd unit {self.name}",
            "systemd user": f"systemd unit {self.name} of the user",
            "launchd": f"launchd service {self.name}",
        }
        return words.get(self.kind or "", self.kind or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit of systemd that runs; `pid` is that of its main process."""

    name: str
    pid: int
    environment: Mapping[str, str]
    """The listed variables as its file gives them; what a file of variables adds is not in it."""
    environment_known: bool = field(default=True, compare=False)
    """False: its line of variables is not understood, a quote in it does not end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of `ps`."""

    parent: int
    command: str
    """The program, without its arguments: they can hold anything."""


def parse_units(text: str) -> list[Unit]:
    """Parse `systemctl show UNIT ...` with UNIT_PROPERTIES; only running units are returned."""
    units = []
    for block in text.split("\n\n"):
        properties = dict(pairs(block, "="))
        name, pid = properties.get("Id", ""), process_id(properties.get("MainPID"))
        if properties.get("ActiveState") == "active" and pid and _UNIT.fullmatch(name):
            environment = _variables(properties.get("Environment", ""))
            known = environment is not None
            unit = Unit(name=name, pid=pid, environment=environment or {}, environment_known=known)
            units.append(unit)
    return units


def process_id(text: str | None) -> int | None:
    """Parse a process id; 0 stands for no process."""
    pid = whole(text)
    return None if not pid or PROCESS_ID.problem(pid) else pid


def parse_cgroup(text: str) -> str:
    """Place of a process in systemd's tree, of /proc/PID/cgroup; empty where there is none."""
    paths = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths[controllers or number] = path.strip()
    return paths.get("name=systemd") or paths.get("0") or ""


def unit_of(cgroup: str) -> str:
    """Return the unit that a place in systemd's tree names; empty where it names none."""
    last = cgroup.rpartition("/")[2]
    return last if _UNIT.fullmatch(last) else ""


def is_container(cgroup: str, own_cgroup: str) -> bool:
    """Whether a process of this place runs in a container that this program is not in."""
    return bool(_CONTAINER.search(cgroup)) and cgroup != own_cgroup


def parse_services(text: str) -> dict[int, str]:
    """Label by process id, of `launchctl list` (PID, status, label)."""
    services = {}
    for line in text.splitlines():
        words = line.split("\t")
        pid = process_id(words[0]) if len(words) == 3 else None
        if pid and _LABEL.fullmatch(words[2]):
            services[pid] = words[2]
    return services


def parse_listeners(text: str) -> list[int]:
    """Process ids of `lsof ... -Fp`, each once."""
    pids = (process_id(line[1:]) for line in text.splitlines() if line.startswith("p"))
    return list(dict.fromkeys(pid for pid in pids if pid))


def parse_processes(text: str) -> dict[int, Process]:
    """By process id, of `ps -axww -o pid=,ppid=,command=`."""
    processes = {}
    for line in text.splitlines():
        words = line.split(None, 2)
        if len(words) < 3:
            continue
        pid, parent = process_id(words[0]), whole(words[1])
        if pid and parent is not None and not PROCESS_ID.problem(parent):
            processes[pid] = Process(parent=parent, command=words[2].partition(" -")[0])
    return processes


def on_mac(
    listeners: Iterable[int], processes: Mapping[int, Process], services: Mapping[int, str]
) -> RunAs:
    """Of the process that listens where Ollama is asked.

    The app starts its server as a child; a service of launchd is the server itself.
    """
    pid = next((pid for pid in listeners if "ollama" in _command(processes, pid).lower()), None)
    if pid is None:
        why = "no Ollama of this user listens there: another user's, or one in a container"
        return RunAs(kind=None, why=why)
    if APP in _command(processes, processes[pid].parent):
        return RunAs(kind="app", name="Ollama")
    if pid in services:
        return RunAs(kind="launchd", name=services[pid])
    return RunAs(kind="by hand")


def _variables(text: str) -> dict[str, str] | None:
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that does not end
        return None
    return kept((name, value) for name, sign, value in (w.partition("=") for w in words) if sign)


def _command(processes: Mapping[int, Process], pid: int) -> str:
    return processes[pid].command if pid in processes else ""
