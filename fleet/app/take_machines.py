"""Take the machines of an experiment: it waits until all of them are free."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from fleet.app.home import Home
from fleet.app.known_machines import MachineLook, absent_machines, known_machines
from fleet.app.options import Options
from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.dispatch_ports import Dispatcher
from fleet.folders import ledger_file
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request, SimulatedEngine
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine, KnownMachine, narrowed, wanted_names

POLL_S = 1.0
LEFT = "it left the fleet before it was examined"

Taken = tuple[Sequence[Machine], Sequence[AbsentMachine]]
"""The machines as they are now, and those of the experiment that are absent."""


def take_machines(
    request: Request, options: Options, dispatcher: Dispatcher, run: Submission, talk: Talk
) -> Taken:
    """Wait until every joined machine of the experiment is free; they are taken on return."""
    session = Home(options.home, read_only=True).session(request, again=options.again)
    queued = run.ledger.machines_of(run.name, session)
    known = known_machines(request, options, session, queued)
    names = _wanted(request, options, dispatcher, known)
    _wait_for(names, dispatcher, run, talk)
    look = _look(names, dispatcher, {})
    absent = absent_machines(request, options, known, look)
    return look.machines, narrowed(absent, options.only)


def borrow_machines(request: Request, options: Options, dispatcher: Dispatcher) -> Taken:
    """Return the machines for a plan, which waits for nothing and writes nothing."""
    session = Home(options.home, read_only=True).session(request, again=options.again)
    known = known_machines(request, options, session, _queued(request, options, session))
    names = _wanted(request, options, dispatcher, known)
    look = _look(names, dispatcher, dispatcher.borrow(names))
    absent = absent_machines(request, options, known, look)
    return look.machines, narrowed(absent, options.only)


def _wanted(
    request: Request, options: Options, dispatcher: Dispatcher, known: Sequence[KnownMachine]
) -> list[str]:
    """Choose among the joined machines; a simulated experiment has only those of its script."""
    experiment, joined = request.experiment, dispatcher.joined()
    if isinstance(experiment.engine, SimulatedEngine):
        joined = [name for name in joined if name in experiment.engine.machines]
    return wanted_names(experiment.machines, options.only, joined, known)


def _queued(request: Request, options: Options, session: int) -> list[tuple[str, str, bool]]:
    if not ledger_file(options.home).exists():
        return []
    with closing(Ledger(ledger_file(options.home))) as ledger:
        return ledger.machines_of(request.experiment.name, session)


def _look(names: Sequence[str], dispatcher: Dispatcher, busy: Mapping[str, str]) -> MachineLook:
    machines = dispatcher.machines() if set(names) - set(busy) else ()
    answered = {machine.name for machine in machines} | busy.keys()
    left = {name: LEFT for name in names if name not in answered}
    return MachineLook(machines=machines, silent={**left, **dispatcher.absent}, busy=busy)


def _wait_for(names: Sequence[str], dispatcher: Dispatcher, run: Submission, talk: Talk) -> None:
    """Report once for each machine what holds it; Ctrl-C and `fleet cancel` end the wait."""
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
        talk.say("all machines are free now: work begins")
