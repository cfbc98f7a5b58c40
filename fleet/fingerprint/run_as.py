"""Asks this system how the Ollama that answers at one address is run; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fleet.fingerprint.facts import DEADLINE_S, ask, ask_all, facts, late
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.environment import kept
from fleet.readers.run_as import (
    OLLAMA_UNIT,
    UNIT_PROPERTIES,
    Kind,
    RunAs,
    is_container,
    on_mac,
    parse_cgroup,
    parse_listeners,
    parse_processes,
    parse_services,
    parse_units,
    unit_of,
)

NAME = "ollama_run_as"
NO_LSOF = "lsof is not installed"
IsIts = Callable[[Mapping[str, str]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One process `ollama serve`; `environment` None: another user's."""

    pid: int
    environment: Mapping[str, str] | None
    cgroup: str


def servers(commands: Commands) -> list[Server]:
    """Every `ollama serve` of a Linux machine."""
    result = []
    for word in ask(commands, "pgrep", "-x", "ollama").text.split():
        if not word.isdecimal():
            continue
        argv = (commands.read(f"/proc/{word}/cmdline") or "").split("\0")
        if "serve" in argv:
            environ = commands.read(f"/proc/{word}/environ")
            cgroup = parse_cgroup(commands.read(f"/proc/{word}/cgroup") or "")
            environment = _variables(environ) if environ else None
            result.append(Server(pid=int(word), environment=environment, cgroup=cgroup))
    return result


def of_these(servers: Sequence[Server], is_its: IsIts) -> Server | None:
    """Pick the server in question by its environment, else the only one without a readable one."""
    read = [
        server
        for server in servers
        if server.environment is not None and is_its(server.environment)
    ]
    unread = [server for server in servers if server.environment is None]
    if read:
        return read[0]
    return unread[0] if len(unread) == 1 else None


def run_as_fact(run_as: RunAs) -> list[Fact]:
    return facts("how its process is kept", {NAME: str(run_as) or None}, run_as.why)


def on_linux(commands: Commands, processes: Sequence[Server], is_its: IsIts) -> RunAs:
    """`found`: of `servers`."""
    server = of_these(processes, is_its)
    if server is None:
        why = (
            "which of its processes answers cannot be told"
            if processes
            else "no process of it here"
        )
        return RunAs(kind=None, why=why)
    if is_container(server.cgroup, parse_cgroup(commands.read("/proc/self/cgroup") or "")):
        return RunAs(kind="container")
    if (unit := _unit(commands, server, is_its)) is not None:
        return unit
    if server.environment is None:
        return RunAs(kind=None, why="its process is another user's, and no unit of systemd")
    return RunAs(kind="by hand")


def on_darwin(commands: Commands, port: int) -> RunAs:
    """Of what listens on this port of the Mac itself."""
    answers = ask_all(
        commands,
        {
            "listeners": ("lsof", "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fp"),
            "processes": ("ps", "-axww", "-o", "pid=,ppid=,command="),
            "services": ("launchctl", "list"),
        },
    )
    why = answers["listeners"].why
    if why in (late(DEADLINE_S), NO_LSOF):
        return RunAs(kind=None, why=why)
    return on_mac(
        parse_listeners(answers["listeners"].text),
        parse_processes(answers["processes"].text),
        parse_services(answers["services"].text),
    )


def _unit(commands: Commands, server: Server, is_its: IsIts) -> RunAs | None:
    """Return the unit whose main process this is.

    A process that merely lies in a unit may be a shell's.
    """
    names = list(dict.fromkeys(filter(None, (unit_of(server.cgroup), OLLAMA_UNIT))))
    shown = (*names, f"--property={UNIT_PROPERTIES}")
    answers = ask_all(
        commands,
        {
            "system": ("systemctl", "show", *shown),
            "user": ("systemctl", "--user", "show", *shown),
        },
    )
    kinds: tuple[tuple[Kind, str], ...] = (("systemd", "system"), ("systemd user", "user"))
    for kind, units in kinds:
        for unit in parse_units(answers[units].text):
            its_own = unit.environment_known and is_its(unit.environment)
            if unit.pid == server.pid and (server.environment is not None or its_own):
                return RunAs(kind=kind, name=unit.name)
    return None


def _variables(environ: str) -> dict[str, str]:
    """Return the variables that fleet lists; the others of a process are its user's own."""
    lines = (line.partition("=") for line in environ.split("\0") if "=" in line)
    return kept((name, value) for name, _, value in lines)
