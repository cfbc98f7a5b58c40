"""End what fleet runs here, and revoke what the owner of this machine had allowed."""

from __future__ import annotations

from fleet.dispatch.cluster import leave as leave
from fleet.errors import UserError
from fleet.exclusive import MachineLock
from fleet.owner import permission
from fleet.owner.allowed import remove
from fleet.owner.ownership import permitted
from fleet.ports import Say
from fleet.wiring import real


def disallow(say: Say) -> list[str]:
    """Revoke every permission and return what is no longer allowed, in words.

    What a trial has changed on this machine is restored first.
    """
    file = real.permission_here()
    allowed, problem = permitted(file)
    revoked = []
    if remove(file):
        revoked += [f"{file}, which could not be read, is removed"] if problem else []
        revoked += ["fleet may no longer restart the Ollama here"] if allowed.kinds else []
        revoked += ["trials begin here at any hour again"] if allowed.hours else []
    if _disallow_wired_limit(say):
        revoked.append("fleet may no longer set the wired limit of this Mac")
    return revoked


def _disallow_wired_limit(say: Say) -> bool:
    """Return whether it was allowed."""
    if not permission.is_allowed():
        return False
    machine_id, settings = real.settings_here()
    lock = MachineLock(machine_id)
    try:
        if not lock.take():
            raise UserError(
                "a trial runs on this machine and may have changed its wired limit",
                "type fleet leave again when it has ended, or stop it: fleet cancel",
            )
        if restored := settings.recover():
            say(restored)
        permission.disallow(say)
    finally:
        lock.release()
    return True
