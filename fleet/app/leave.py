"""End what fleet runs here, and take back what its owner had allowed."""

from __future__ import annotations

from fleet.dispatch.cluster import leave as leave
from fleet.errors import UserError
from fleet.exclusive import MachineLock
from fleet.owner.allowed import remove
from fleet.ports import Say
from fleet.wiring import real


def disallow(say: Say) -> list[str]:
    """What is no longer so, in words; what a trial has changed is put back before."""
    from fleet.owner.ownership import permitted

    file = real.permission_here()
    before, problem = permitted(file)
    told = []
    if remove(file):
        told += [f"{file}, which could not be read, is taken away"] if problem else []
        told += ["fleet may no longer restart the Ollama here"] if before.kinds else []
        told += ["trials begin here at any hour again"] if before.hours else []
    if _disallow_wired_limit(say):
        told.append("fleet may no longer set the wired limit of this Mac")
    return told


def _disallow_wired_limit(say: Say) -> bool:
    """True where it was allowed."""
    from fleet.owner import permission

    if not permission.is_allowed():
        return False
    machine_id, settings = real.settings_here()
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
