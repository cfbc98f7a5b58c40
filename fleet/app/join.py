"""Make this machine part of a fleet, and keep what its owner allows fleet to do."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fleet import folders
from fleet.app.ownership import KINDS, restart_words
from fleet.dispatch.cluster import join, require_joinable
from fleet.doctor.diagnosis import WIRED_LIMIT
from fleet.engines.ollama.programs import look_at_program
from fleet.errors import UserError, nearest
from fleet.model.hours import Hours
from fleet.model.settings import LABEL
from fleet.owner import permission
from fleet.owner.allowed import ENGINE_BINARY, RESTART_OLLAMA, Allowed, read, write
from fleet.ports import Say, Stop
from fleet.settings.wired_limit import HELPER
from fleet.wiring import real

REGISTER = "fleet join --allow engine-binary v0.34=/opt/ollama-0.34/bin/ollama"
RESTART_EXAMPLE = "fleet join --restart-command 'systemctl restart ollama'"


def head_and_programs(words: Sequence[str]) -> tuple[str | None, list[str]]:
    """Tell the address of the head from the programs, LABEL=PATH; raise UserError."""
    heads = [word for word in words if "=" not in word]
    if len(heads) > 1:
        raise UserError(f"fleet join: {' and '.join(heads)} are two heads", "name one of them")
    return next(iter(heads), None), [word for word in words if "=" in word]


# parameters: the options of `fleet join` that permit something
def allow(
    kinds: Sequence[str],
    say: Say,
    system: str = sys.platform,
    *,
    hours: str | None = None,
    restart_command: str | None = None,
    programs: Sequence[str] = (),
) -> None:
    """Check every word, then keep the permissions; raise UserError before anything is changed."""
    for kind in kinds:
        _check_kind(kind, system)
    added = Allowed(
        kinds=frozenset({RESTART_OLLAMA} & set(kinds)),
        hours=None if hours is None else _hours(hours),
        programs=_programs(kinds, programs),
        restart_command=() if restart_command is None else _words(restart_command),
    )
    if added.restart_command:
        added = replace(added, kinds=added.kinds | {RESTART_OLLAMA})
    if added != Allowed():
        _keep(added, say)
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


def _programs(kinds: Sequence[str], words: Sequence[str]) -> dict[str, str]:
    """Check labels and paths; raise UserError for one that cannot be started here."""
    if words and ENGINE_BINARY not in kinds:
        raise UserError(f"{words[0]} names an Ollama, and nothing allows to start it", REGISTER)
    if ENGINE_BINARY in kinds and not words:
        raise UserError(f"--allow {ENGINE_BINARY}: which Ollama, by which label?", REGISTER)
    return dict(_program(word) for word in words)


def _program(word: str) -> tuple[str, str]:
    label, _, path = word.partition("=")
    if not re.match(LABEL, label):
        raise UserError(f"{word}: {label!r} is no label: letters, digits and .-_", REGISTER)
    if not path.startswith("/"):
        raise UserError(f"{word}: the path does not begin at /", REGISTER)
    if refusal := look_at_program(Path(path)).refusal:
        raise UserError(f"{word}: {refusal}", "give the path of the program `ollama` itself")
    return label, path


def _words(command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as problem:
        raise UserError(f"--restart-command {command}: {problem}", RESTART_EXAMPLE) from None
    if not words:
        raise UserError("--restart-command: which command?", RESTART_EXAMPLE)
    return words


def _keep(added: Allowed, say: Say) -> None:
    """Add to what is allowed already; a damaged file is written anew."""
    file = real.permission_here()
    try:
        before = read(file)
    except UserError:
        before = Allowed()
    write(
        file,
        Allowed(
            kinds=before.kinds | added.kinds,
            hours=added.hours or before.hours,
            programs={**before.programs, **added.programs},
            restart_command=added.restart_command or before.restart_command,
        ),
    )
    if RESTART_OLLAMA in added.kinds:
        say("fleet may restart the Ollama of this machine, and unload models that others use")
        words = restart_words()
        say(f"it cannot be restarted now: {words.refusal}" if words.refusal else f"by: {words.how}")
    for label, path in added.programs.items():
        say(f"fleet may start {path} for trials with engine_binary={label}")
    if added.hours is not None:
        say(f"trials begin here only within {added.hours}, by this machine's clock")
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
