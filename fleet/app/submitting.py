"""Plan and submit: from a request to measured, stored and compared trials."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fleet.app.answering import answer_lines, contrast_axis
from fleet.app.histories import changes_told
from fleet.app.homes import Home
from fleet.app.interrupts import sigterm_is_an_interrupt
from fleet.app.measuring import Measuring
from fleet.app.noise import read_report, report_lines
from fleet.app.talking import Talk
from fleet.errors import Interrupted, PlanRefused, StoreUnusable
from fleet.ledger.journal import Ledger, LeftOutRow
from fleet.model.event import Event, Failed, Lost, Prepared
from fleet.model.experiment import Request, SimulatedEngine
from fleet.model.machine import Machine, ModelFacts
from fleet.model.trial import Attempt
from fleet.plan.expand import LeftOut, Plan, expand
from fleet.plan.resume import Remaining, digests, of_submission, remaining, with_digests, within
from fleet.plan.selection import select
from fleet.plan.stopping import axis
from fleet.plan.unfit import no_engine
from fleet.plan.unlike import unlike
from fleet.ports import Dispatcher
from fleet.units import show_count, show_span
from fleet.wiring import WorkerSpec, home_folder, host_name

Queues = Mapping[str, tuple[Attempt, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a request is run; none of it changes the identity of a trial but `again`."""

    home: Path
    only: Mapping[str, str] = field(default_factory=dict)
    repeats: int | None = None
    seconds: float | None = None
    again: bool = False
    missing_only: bool = False
    yes: bool = False
    skip_unfit: bool = False
    ray_address: str | None = None
    """Set on the head: the cluster to dispatch to. None: workers on this machine."""

    def to_json(self, *, with_home: bool) -> str:
        """For a coordinator; a head elsewhere has a home of its own."""
        told = asdict(self) | {"home": str(self.home) if with_home else None}
        return json.dumps(told)

    @classmethod
    def from_json(cls, text: str, *, ray_address: str) -> Options:
        told = json.loads(text)
        home = home_folder(told["home"])
        return cls(**told | {"home": home, "ray_address": ray_address})


def plan(request: Request, options: Options) -> Plan:
    """What would run, from what the machines are now; touches nothing."""
    home = Home(options.home, read_only=True)
    with closing(open_dispatcher(request, options)) as dispatcher:
        return make_plan(request, options, home, dispatcher.machines())


def submit(request: Request, options: Options, talk: Talk) -> int:
    """Measure what is missing, then compare; exit code 1 where trials failed or were lost."""
    planned, failed = measured(request, options, talk)
    if failed and not Home(options.home, read_only=True).attempts(request):
        name = request.experiment.name
        talk.say(f"nothing was measured: what failed stands above, and in: fleet status {name}")
        return 1
    if request.role == "noise":
        report = read_report(options.home, planned)
        talk.answer(report_lines(report))
        return 0 if report.trusted and not failed else 1
    talk.answer(answer_lines(options.home, planned, talk.columns()))
    return 1 if failed else 0


def _random_hex() -> str:
    return secrets.token_hex(16)


def measured(
    request: Request, options: Options, talk: Talk, random_hex: Callable[[], str] = _random_hex
) -> tuple[Plan, int]:
    """The plan, and how many of its trials failed or were lost.

    `random_hex` makes the id of this submission.
    """
    talk.home(options.home)
    home = Home(options.home)
    with closing(open_dispatcher(request, options)) as dispatcher:
        sigterm_is_an_interrupt()
        machines = dispatcher.machines()
        for line in changes_told(options.home, machines):
            talk.say(line)
        planned = make_plan(request, options, home, machines)
        left = remaining(planned, home.attempts(request), missing_only=options.missing_only)
        left = _without_unwanted_redo(planned, left, home, options, talk)
        left = of_submission(left, random_hex())
        talk.planned(planned, sum(map(len, left.attempts.values())), left.finished)
        _refuse(planned)
        return planned, _measure(planned, left, dispatcher, home, options, talk)


def make_plan(request: Request, options: Options, home: Home, machines: Sequence[Machine]) -> Plan:
    chosen = select(request.experiment.machines, machines)
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
    )
    there = [machine.machine for machine in planned.machines]
    warnings = unlike(axis(request, there), request, there)
    return replace(planned, warnings=(*planned.warnings, *warnings))


def open_dispatcher(request: Request, options: Options) -> Dispatcher:
    """Ray where this is the head of a fleet, else one worker process per machine here."""
    engine = request.experiment.engine
    if options.ray_address is not None:
        from fleet.app.cluster import ray_dispatcher

        return ray_dispatcher(engine, request.experiment.name, options.ray_address)
    from fleet.dispatch.local import LocalDispatcher

    names = list(engine.machines) if isinstance(engine, SimulatedEngine) else [host_name()]
    return LocalDispatcher(
        {name: WorkerSpec(engine=engine, name=name, state=str(options.home)) for name in names}
    )


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
    left: Remaining,
    dispatcher: Dispatcher,
    home: Home,
    options: Options,
    talk: Talk,
) -> int:
    """Number of trials that failed or were lost with their machine."""
    if not left.attempts:
        talk.say("nothing to do: every trial is finished (--again measures all once more)")
        return 0
    ready, refused = _prepared(planned, left.attempts, dispatcher, talk)
    agreed = with_digests(planned, digests(ready, _names(planned), _models(planned)))
    queues = _bounded(agreed, _queues(agreed, left, ready), options, talk)
    with closing(home.ledger()) as ledger:
        submission = ledger.begin(planned.request, planned.session)
        ledger.leave_out(submission, planned.request.experiment.name, _left_out(agreed, refused))
        measuring = Measuring(agreed, queues, dispatcher, home, ledger, submission, talk)
        with _ended_in_the_ledger(ledger, submission, measuring, planned.request.experiment.name):
            measuring.run()
    return measuring.failed + len(refused)


@contextmanager
def _ended_in_the_ledger(
    ledger: Ledger, submission: int, measuring: Measuring, name: str
) -> Iterator[None]:
    """However it ends, the ledger says so, and what was not measured no longer waits."""
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        ledger.cancel_waiting(submission, "interrupted")
        ledger.end(submission, "interrupted")
        raise Interrupted(
            f"interrupted: {measuring.done} trials are kept, {measuring.waiting} are left",
            f"go on with the same command, or see: fleet status {name}",
        ) from None
    except BaseException as problem:
        with suppress(StoreUnusable):  # the first reason counts
            ledger.cancel_waiting(submission, str(problem))
            ledger.end(submission, "failed")
        raise
    ledger.end(submission, "failed" if measuring.failed else "done")


def _prepared(
    planned: Plan, queues: Queues, dispatcher: Dispatcher, talk: Talk
) -> tuple[dict[str, tuple[ModelFacts, ...]], list[Failed | Lost]]:
    """Every model is on every machine, its digest read back, before anything is timed."""
    wanted = {
        machine_id: list(dict.fromkeys(attempt.trial.model for attempt in attempts))
        for machine_id, attempts in queues.items()
    }
    ready: dict[str, tuple[ModelFacts, ...]] = {}
    refused: list[Failed | Lost] = []
    for event in dispatcher.prepare(wanted):
        if isinstance(event, Prepared):
            ready[event.machine_id] = event.models
        elif isinstance(event, (Failed, Lost)):
            refused.append(event)
            _tell(event, _names(planned), talk)
        else:
            talk.event(event)
    if not ready:
        first = refused[0] if refused else None
        mend = first.mend if isinstance(first, Failed) else ""
        raise PlanRefused("no machine could be made ready; nothing was measured", mend)
    return ready, refused


def _tell(event: Event, names: Mapping[str, str], talk: Talk) -> None:
    if isinstance(event, (Failed, Lost)):
        talk.say(f"{names[event.machine_id]} is left out: {event.what}")


def _queues(agreed: Plan, left: Remaining, ready: Mapping[str, object]) -> Queues:
    """The attempts that remain, each with the trial that knows its model's digest."""
    trials = {trial.trial_id: trial for trial in agreed.trials()}
    return {
        machine_id: tuple(replace(a, trial=trials[a.trial.trial_id]) for a in attempts)
        for machine_id, attempts in left.attempts.items()
        if machine_id in ready
    }


def _bounded(agreed: Plan, queues: Queues, options: Options, talk: Talk) -> Queues:
    if options.seconds is None:
        return queues
    machines = {each.machine.machine_id: each.machine for each in agreed.machines}
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
    return bounded.kept


def _left_out(agreed: Plan, refused: list[Failed | Lost]) -> Iterator[LeftOutRow]:
    names = _names(agreed)
    for left in agreed.left_out:
        yield LeftOutRow(
            machine=left.machine or "every machine",
            what=_what(left),
            clause=left.clause,
            mend="",
        )
    for event in refused:
        mend = event.mend if isinstance(event, Failed) else ""
        yield LeftOutRow(
            machine=names[event.machine_id], what="everything", clause=event.what, mend=mend
        )


def _what(left: LeftOut) -> str:
    return " ".join(part for part in (left.cell, left.job, left.point) if part) or "everything"


def _names(planned: Plan) -> dict[str, str]:
    return {m.machine.machine_id: m.machine.name for m in planned.machines}


def _models(planned: Plan) -> tuple[str, ...]:
    return tuple(dict.fromkeys(trial.model for trial in planned.trials()))
