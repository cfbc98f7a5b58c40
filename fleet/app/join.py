"""Make this machine part of a fleet, and keep what its owner allows fleet to do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from fleet import folders
from fleet.app.ownership import KINDS, WIRED_LIMIT, restart_words
from fleet.dispatch.cluster import join, require_joinable
from fleet.errors import UserError, nearest
from fleet.model.hours import Hours
from fleet.owner.allowed import RESTART_OLLAMA, Allowed, read, write
from fleet.ports import Say, Stop
from fleet.settings.wired_limit import HELPER
from fleet.wiring import real


def allow(
    kinds: Sequence[str], say: Say, system: str = sys.platform, *, hours: str | None = None
) -> None:
    """Everything is looked at before anything is changed; raises UserError."""
    for kind in kinds:
        _known(kind, system)
    asked = None if hours is None else _hours(hours)
    if RESTART_OLLAMA in kinds or asked is not None:
        _keep(RESTART_OLLAMA in kinds, asked, say)
    if WIRED_LIMIT in kinds:
        from fleet.owner import permission

        say("fleet may set this Mac's GPU wired limit while it measures; as root it runs, once:")
        permission.allow(say)
        say(f"allowed; the only file that runs as root: {HELPER}")


def _known(kind: str, system: str) -> None:
    if kind not in KINDS:
        near = nearest(kind, KINDS)
        hint = f" (did you mean {near}?)" if near else ""
        there = f"there are {' and '.join(KINDS)}"
        raise UserError(f"--allow {kind}: nothing is called so{hint}", there)
    if kind == WIRED_LIMIT and system != "darwin":
        raise UserError(f"--allow {kind}: only a Mac has a wired limit", "leave it out here")


def _hours(text: str) -> Hours:
    try:
        return Hours.read(text)
    except ValueError as problem:
        raise UserError(f"--hours {problem}", "fleet join --hours 22-07") from None


def _keep(restart: bool, hours: Hours | None, say: Say) -> None:
    """Beside what was allowed before; a damaged file is written anew."""
    file = real.permission_here()
    try:
        before = read(file)
    except UserError:
        before = Allowed()
    kinds = before.kinds | ({RESTART_OLLAMA} if restart else frozenset())
    now = replace(before, kinds=kinds, hours=hours or before.hours)
    write(file, now)
    if restart:
        say("fleet may restart the Ollama of this machine, and unload models that others use")
        words = restart_words()
        say(f"it cannot be restarted now: {words.refusal}" if words.refusal else f"by: {words.how}")
    if hours is not None:
        say(f"trials begin here only within {hours}, by this machine's clock")
    say("fleet leave takes that back")


def greet_head(address: str, name: str | None, say: Say) -> None:
    """Raises what would keep this machine out, before its user looks for the token."""
    say(f"asking for the head at {address} ...")
    require_joinable(address, folders.state_folder(), name)


def serve_node(
    address: str,
    *,
    name: str | None,
    token: str | None,
    own_ip: str | None,
    say: Say,
    stop: Stop,
) -> None:
    """Be a node until told to stop."""
    state = folders.state_folder()
    say("joining; this takes some seconds ...")
    with join(address, state, name=name, token=token, own_ip=own_ip) as node:
        say(f"{node.record.name} has joined the head at {node.address}")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        node.watch(stop)
