"""What the owner of this machine allows fleet to change on it, and how that is taken back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from fleet import wiring
from fleet.doctor.findings import Ownership
from fleet.errors import UserError, nearest
from fleet.exclusive import MachineLock
from fleet.model.hours import Hours
from fleet.model.machine import WIRED_LIMIT, EngineRestart
from fleet.owner.allowed import RESTART_OLLAMA, Allowed, read, remove, write
from fleet.ports import Say

KINDS = (RESTART_OLLAMA, WIRED_LIMIT)


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
        say(f"allowed; the only file that runs as root: {wiring.helper_file()}")


def disallow(say: Say) -> list[str]:
    """What is no longer so, in words; what a trial has changed is put back before."""
    from fleet.owner.ownership import permitted

    file = wiring.permission_here()
    before, problem = permitted(file)
    told = []
    if remove(file):
        told += [f"{file}, which could not be read, is taken away"] if problem else []
        told += ["fleet may no longer restart the Ollama here"] if before.kinds else []
        told += ["trials begin here at any hour again"] if before.hours else []
    if _disallow_wired_limit(say):
        told.append("fleet may no longer set the wired limit of this Mac")
    return told


def ownership() -> Ownership:
    """As it is on this machine now; asks the system, changes nothing."""
    from fleet.owner import permission
    from fleet.owner.ownership import permitted

    allowed, problem = permitted(wiring.permission_here())
    return Ownership(
        allowed=allowed,
        problem=problem,
        restart=_restart_words(),
        wired_limit=permission.is_allowed(),
    )


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
    file = wiring.permission_here()
    try:
        before = read(file)
    except UserError:
        before = Allowed()
    kinds = before.kinds | ({RESTART_OLLAMA} if restart else frozenset())
    now = replace(before, kinds=kinds, hours=hours or before.hours)
    write(file, now)
    if restart:
        say("fleet may restart the Ollama of this machine, and unload models that others use")
        words = _restart_words()
        say(f"it cannot be restarted now: {words.refusal}" if words.refusal else f"by: {words.how}")
    if hours is not None:
        say(f"trials begin here only within {hours}, by this machine's clock")
    say("fleet leave takes that back")


def _restart_words() -> EngineRestart:
    from fleet.commands import SystemCommands
    from fleet.model.experiment import OllamaEngine
    from fleet.owner.ownership import OwnersOllama

    url, wrong_address = wiring.ollama_address(OllamaEngine(kind="ollama"))
    if wrong_address is not None:
        return EngineRestart(refusal=wrong_address.what)
    return OwnersOllama(url, SystemCommands(), wiring.permission_here()).restart_words()


def _disallow_wired_limit(say: Say) -> bool:
    """True where it was allowed."""
    from fleet.owner import permission

    if not permission.is_allowed():
        return False
    machine_id, settings = wiring.settings_here()
    lock = MachineLock(machine_id)
    try:
        if not lock.take():
            raise UserError(
                "a trial runs on this machine, which may have changed its wired limit",
                "type fleet leave again when it has ended, or: fleet cancel",
            )
        if told := settings.recover():
            say(told)
        permission.disallow(say)
    finally:
        lock.release()
    return True
