"""What the owner of this machine allows fleet to change on it, and how that is taken back."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fleet import wiring
from fleet.errors import UserError, nearest
from fleet.exclusive import MachineLock
from fleet.ports import Say

KINDS = ("wired-limit",)


def allow(kinds: Sequence[str], say: Say, system: str = sys.platform) -> None:
    """Raises UserError for a kind that there is not, here or at all."""
    for kind in kinds:
        if kind not in KINDS:
            near = nearest(kind, KINDS)
            hint = f" (did you mean {near}?)" if near else ""
            raise UserError(f"--allow {kind}: nothing is called so{hint}", f"there is {KINDS[0]}")
        if system != "darwin":
            raise UserError(f"--allow {kind}: only a Mac has a wired limit", "leave it out here")
    if kinds:
        from fleet.settings import permission

        say("fleet may set this Mac's GPU wired limit while it measures; as root it runs, once:")
        permission.allow(say)
        say(f"allowed; the only file that runs as root: {wiring.helper_file()}")


def disallow(say: Say) -> bool:
    """True where something was allowed. What a trial has changed is put back before."""
    from fleet.settings import permission

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
