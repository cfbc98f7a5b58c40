"""Submit a request: from its plan to measured, stored and compared trials."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from fleet.app.bookings import book, machine_rows
from fleet.app.dispatchers import open_dispatcher
from fleet.app.home import Home
from fleet.app.interrupts import sigterm_is_an_interrupt
from fleet.app.machine_changes import change_lines
from fleet.app.options import REGISTERED, Options
from fleet.app.plan import make_plan
from fleet.app.prepare import Queues, prepare
from fleet.app.progress import Talk
from fleet.app.submission import Submission
from fleet.app.take_machines import take_machines
from fleet.comparability import check_axis
from fleet.dispatch_ports import Dispatcher
from fleet.errors import PlanRefused
from fleet.folders import with_home
from fleet.model.account import Account
from fleet.model.experiment import Request
from fleet.plan.digests import digests, with_digests, without
from fleet.plan.expand import Plan
from fleet.plan.resume import Remaining, of_submission, remaining
from fleet.plan.time_budget import Within, within
from fleet.report.closing_text import closing_lines
from fleet.units import show_count, show_span


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """The result of a submission: its plan, and what became of every requested trial."""

    plan: Plan
    account: Account

    @property
    def complete(self) -> bool:
        """Whether no trial is missing."""
        return not self.account.missing


def submit(request: Request, options: Options, talk: Talk) -> int:
    """Measure what is missing, then compare; return exit code 1 if any trial is missing."""
    result = measure(request, options, talk)
    trusted = True
    if measured_at_all(request, options):
        trusted = _answer(result.plan, options, talk)
    close(result.account, request, options, talk)
    return 0 if result.complete and trusted else 1


def _answer(planned: Plan, options: Options, talk: Talk) -> bool:
    """Print the results; return False if noise figures cannot be trusted, or nothing counts."""
    from fleet.app.noise import read_report
    from fleet.app.submit_report import ending
    from fleet.report.noise_text import report_lines

    if planned.request.role == "noise":
        report = read_report(options.home, planned)
        talk.answer(report_lines(report))
        return report.trusted
    command = options.command
    end = ending(options.home, planned, talk.columns(), command=command)
    talk.answer(end.lines)
    if not end.counts:
        flagged = f"fleet results {planned.request.experiment.name} --flagged"
        why = with_home(flagged, options.home)
        talk.say(f"no request counts, so there is no figure; why: {why}")
    return end.counts


def close(account: Account, request: Request, options: Options, talk: Talk) -> None:
    """Print the last lines: what is missing, why, and what to type."""
    nothing = not measured_at_all(request, options)
    status = with_home(f"fleet status {request.experiment.name}", options.home)
    for line in closing_lines(account, status, command=options.command, nothing=nothing):
        talk.say(line)


def measured_at_all(request: Request, options: Options) -> bool:
    """Return whether any trial of this experiment that went well is stored."""
    past = Home(options.home, read_only=True).attempts(request)
    return any(attempt.outcome == "ok" for attempt in past)


def measure(request: Request, options: Options, talk: Talk) -> SubmissionResult:
    """Measure the request; the ledger has it first, so that status and cancel know of it."""
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
        return SubmissionResult(planned, run.account())


def _planned_and_measured(
    request: Request, options: Options, home: Home, run: Submission, talk: Talk
) -> Plan:
    with closing(open_dispatcher(request, options)) as dispatcher:
        sigterm_is_an_interrupt()
        machines, absent = take_machines(request, options, dispatcher, run, talk)
        for line in change_lines(options.home, machines):
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
        _run_queues(planned, bounded.kept, dispatcher, home, run, talk)
        return planned


def _without_unwanted_redo(
    planned: Plan, left: Remaining, home: Home, options: Options, talk: Talk
) -> Remaining:
    """Measure again what only an upgrade made new if the user confirms it."""
    if not left.redo or options.yes or options.missing_only:
        return left
    for change, trials in left.changes().items():
        talk.say(f"{trials} trials were measured before this change: {change}")
    if talk.confirm(left.redo):
        return left
    talk.say("they are kept as they are (--yes measures them again, --missing-only does not ask)")
    return remaining(planned, home.attempts(planned.request), missing_only=True)


def _refuse(planned: Plan) -> None:
    """Raise an error for what can be planned but not measured."""
    if planned.axis:
        check_axis(planned.axis)
    if planned.refusals:
        raise PlanRefused("\n".join(planned.refusals), "")


# parameters: everything that one submission works with
def _run_queues(
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
            talk.say("nothing to do: every trial is finished (--again measures all of them again)")
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
    """Return the attempts that remain, each with the digest of its model."""
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
    """Return what fits into the user's time; raise PlanRefused if not even one block does."""
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
            f"no block would end within {show_span(options.seconds)}",
            f"the shortest takes about {show_span(shortest)}: give more, or narrow with --only",
        )
    return bounded


def _names(planned: Plan) -> dict[str, str]:
    return {m.machine.machine_id: m.machine.name for m in planned.machines}


def _models(planned: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(trial.model for trial in planned.trials()))
