"""What of the machines as found `fleet compare` will refuse, said before anything is measured.

The classes are those of `fleet.comparability`, the very table that compare applies; pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from fleet import comparability as likeness
from fleet.comparability import ENVIRONMENT_FACTS, Difference, differing
from fleet.model.experiment import Request
from fleet.model.machine import Machine
from fleet.plan.refusals.unfit import PlanWarning

NOT_SET = "not set"
SHOWN_DIGITS = 12

MENDS = {
    "digest": "the machines need one digest: pull the model anew where it is the older one",
    "engine": "use one kind of engine",
    "engine_version": "bring the engine to one version everywhere",
    **{fact: f"set {name} alike everywhere" for fact, name in ENVIRONMENT_FACTS.items()},
}


@dataclass(frozen=True, slots=True)
class _Found:
    """What one machine shows of each fact of the table, now, for one model."""

    machine: Machine
    model: str = ""

    def __call__(self, fact: str) -> Set[str | None]:
        return {self._value(fact)}

    def _value(self, fact: str) -> str | None:
        engine = self.machine.engine
        if fact == "digest":
            held = self.machine.model(self.model)
            return held.digest.removeprefix("sha256:") if held else None
        if engine is None:
            return None
        if fact in ENVIRONMENT_FACTS:
            return engine.environment.get(ENVIRONMENT_FACTS[fact], NOT_SET)
        if fact in ("engine", "engine_version"):
            return engine.kind if fact == "engine" else engine.version
        return None  # what an experiment asks is asked of all; the rest is only listed


def unlike(by: str, request: Request, machines: Sequence[Machine]) -> tuple[PlanWarning, ...]:
    """One warning per fact, model and value that a machine does not share with the first.

    `by`: the axis of the experiment; where it is compared within each machine there is none.
    """
    there = [machine for machine in machines if machine.engine is not None]
    if len(there) < 2 or likeness.is_across(by) is False or not _sides_are_machines(by, there):
        return ()
    asked = {name for settings in request.experiment.settings.combinations() for name in settings}
    found: dict[tuple[str, str, str], list[Machine]] = {}
    for model in dict.fromkeys(request.experiment.models):
        for machine in there[1:]:
            for each in _refused(by, there[0], machine, model):
                if each.fact in asked:
                    continue  # it will be the same everywhere, however it is now
                of_model = model if each.fact == "digest" else ""
                key = (each.fact, of_model, _told(each, there[0]))
                found.setdefault(key, [])
                found[key] += [] if machine in found[key] else [machine]
    return tuple(
        PlanWarning(
            machine=", ".join(machine.name for machine in others),
            model=model,
            what=f"{told}; fleet compare --by {by} will refuse this: "
            f"{MENDS[fact]}, or compare with --allow-diff {fact}",
        )
        for (fact, model, told), others in found.items()
    )


def _sides_are_machines(by: str, machines: Sequence[Machine]) -> bool:
    """A condition that no two machines differ in is no axis between them."""
    values = {_axis_value(by, machine) for machine in machines}
    return likeness.is_across(by) is True or len(values) > 1


def _axis_value(by: str, machine: Machine) -> str:
    found = {*_Found(machine)(by)} if by in likeness.FACTS else {None}
    return str(machine.fingerprint.get(by) if found == {None} else found)


def _refused(by: str, first: Machine, other: Machine, model: str) -> Iterator[Difference]:
    for each in differing(_Found(first, model), _Found(other, model), by):
        if each.standing == "refused" and not each.unknown:
            yield each


def _told(each: Difference, first: Machine) -> str:
    ours, theirs = (str(*values)[:SHOWN_DIGITS] for values in (each.side, each.baseline))
    return f"{each.words} differ: {ours} against {theirs} on {first.name}"
