"""The restart of the owner's Ollama, by the service manager or app that runs it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from fleet.engines.ollama.restart import restart
from fleet.errors import EngineNotRestarted
from fleet.ports import Clock, Commands, Engine
from fleet.readers.run_as import RunAs

Argv = tuple[str, ...]


APP_SCRIPT = """\
osascript -e 'quit app "Ollama"' || exit
n=0
while [ $n -lt 300 ] && lsof -nP -iTCP:"$1" -sTCP:LISTEN >/dev/null 2>&1; do
    n=$((n + 1))
    sleep 0.1
done
n=0
until open -g -j -a Ollama; do
    n=$((n + 1))
    [ $n -lt 20 ] || exit 1
    sleep 0.5
done
"""
"""Quits and opens the app in one process, so that it is opened even if fleet is killed.

The script waits until nothing listens on the given port: an app that is ending cannot be opened."""
APP_WORDS = "osascript -e 'quit app \"Ollama\"', then open -a Ollama"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The command of a restart, or why there is none. `words`: as a person would type it."""

    argv: Argv = ()
    words: str = ""
    refusal: str = ""


def restart_of(run_as: RunAs, user_id: int, port: int) -> Restart:
    """Return the command, whether or not this user may run it. Pure."""
    if run_as.kind == "app":
        script = ("/bin/sh", "-c", APP_SCRIPT, "fleet-restart", str(port))
        return Restart(argv=script, words=APP_WORDS)
    systemctl = ("systemctl", "restart", run_as.name)
    known: dict[str | None, Argv] = {
        "systemd": systemctl if user_id == 0 else ("sudo", "-n", *systemctl),
        "systemd user": ("systemctl", "--user", "restart", run_as.name),
        "launchd": ("launchctl", "kickstart", "-k", f"gui/{user_id}/{run_as.name}"),
    }
    argv = known.get(run_as.kind, ())
    return Restart(argv=argv, words=shlex.join(argv), refusal="" if argv else _never(run_as))


def right_to(planned: Restart, commands: Commands, systemctl: str, user_id: int) -> str:
    """Return why this user may not run it, and the command that permits it; empty if permitted."""
    typed = planned.argv[2:]
    if planned.argv[:2] != ("sudo", "-n") or commands.run(["sudo", "-n", "-l", *typed]).ok:
        return ""
    rule = f"#{user_id} ALL=(root) NOPASSWD: {shlex.join((systemctl, *typed[1:]))}"
    return (
        f"sudo does not let this user type `{shlex.join(typed)}` without a password; "
        f"to allow it: echo '{rule}' | sudo tee /etc/sudoers.d/fleet-restart-ollama"
    )


def restart_owners(
    engine: Engine, planned: Restart, base_url: str, commands: Commands, clock: Clock
) -> Engine:
    """Restart it, and return when a new process of the same version answers.

    Raises EngineNotRestarted.
    """
    before = engine.facts().version
    restart(engine, planned.argv, base_url, commands, clock, planned.words)
    now = engine.facts().version
    if now != before:
        raise EngineNotRestarted(
            f"Ollama at {base_url} came back with version {now}, before it was {before}",
            "submit again: the plan is made anew for this version",
        )
    return engine


def _never(run_as: RunAs) -> str:
    if run_as.kind == "by hand":
        return "it was started by hand and would lose its terminal; run it as a service"
    if run_as.kind == "container":
        return "it runs in a container, and fleet does not know what manages that"
    return f"it is unknown how it is run: {run_as.why}"
