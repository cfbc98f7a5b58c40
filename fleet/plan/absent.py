"""Machines that an experiment selects and that cannot be measured now; pure.

Every known machine that the experiment selects is either planned or named as absent.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from fleet.errors import FleetUnreachable
from fleet.model.experiment import Selector
from fleet.model.machine import (
    EngineFacts,
    Fact,
    FactValue,
    Fingerprint,
    Machine,
    Proofs,
)
from fleet.plan.selection import did_you_mean, matches, no_such, unknown_machines

_MACHINE_ID = re.compile(r"machine-[0-9a-f]+")
NO_PROOFS = Proofs(exact_counts=False, server_clock=False, cache_off=False, placement=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownMachine:
    """A machine that is known from earlier work, the experiment or a declaration."""

    name: str
    machine_id: str | None = None
    """None: fleet has never seen it."""
    facts: Mapping[str, FactValue] = field(default_factory=dict)
    """Its facts as last seen, or as declared."""
    last_seen: str = ""
    """The time of its last measurement, for people; empty: never, or not known."""
    expected: bool = True
    """Its trials count as requested. False: it has measured only other experiments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentMachine:
    """A selected machine that cannot be planned now, with the reason and a hint."""

    known: KnownMachine
    state: Literal["absent", "busy"]
    reason: str
    hint: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.known.name

    def __str__(self) -> str:
        """Return the reason with the name; the reason of a busy machine begins with its name."""
        named = self.reason if self.state == "busy" else f"{self.name}: {self.reason}"
        return named + (f"; {self.hint}" if self.hint else "")

    def as_last_seen(self, engine: str) -> Machine | None:
        """Return a stand-in for counting its trials; None: fleet has never seen the machine."""
        if self.known.machine_id is None:
            return None
        facts = self.known.facts.items()
        return Machine(
            machine_id=self.known.machine_id,
            name=self.name,
            fingerprint=Fingerprint(
                facts=tuple(
                    Fact(name=name, value=value, source="as before") for name, value in facts
                ),
                hardware_id="",
                software_id="",
                condition_id="",
            ),
            engine=EngineFacts(kind=engine, version="", proofs=NO_PROOFS),
        )


def meant(selector: Literal["all"] | Sequence[str] | Selector, known: KnownMachine) -> bool:
    """Tell whether the experiment selects this machine, by its known facts."""
    if selector == "all":
        return True
    if isinstance(selector, Selector):
        return matches(selector, known.name, known.facts)
    return known.name in selector or known.machine_id in selector


def names_written(
    selector: Literal["all"] | Sequence[str] | Selector,
    scripted: Collection[str],
    only: Mapping[str, str],
) -> list[str]:
    """Return the machines that an experiment names or scripts; ids and `all` name none."""
    if isinstance(selector, Selector):
        return []
    wanted = only.get("machine")
    names = scripted if selector == "all" else selector
    named = [name for name in names if not _MACHINE_ID.fullmatch(name)]
    return [name for name in named if wanted in (None, name)]


def wanted_names(
    selector: Literal["all"] | Sequence[str] | Selector,
    only: Mapping[str, str],
    joined: Sequence[str],
    known: Iterable[KnownMachine],
) -> list[str]:
    """Return the joined machines to look at: those that the experiment may select.

    It may select a machine of which nothing is known. Raises UnknownName for a name that is neither
    joined nor known.
    """
    by_name = {machine.name: machine for machine in known}
    candidates = [by_name.get(name, KnownMachine(name=name)) for name in joined]
    everybody = [*candidates, *by_name.values()]
    if not isinstance(selector, Selector) and selector != "all":
        _refuse_unknown(selector, everybody)
    wanted = [machine for machine in candidates if _may_be_meant(selector, machine)]
    narrow_to = only.get("machine")
    if narrow_to is None:
        return [machine.name for machine in wanted]
    if not any(_named(machine, (narrow_to,)) for machine in everybody):
        raise no_such("machine", narrow_to, [machine.name for machine in wanted])
    return [machine.name for machine in wanted if _named(machine, (narrow_to,))]


def _may_be_meant(
    selector: Literal["all"] | Sequence[str] | Selector, machine: KnownMachine
) -> bool:
    if isinstance(selector, Selector):
        return not machine.facts or meant(selector, machine)
    return selector == "all" or _named(machine, selector)


def _named(machine: KnownMachine, names: Sequence[str]) -> bool:
    """Tell whether one of the names fits; a machine without a known id may fit any id."""
    if machine.machine_id is None and any(map(_MACHINE_ID.fullmatch, names)):
        return True
    return machine.name in names or machine.machine_id in names


def _refuse_unknown(names: Sequence[str], known: Sequence[KnownMachine]) -> None:
    """Raise UnknownName for unknown names; an unknown id may be that of a new machine."""
    unknown = [name for name in names if not any(_named(each, (name,)) for each in known)]
    if unknown:
        names_known = sorted({each.name for each in known})
        with_hints = [f"{name}{did_you_mean(name, names_known)}" for name in unknown]
        raise unknown_machines(with_hints, names_known)


def not_there(
    selector: Literal["all"] | Sequence[str] | Selector,
    known: Iterable[KnownMachine],
    present: Collection[Machine],
) -> list[KnownMachine]:
    """Return the known machines that are selected and not present, each once, by name."""
    joined = {machine.machine_id for machine in present} | {machine.name for machine in present}
    missing: dict[str, KnownMachine] = {}
    for machine in sorted(known, key=lambda each: (each.name, not each.expected)):
        if meant(selector, machine) and not {machine.name, machine.machine_id} & joined:
            missing.setdefault(machine.name, machine)
    return list(missing.values())


def narrowed(absent: Sequence[AbsentMachine], only: Mapping[str, str]) -> list[AbsentMachine]:
    """Return what `--only machine=X` leaves; raises FleetUnreachable if X itself is absent."""
    wanted = only.get("machine")
    if wanted is None:
        return list(absent)
    for machine in absent:
        if wanted in (machine.name, machine.known.machine_id):
            raise FleetUnreachable(f"--only machine={wanted}: {machine.reason}", machine.hint)
    return []
