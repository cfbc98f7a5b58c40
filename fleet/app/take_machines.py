"""Getting at the machines: the queue in which an experiment waits until all of them are free."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from fleet.app.home import Home
from fleet.app.known_machines import Look, absent_machines, known_machines
from fleet.app.options import Options
from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.folders import ledger_file
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request, SimulatedEngine
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine, KnownMachine, narrowed, wanted_names
from fleet.ports import Dispatcher

POLL_S = 1.0
LEFT = "it left the fleet before it was look at"

Taken = tuple[Sequence[Machine], Sequence[AbsentMachine]]
"""The machines as they are now, and those that are meant and not there."""


def take_machines(
    request: Request, options: Options, dispatcher: Dispatcher, run: Submission, talk: Talk
) -> Taken:
    """Wait until every machine that is meant and joined is free; they are taken on return."""
    session = Home(options.home, read_only=True).session(request, again=options.again)
    queued = run.ledger.machines_of(run.name, session)
    known = known_machines(request, options, session, queued)
    names = _wanted(request, options, dispatcher, known)
    _wait_for(names, dispatcher, run, talk)
    look = _look(names, dispatcher, {})
    absent = absent_machines(request, options, known, look)
    return look.machines, narrowed(absent, options.only)


def borrow_machines(request: Request, options: Options, dispatcher: Dispatcher) -> Taken:
    """The same for a plan, which waits for nobody and writes nothing."""
    session = Home(options.home, read_only=True).session(request, again=options.again)
    known = known_machines(request, options, session, _queued(request, options, session))
    names = _wanted(request, options, dispatcher, known)
    look = _look(names, dispatcher, dispatcher.borrow(names))
    absent = absent_machines(request, options, known, look)
    return look.machines, narrowed(absent, options.only)


def _wanted(
    request: Request, options: Options, dispatcher: Dispatcher, known: Sequence[KnownMachine]
) -> list[str]:
    """Of the joined machines; a simulated experiment means only those of its script."""
    experiment, joined = request.experiment, dispatcher.joined()
    if isinstance(experiment.engine, SimulatedEngine):
        joined = [name for name in joined if name in experiment.engine.machines]
    return wanted_names(experiment.machines, options.only, joined, known)


def _queued(request: Request, options: Options, session: int) -> list[tuple[str, str, bool]]:
    if not ledger_file(options.home).exists():
        return []
    with closing(Ledger(ledger_file(options.home))) as ledger:
        return ledger.machines_of(request.experiment.name, session)


def _look(names: Sequence[str], dispatcher: Dispatcher, busy: Mapping[str, str]) -> Look:
    machines = dispatcher.machines() if set(names) - set(busy) else ()
    answered = {machine.name for machine in machines} | busy.keys()
    left = {name: LEFT for name in names if name not in answered}
    return Look(machines=machines, silent={**left, **dispatcher.absent}, busy=busy)


def _wait_for(names: Sequence[str], dispatcher: Dispatcher, run: Submission, talk: Talk) -> None:
    """Says once for each machine who has it; Ctrl-C and `fleet cancel` end the wait."""
    shown: set[str] = set()
    before: Mapping[str, str] = {}
    while busy := dispatcher.take(names, run.ledger.promised(run.number)):
        if busy != before:
            run.wait_for(names, busy)
            before = busy
        for words in set(busy.values()) - shown:
            talk.say(f"waits: {words}")
            shown.add(words)
        time.sleep(POLL_S)
    if shown:
        run.enter("starting")
        talk.say("all its machines are free now: it goes on")
