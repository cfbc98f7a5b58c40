"""Make every model ready on every machine before anything is timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.dispatch_ports import Dispatcher
from fleet.errors import PlanRefused
from fleet.model.event import Failed, Lost, ModelRefused, Prepared
from fleet.model.machine import ModelFacts
from fleet.model.trial import Attempt
from fleet.plan.expand import Plan
from fleet.report.event_text import refusal_text

Queues = Mapping[str, tuple[Attempt, ...]]
Refusal = Failed | Lost | ModelRefused
"""A machine, or one model on it, that cannot be made ready."""


@dataclass(slots=True)
class Readiness:
    """The result of the preparation."""

    models: dict[str, tuple[ModelFacts, ...]] = field(default_factory=dict)
    """Models that are ready, by machine id."""
    refused_models: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of machine id and model."""
    hints: list[str] = field(default_factory=list)
    """The command to type for each machine that could not be made ready."""


def prepare(
    planned: Plan, queues: Queues, dispatcher: Dispatcher, run: Submission, talk: Talk
) -> Readiness:
    """Make the models ready on every machine.

    It raises PlanRefused if nothing is ready and nothing of the plan was measured before.
    """
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
            talk.say(refusal_text(event, names[event.machine_id]))
        else:
            talk.event(event)
    if not readiness.models and not run.account().count("done"):
        hint = next(iter(readiness.hints), "")
        raise PlanRefused("no machine could be made ready; nothing was measured", hint)
    return readiness


def _refuse(event: Refusal, machine: str, run: Submission, readiness: Readiness) -> None:
    """Record in the ledger why trials are not measured."""
    if isinstance(event, ModelRefused):
        readiness.refused_models.add((event.machine_id, event.model))
        run.refuse_model(event, machine)
        return
    hint = event.hint if isinstance(event, Failed) else ""
    readiness.hints.append(hint)
    run.refuse(event.machine_id, machine, event.what, hint)
