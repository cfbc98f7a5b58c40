"""Which machines an experiment with strict gates cannot be measured on; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.model.experiment import Experiment
from fleet.model.gates import unverified, with_resident
from fleet.model.machine import Fingerprint, Machine


def refused_gates(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """A gate of which a machine says nothing never opens, so a strict trial would wait in vain."""
    if experiment.gate_rule().policy != "strict":
        return
    for machine in machines:
        untold = unverified(_at_rest(machine.fingerprint))
        if untold:
            yield (
                f"gates: strict cannot be kept on {machine.name}, which does not tell: "
                f"{', '.join(untold)}; gates: wait holds it for what it does tell"
            )


def _at_rest(look: Fingerprint) -> Fingerprint:
    """As it will be once the engine holds no model: then all that is in use of the GPU's memory is
    others', which until then nobody tells on some machines."""
    return with_resident(look, (), "supposed") if look.get("resident_models") else look
