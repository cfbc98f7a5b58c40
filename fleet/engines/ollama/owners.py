"""The restart that fits how the owner's Ollama is run: by what keeps it, never past it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from fleet.engines.ollama.restart import restart
from fleet.errors import EngineNotRestarted
from fleet.ports import Clock, Commands, Engine
from fleet.readers.run_as import RunAs

Argv = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Commands to run one after the other; or why there are none, with what mends it."""

    steps: tuple[Argv, ...] = ()
    refusal: str = ""

    def __str__(self) -> str:
        return ", then ".join(map(shlex.join, self.steps))


def restart_of(run_as: RunAs, user_id: int) -> Restart:
    """Pure: what would be typed, whether or not this user may."""
    if run_as.kind == "systemd":
        argv = ("systemctl", "restart", run_as.name)
        return Restart(steps=(argv if user_id == 0 else ("sudo", "-n", *argv),))
    if run_as.kind == "systemd user":
        return Restart(steps=(("systemctl", "--user", "restart", run_as.name),))
    if run_as.kind == "launchd":
        return Restart(steps=(("launchctl", "kickstart", "-k", f"gui/{user_id}/{run_as.name}"),))
    if run_as.kind == "app":
        quits = ("osascript", "-e", f'quit app "{run_as.name}"')
        return Restart(steps=(quits, ("open", "-g", "-j", "-a", run_as.name)))
    return Restart(refusal=_never(run_as))


def right_to(found: Restart, commands: Commands, systemctl: str, user_id: int) -> str:
    """Why this user may not type it, and the command that gives the right; empty where it may."""
    for argv in found.steps:
        if argv[:2] != ("sudo", "-n") or commands.run(["sudo", "-n", "-l", *argv[2:]]).ok:
            continue
        rule = f"#{user_id} ALL=(root) NOPASSWD: {shlex.join((systemctl, *argv[3:]))}"
        return (
            f"sudo does not let this user type `{shlex.join(argv[2:])}` without a password; "
            f"to allow it there: echo '{rule}' | sudo tee /etc/sudoers.d/fleet-restart-ollama"
        )
    return ""


def restart_owners(
    engine: Engine, found: Restart, base_url: str, commands: Commands, clock: Clock
) -> Engine:
    """Returns when a new process of the same version answers; else raises EngineNotRestarted."""
    before = engine.facts().version
    restart(engine, found.steps, base_url, commands, clock)
    now = engine.facts().version
    if now != before:
        raise EngineNotRestarted(
            f"Ollama at {base_url} came back as {now}, it was {before}",
            "submit again: the plan is made anew for this version",
        )
    return engine


def _never(run_as: RunAs) -> str:
    if run_as.kind == "by hand":
        return "it was started by hand, and would lose its terminal; run it as a service"
    if run_as.kind == "container":
        return "it runs in a container, and fleet does not know by what that is kept"
    return f"how it is run is not known: {run_as.why}"
