"""Engines of a version that this fleet does not know: measured, and named in the plan; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from fleet.model.machine import Machine
from fleet.model.ollama_versions import NEWEST_CHECKED, OLDEST_CHECKED, is_checked, show_version
from fleet.plan.refusals.unfit import PlanWarning

KNOWN = f"{show_version(OLDEST_CHECKED)} to {show_version(NEWEST_CHECKED)}"


def unchecked_versions(machines: Sequence[Machine]) -> Iterator[PlanWarning]:
    """Yield a warning for each version of Ollama of which it is not known what it counts."""
    names: dict[str, list[str]] = defaultdict(list)
    for machine in machines:
        engine = machine.engine
        if engine is not None and engine.kind == "ollama" and not is_checked(engine.version):
            names[engine.version].append(machine.name)
    for version, of_version in names.items():
        yield PlanWarning(
            machine=", ".join(of_version),
            model="",
            what=f"Ollama {version}: its meaning was not checked by this version of fleet, which "
            f"knows {KNOWN}; its rows are labelled unchecked_version",
        )
