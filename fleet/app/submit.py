"""Plan and submit: from a request to measured, stored and compared trials."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from fleet.app.bookings import book, chosen_machines, machine_rows
from fleet.app.closing_lines import closing_lines
from fleet.app.contrast import contrast_axis
from fleet.app.home import Home
from fleet.app.interrupts import sigterm_is_an_interrupt
from fleet.app.machine_changes import changes_told
from fleet.app.next_steps import with_store
from fleet.app.options import REGISTERED
from fleet.app.options import Options as Options
from fleet.app.prepare import Queues, prepare
from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.app.take_machines import borrow_machines, take_machines
from fleet.errors import PlanRefused
from fleet.model.account import Account
from fleet.model.experiment import Request, SimulatedEngine
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine
from fleet.plan.expand import Plan, expand
from fleet.plan.refusals.unfit import no_engine
from fleet.plan.refusals.unlike import unlike
from fleet.plan.resume import (
    Remaining,
    Within,
    digests,
    of_submission,
    remaining,
    with_digests,
    within,
    without,
)
from fleet.plan.stopping import axis
from fleet.ports import Dispatcher
from fleet.units import show_count, show_span
from fleet.wiring import WorkerSpec, host_name


@dataclass(frozen=True, slots=True)
class Measured:
    """What a submission came to: its plan, and what became of every trial it asked for."""

    plan: Plan
    account: Account

    @property
    def complete(self) -> bool:
        return not self.account.missing


def plan(request: Request, options: Options) -> Plan:
    """What would run, from what the machines are now; touches nothing."""
    home = Home(options.home, read_only=True)
    request = home.as_before(request)
    with closing(open_dispatcher(request, options)) as dispatcher:
        machines, absent = borrow_machines(request, options, dispatcher)
        return make_plan(request, options, home, machines, absent)


def submit(request: Request, options: Options, talk: Talk) -> int:
    """Measure what is missing, then compare; exit code 1 where anything asked for is missing."""
    result = measured(request, options, talk)
    trusted = True
    if measured_at_all(request, options):
        trusted = _answer(result.plan, options, talk)
    close(result.account, request, options, talk)
    return 0 if result.complete and trusted else 1


def _answer(planned: Plan, options: Options, talk: Talk) -> bool:
    """What it came to; False for noise figures that cannot be trusted, or where nothing counts."""
    from fleet.app.noise import read_report, report_lines
    from fleet.app.submit_report import ending

    if planned.request.role == "noise":
        report = read_report(options.home, planned)
        talk.answer(report_lines(report))
        return report.trusted
    command = options.command
    end = ending(options.home, planned, talk.columns(), command=command)
    talk.answer(end.lines)
    if not end.counts:
        flagged = f"fleet results {planned.request.experiment.name} --flagged"
        why = with_store(flagged, options.home)
        talk.say(f"no request counts, so there is no figure; why: {why}")
    return end.counts


def close(account: Account, request: Request, options: Options, talk: Talk) -> None:
    """The last lines: what is missing, why, and what to type."""
    nothing = not measured_at_all(request, options)
    status = with_store(f"fleet status {request.experiment.name}", options.home)
    for line in closing_lines(account, status, command=options.command, nothing=nothing):
        talk.say(line)


def measured_at_all(request: Request, options: Options) -> bool:
    """Whether the store has any trial of this experiment that went well."""
    past = Home(options.home, read_only=True).attempts(request)
    return any(attempt.outcome == "ok" for attempt in past)


def measured(request: Request, options: Options, talk: Talk) -> Measured:
    """The ledger first: from then on `fleet status` knows of it and `fleet cancel` ends it."""
    talk.home(options.home)
    sigterm_is_an_interrupt()
    home = Home(options.home)
    request = home.as_before(request)
    with closing(home.ledger()) as ledger:
        run = Submission(ledger, request, options)
        with run.kept():
            if options.log:
                talk.say(REGISTERED.format(name=run.name))
            planned = _planned_and_measured(request, options, home, run, talk)
        return Measured(planned, run.account())


def _planned_and_measured(
    request: Request, options: Options, home: Home, run: Submission, talk: Talk
) -> Plan:
    with closing(open_dispatcher(request, options)) as dispatcher:
        sigterm_is_an_interrupt()
        machines, absent = take_machines(request, options, dispatcher, run, talk)
        for line in changes_told(options.home, machines):
            talk.say(line)
        planned = make_plan(request, options, home, machines, absent)
        run.ledger.put_machines(run.number, machine_rows(planned))
        past = home.attempts(request)
        left = remaining(planned, past, missing_only=options.missing_only)
        left = _without_unwanted_redo(planned, left, home, options, talk)
        left = of_submission(left, secrets.token_hex(16))
        talk.planned(planned, sum(map(len, left.attempts.values())), left.finished)
        _refuse(planned)
        bounded = _bounded(left.attempts, planned, options, talk)
        book(run, planned, past, left.attempts, bounded)
        dispatcher.keep(bounded.kept)
        _measure(planned, bounded.kept, dispatcher, home, run, talk)
        return planned


def make_plan(
    request: Request,
    options: Options,
    home: Home,
    machines: Sequence[Machine],
    absent: Sequence[AbsentMachine] = (),
) -> Plan:
    chosen = chosen_machines(request, machines, absent)
    if all(machine.engine is None for machine in chosen):
        raise no_engine(chosen)
    planned = expand(
        request,
        chosen,
        past_seconds=home.past_seconds(request),
        session=home.session(request, again=options.again),
        only=options.only,
        repeats=options.repeats,
        skip_unfit=options.skip_unfit,
        absent=absent,
    )
    there = [machine.machine for machine in planned.machines]
    warnings = unlike(axis(request, there), request, there)
    return replace(planned, warnings=(*planned.warnings, *warnings))


def open_dispatcher(request: Request, options: Options) -> Dispatcher:
    """Ray where this is the head of a fleet, else one worker process per machine here."""
    experiment = request.experiment
    engine = experiment.engine
    if options.ray_address is not None:
        from fleet.app.cluster import ray_dispatcher

        return ray_dispatcher(engine, experiment.name, options.ray_address)
    from fleet.dispatch.local import LocalDispatcher

    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else [host_name()]
    specs = {name: WorkerSpec(engine=engine, name=name, state=str(options.home)) for name in names}
    return LocalDispatcher(specs, experiment.name)


def _without_unwanted_redo(
    planned: Plan, left: Remaining, home: Home, options: Options, talk: Talk
) -> Remaining:
    """What only an upgrade made new is measured when the user wants it, not by the way."""
    if not left.redo or options.yes or options.missing_only:
        return left
    for change, trials in left.changes().items():
        talk.say(f"{trials} trials were measured before this changed: {change}")
    if talk.confirm(left.redo):
        return left
    talk.say("they are left as they are (--yes measures them again, --missing-only asks nothing)")
    return remaining(planned, home.attempts(planned.request), missing_only=True)


def _refuse(planned: Plan) -> None:
    """What may be planned but not measured ends here."""
    contrast_axis(planned)
    if planned.refusals:
        raise PlanRefused("\n".join(planned.refusals), "")


def _measure(
    planned: Plan,
    queues: Queues,
    dispatcher: Dispatcher,
    home: Home,
    run: Submission,
    talk: Talk,
) -> None:
    from fleet.app.measuring import Measuring

    if not queues:
        if not run.account().missing:
            talk.say("nothing to do: every trial is finished (--again measures all once more)")
        return
    readiness = prepare(planned, queues, dispatcher, run, talk)
    if not readiness.models:
        return
    agreed = with_digests(planned, digests(readiness.models, _names(planned), _models(planned)))
    agreed = without(agreed, readiness.refused_models)
    run.enter("measuring")
    queues = _queues(agreed, queues, readiness.models)
    Measuring(agreed, queues, dispatcher, home, run.ledger, run.number, talk).run()


def _queues(agreed: Plan, queues: Queues, ready: Mapping[str, object]) -> Queues:
    """The attempts that remain, each with the trial that knows its model's digest."""
    trials = {trial.trial_id: trial for trial in agreed.trials()}
    return {
        machine_id: tuple(
            replace(a, trial=trials[a.trial.trial_id])
            for a in attempts
            if a.trial.trial_id in trials
        )
        for machine_id, attempts in queues.items()
        if machine_id in ready
    }


def _bounded(queues: Queues, planned: Plan, options: Options, talk: Talk) -> Within:
    """What the user's time holds; raises PlanRefused where it holds no block."""
    if options.seconds is None or not queues:
        return Within(kept=queues, left_out=())
    machines = {each.machine.machine_id: each.machine for each in planned.machines}
    bounded = within(queues, seconds=options.seconds, machines=machines)
    for left in bounded.left_out:
        talk.say(
            f"{left.machine}: not started, {show_count(len(left.blocks), 'block')}: {left.reason}"
        )
    if not bounded.kept:
        shortest = min(
            sum(a.trial.estimate_s for a in queue if a.trial.block == queue[0].trial.block)
            for queue in queues.values()
        )
        raise PlanRefused(
            f"no block ends within {show_span(options.seconds)}",
            f"the shortest takes about {show_span(shortest)}: give more, or narrow with --only",
        )
    return bounded


def _names(planned: Plan) -> dict[str, str]:
    return {m.machine.machine_id: m.machine.name for m in planned.machines}


def _models(planned: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(trial.model for trial in planned.trials()))
