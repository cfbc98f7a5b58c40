"""The machines on which an experiment with strict gates cannot be measured; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.model.experiment import Experiment
from fleet.model.gates import unverified, with_resident
from fleet.model.machine import Fingerprint, Machine


def refused_gates(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """Refuse a machine with an unknown gate, which would hold a strict trial in vain."""
    if experiment.gate_rule().policy != "strict":
        return
    for machine in machines:
        unknown = unverified(_at_rest(machine.fingerprint))
        if unknown:
            yield (
                f"gates: strict cannot be kept on {machine.name}, which does not report: "
                f"{', '.join(unknown)}; gates: wait checks what it does report"
            )


def _at_rest(look: Fingerprint) -> Fingerprint:
    """Return the look as it will be once the engine holds no model.

    Everything in the GPU's memory then belongs to others, which some machines show only so.
    """
    return with_resident(look, (), "supposed") if look.get("resident_models") else look
