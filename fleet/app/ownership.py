"""What the owner of this machine allows, as it is now."""

from __future__ import annotations

from fleet.commands import SystemCommands
from fleet.doctor.diagnosis import WIRED_LIMIT
from fleet.doctor.findings import Ownership
from fleet.model.experiment import OllamaEngine
from fleet.model.machine import EngineRestart
from fleet.owner import permission
from fleet.owner.allowed import ENGINE_BINARY, RESTART_OLLAMA
from fleet.owner.ownership import OwnersOllama, permitted
from fleet.wiring import real

KINDS = (RESTART_OLLAMA, ENGINE_BINARY, WIRED_LIMIT)


def ownership() -> Ownership:
    """Ask the system what is allowed and how Ollama is run; change nothing."""
    allowed, problem = permitted(real.permission_here())
    return Ownership(
        allowed=allowed,
        problem=problem,
        restart=restart_words(),
        wired_limit=permission.is_allowed(),
    )


def restart_words() -> EngineRestart:
    """Describe how the Ollama here would be restarted, or why it cannot be."""
    url, wrong_address = real.ollama_address(OllamaEngine(kind="ollama"))
    if wrong_address is not None:
        return EngineRestart(refusal=wrong_address.what)
    return OwnersOllama(url, SystemCommands(), real.permission_here()).restart_words()
