"""Make this machine part of a fleet, and keep what its owner allows fleet to do."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace

from fleet import folders
from fleet.app.ownership import KINDS, restart_words
from fleet.dispatch.cluster import join, require_joinable
from fleet.doctor.diagnosis import WIRED_LIMIT
from fleet.errors import UserError, nearest
from fleet.model.hours import Hours
from fleet.owner import permission
from fleet.owner.allowed import RESTART_OLLAMA, Allowed, read, write
from fleet.ports import Say, Stop
from fleet.settings.wired_limit import HELPER
from fleet.wiring import real

RESTART_EXAMPLE = "fleet join --restart-command 'systemctl restart ollama'"


def allow(
    kinds: Sequence[str],
    say: Say,
    system: str = sys.platform,
    *,
    hours: str | None = None,
    restart_command: str | None = None,
) -> None:
    """Check every word, then keep the permissions; raise UserError before anything is changed."""
    for kind in kinds:
        _check_kind(kind, system)
    limits = None if hours is None else _hours(hours)
    command = () if restart_command is None else _words(restart_command)
    if RESTART_OLLAMA in kinds or command or limits is not None:
        _keep(RESTART_OLLAMA in kinds or bool(command), limits, command, say)
    if WIRED_LIMIT in kinds:
        say("fleet may set this Mac's GPU wired limit while it measures; as root it runs, once:")
        permission.allow(say)
        say(f"allowed; the only file that runs as root: {HELPER}")


def _check_kind(kind: str, system: str) -> None:
    if kind not in KINDS:
        suggestion = nearest(kind, KINDS)
        hint = f" (did you mean {suggestion}?)" if suggestion else ""
        raise UserError(
            f"--allow {kind}: there is no such permission{hint}", f"one of {', '.join(KINDS)}"
        )
    if kind == WIRED_LIMIT and system != "darwin":
        raise UserError(f"--allow {kind}: only a Mac has a wired limit", "omit it here")


def _hours(text: str) -> Hours:
    try:
        return Hours.read(text)
    except ValueError as problem:
        raise UserError(f"--hours {problem}", "fleet join --hours 22-07") from None


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as problem:
        raise UserError(f"--restart-command {command}: {problem}", RESTART_EXAMPLE) from None
    if not words:
        raise UserError("--restart-command: which command?", RESTART_EXAMPLE)
    return words


def _keep(restart: bool, hours: Hours | None, command: tuple[str, ...], say: Say) -> None:
    """Add to what is allowed already; a damaged file is written anew."""
    file = real.permission_here()
    try:
        before = read(file)
    except UserError:
        before = Allowed()
    kinds = before.kinds | ({RESTART_OLLAMA} if restart else frozenset())
    hours, command = hours or before.hours, command or before.restart_command
    write(file, replace(before, kinds=kinds, hours=hours, restart_command=command))
    if restart:
        say("fleet may restart the Ollama of this machine, and unload models that others use")
        words = restart_words()
        say(f"it cannot be restarted now: {words.refusal}" if words.refusal else f"by: {words.how}")
    if hours is not None:
        say(f"trials begin here only within {hours}, by this machine's clock")
    say("to revoke this: fleet leave")


def greet_head(address: str, name: str | None, say: Say) -> None:
    """Raise what would keep this machine out, before its user looks for the token."""
    say(f"asking for the head at {address} ...")
    require_joinable(address, folders.state_folder(), name)


# parameters: the options of `fleet join`, and the two ends of a command in the foreground
def serve_node(
    address: str,
    *,
    name: str | None,
    token: str | None,
    own_ip: str | None,
    say: Say,
    stop: Stop,
) -> None:
    """Be a node until stopped."""
    state = folders.state_folder()
    say("joining; this takes some seconds ...")
    with join(address, state, name=name, token=token, own_ip=own_ip) as node:
        say(f"{node.record.name} has joined the head at {node.address}")
        say("the node stays in the foreground until Ctrl-C or `fleet leave`")
        node.watch(stop)
