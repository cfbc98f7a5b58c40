"""Every model is on every machine, its digest read back, before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.errors import PlanRefused
from fleet.model.event import Failed, Lost, ModelRefused, Prepared
from fleet.model.machine import ModelFacts
from fleet.model.trial import Attempt
from fleet.plan.expand import Plan
from fleet.ports import Dispatcher

Queues = Mapping[str, tuple[Attempt, ...]]
Refusal = Failed | Lost | ModelRefused
"""What cannot be made ready: a machine, or one model on it."""


@dataclass(slots=True)
class Readiness:
    """What came of the preparation, by machine id."""

    models: dict[str, tuple[ModelFacts, ...]] = field(default_factory=dict)
    """Of each machine that has any model ready."""
    refused_models: set[tuple[str, str]] = field(default_factory=set)
    """Machine id and model."""
    hints: list[str] = field(default_factory=list)
    """What to type for each machine that could not be made ready."""


def prepare(
    planned: Plan, queues: Queues, dispatcher: Dispatcher, run: Submission, talk: Talk
) -> Readiness:
    """Raises PlanRefused where nothing is ready and nothing of the plan was measured before."""
    wanted = {
        machine_id: list(dict.fromkeys(attempt.trial.model for attempt in attempts))
        for machine_id, attempts in queues.items()
    }
    names = {each.machine.machine_id: each.machine.name for each in planned.machines}
    readiness = Readiness()
    for event in dispatcher.prepare(wanted):
        if isinstance(event, Prepared):
            readiness.models |= {event.machine_id: event.models} if event.models else {}
        elif isinstance(event, (Failed, Lost, ModelRefused)):
            _refuse(event, names[event.machine_id], run, readiness)
            talk.say(_refusal_line(event, names[event.machine_id]))
        else:
            talk.event(event)
    if not readiness.models and not run.account().count("done"):
        hint = next(iter(readiness.hints), "")
        raise PlanRefused("no machine could be made ready; nothing was measured", hint)
    return readiness


def _refuse(event: Refusal, machine: str, run: Submission, readiness: Readiness) -> None:
    """The ledger says of each trial that is not measured now why it is not."""
    if isinstance(event, ModelRefused):
        readiness.refused_models.add((event.machine_id, event.model))
        run.refuse_model(event, machine)
        return
    hint = event.hint if isinstance(event, Failed) else ""
    readiness.hints.append(hint)
    run.refuse(event.machine_id, machine, event.what, hint)


def _refusal_line(event: Refusal, machine: str) -> str:
    if isinstance(event, ModelRefused):
        hint = f"; {event.hint}" if event.hint else ""
        return f"{machine}: {event.model} is left out: {event.what}{hint}"
    return f"{machine} is left out: {event.what}"
