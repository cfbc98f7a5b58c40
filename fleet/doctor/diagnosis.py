"""All checks of one machine, and whether it is fit to be measured. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleet.doctor.findings import MachineCheck, Ownership
from fleet.errors import UserError
from fleet.model.machine import Fingerprint

WIRED_LIMIT = "wired-limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineDiagnosis:
    """The checks of one machine, and the facts they rest on."""

    name: str
    machine_id: str
    fingerprint: Fingerprint
    checks: tuple[MachineCheck, ...]
    ownership: Ownership
    wrong_address: bool = False
    """The address set for its Ollama belongs to another machine, or to none."""

    @property
    def exit_code(self) -> int:
        """0 if the machine is fit, 1 if not, that of a user's mistake for a wrong address."""
        if self.wrong_address:
            return UserError.exit_code
        return 0 if self.fit else 1

    @property
    def fit(self) -> bool:
        """Whether no check is unfit; what cannot be told counts as fit."""
        return all(check.state != "unfit" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return the checks and the facts as data."""
        checks = [
            {"name": check.name, "state": check.state, "found": check.finding, "hint": check.hint}
            for check in self.checks
        ]
        facts = machine_data(self.name, self.machine_id, self.fingerprint, self.ownership)
        return {"fit": self.fit, "checks": checks, **facts}


def machine_data(
    name: str, machine_id: str, fingerprint: Fingerprint, ownership: Ownership
) -> dict[str, Any]:
    """Return what a machine is and what its owner allows, as data."""
    hours = ownership.allowed.hours
    wired_limit = {WIRED_LIMIT} if ownership.wired_limit else set()
    return {
        "machine": name,
        "allowed": sorted(ownership.allowed.kinds | wired_limit),
        "hours": str(hours) if hours else None,
        "programs": dict(ownership.allowed.programs),
        "machine_id": machine_id,
        "hardware_id": fingerprint.hardware_id,
        "software_id": fingerprint.software_id,
        "condition_id": fingerprint.condition_id,
        "recipe": fingerprint.recipe,
        "facts": {
            fact.name: {"value": fact.value, "source": fact.source, "state": fact.state}
            for fact in fingerprint.facts
        },
    }
