"""Differences between machines that `fleet compare` will refuse, before anything is measured; pure.

The classes are those of `fleet.comparability`, the very table that compare applies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

from fleet import comparability
from fleet.comparability import ENVIRONMENT_FACTS, Difference, differing
from fleet.model.experiment import Request
from fleet.model.machine import Machine
from fleet.model.runners import variant_hint
from fleet.plan.refusals.unfit import PlanWarning

NOT_SET = "not set"
SHOWN_DIGITS = 12

HINTS = {
    "digest": "the machines need one digest: pull the model anew where it is the older one",
    "engine": "use one kind of engine",
    "engine_version": "bring the engine to one version everywhere",
    **{fact: f"set {name} alike everywhere" for fact, name in ENVIRONMENT_FACTS.items()},
}


@dataclass(frozen=True, slots=True)
class _MachineFacts:
    """The facts of the table on one machine now, for one model."""

    machine: Machine
    model: str = ""

    def __call__(self, fact: str) -> Set[str | None]:
        return {self._value(fact)}

    def _value(self, fact: str) -> str | None:
        engine = self.machine.engine
        if fact in ("digest", "model_format"):
            held = self.machine.model(self.model)
            if held is None:
                return None
            return held.digest.removeprefix("sha256:") if fact == "digest" else held.model_format
        if engine is None:
            return None
        if fact in ENVIRONMENT_FACTS:
            return engine.environment.get(ENVIRONMENT_FACTS[fact], NOT_SET)
        if fact in ("engine", "engine_version"):
            return engine.kind if fact == "engine" else engine.version
        return None  # settings are equal on all machines; the rest is only listed


def unlike(by: str, request: Request, machines: Sequence[Machine]) -> tuple[PlanWarning, ...]:
    """Return a warning for each fact, model and value that a machine does not share with the first.

    `by`: the axis of the experiment; an axis that is compared within each machine has no warnings.
    """
    ready = [machine for machine in machines if machine.engine is not None]
    if len(ready) < 2 or comparability.is_across(by) is False or not _sides_are_machines(by, ready):
        return ()
    settings_made = {
        name for settings in request.experiment.settings.combinations() for name in settings
    }
    unlike_first: dict[tuple[str, str, str], list[Machine]] = {}
    for model in dict.fromkeys(request.experiment.models):
        for machine in ready[1:]:
            refused = list(_refused(by, ready[0], machine, model))
            variants = any(each.fact == "model_format" for each in refused)
            for each in refused:
                if each.fact in settings_made or (variants and each.fact == "digest"):
                    continue  # a trial sets it alike everywhere; or the variants say it
                of_model = model if each.fact in ("digest", "model_format") else ""
                key = (each.fact, of_model, _words(each, ready[0]))
                others = unlike_first.setdefault(key, [])
                others += [] if machine in others else [machine]
    return tuple(
        PlanWarning(
            machine=", ".join(machine.name for machine in others),
            model=model,
            what=f"{words}; fleet compare --by {by} will refuse this: "
            f"{HINTS.get(fact) or variant_hint(model)}, or compare with --allow-diff {fact}",
        )
        for (fact, model, words), others in unlike_first.items()
    )


def _sides_are_machines(by: str, machines: Sequence[Machine]) -> bool:
    """Tell whether the axis tells machines apart: a condition that all share does not."""
    values = {_axis_value(by, machine) for machine in machines}
    return comparability.is_across(by) is True or len(values) > 1


def _axis_value(by: str, machine: Machine) -> str:
    values = {*_MachineFacts(machine)(by)} if by in comparability.FACTS else {None}
    return str(machine.fingerprint.get(by) if values == {None} else values)


def _refused(by: str, first: Machine, other: Machine, model: str) -> Iterator[Difference]:
    for each in differing(_MachineFacts(first, model), _MachineFacts(other, model), by):
        if each.standing == "refused" and not each.unknown:
            yield each


def _words(each: Difference, first: Machine) -> str:
    value, first_value = (str(*values)[:SHOWN_DIGITS] for values in (each.side, each.baseline))
    return f"{each.words} differ: {value} against {first_value} on {first.name}"
