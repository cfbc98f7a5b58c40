"""What the owner of this machine allows, as it is now."""

from __future__ import annotations

from fleet.doctor.findings import Ownership
from fleet.model.machine import EngineRestart
from fleet.owner.allowed import RESTART_OLLAMA
from fleet.wiring import real

WIRED_LIMIT = "wired-limit"
KINDS = (RESTART_OLLAMA, WIRED_LIMIT)


def ownership() -> Ownership:
    """As it is on this machine now; asks the system, changes nothing."""
    from fleet.owner import permission
    from fleet.owner.ownership import permitted

    allowed, problem = permitted(real.permission_here())
    return Ownership(
        allowed=allowed,
        problem=problem,
        restart=restart_words(),
        wired_limit=permission.is_allowed(),
    )


def restart_words() -> EngineRestart:
    from fleet.commands import SystemCommands
    from fleet.model.experiment import OllamaEngine
    from fleet.owner.ownership import OwnersOllama

    url, wrong_address = real.ollama_address(OllamaEngine(kind="ollama"))
    if wrong_address is not None:
        return EngineRestart(refusal=wrong_address.what)
    return OwnersOllama(url, SystemCommands(), real.permission_here()).restart_words()
