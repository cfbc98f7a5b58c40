"""Everything a submission asks for, written to the ledger before anything is dispatched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fleet.app.submission import Submission
from fleet.errors import FleetUnreachable, PlanRefused
from fleet.ledger.rows import LeftOutRow, MachineRow
from fleet.model.experiment import Request
from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.plan.absent import AbsentMachine
from fleet.plan.entries import entries
from fleet.plan.expand import LeftOut, Plan
from fleet.plan.selection import select
from fleet.plan.time_budget import Within
from fleet.ports import PastAttempt

FREE = "fleet submit waits for busy machines; fleet machines lists the others"


def chosen_machines(
    request: Request, machines: Sequence[Machine], absent: Sequence[AbsentMachine]
) -> Sequence[Machine]:
    """Return the machines of the experiment that are present; raise FleetUnreachable if none is."""
    absent_names = {n for each in absent for n in (each.name, each.known.machine_id) if n}
    selector = request.experiment.machines
    try:
        chosen = select(selector, machines, absent_names)
    except PlanRefused:
        if not absent:
            raise
        chosen = ()
    if not chosen:
        reasons = "".join(f"\n  {each}" for each in absent)
        raise FleetUnreachable(f"no machine of this experiment is free now:{reasons}", FREE)
    return chosen


def machine_rows(planned: Plan) -> Iterator[MachineRow]:
    """Yield a row for every machine of the experiment: planned, refused or absent."""
    for each in planned.machines:
        present = each.machine
        yield MachineRow(machine=present.name, machine_id=present.machine_id, state="planned")
    for name, reason in planned.refused.items():
        yield MachineRow(machine=name, state="refused", reason=reason)
    for machine in (absent.machine for absent in planned.absent):
        yield MachineRow(
            machine=machine.name,
            machine_id=machine.known.machine_id,
            state=machine.state,
            reason=machine.reason,
            hint=machine.hint,
        )


def book(
    run: Submission,
    planned: Plan,
    past: Iterable[PastAttempt],
    remaining: Mapping[str, Sequence[Attempt]],
    bounded: Within,
) -> None:
    """Write every requested trial to the ledger, with its state and the reason.

    `bounded`: the `remaining` attempts for which the user's time suffices.
    """
    too_late = dict(_too_late(remaining, bounded))
    every = entries(planned, past, bounded.kept, too_late)
    run.ledger.ask(run.number, planned.session, planned.trials_asked, every)
    run.ledger.leave_out(run.number, run.name, _left_out(planned))


def _too_late(
    remaining: Mapping[str, Sequence[Attempt]], bounded: Within
) -> Iterator[tuple[str, str]]:
    """Yield trial id and reason; what was measured before in such a block stays measured."""
    blocks = {
        (left.machine_id, block): left.reason for left in bounded.left_out for block in left.blocks
    }
    for queue in remaining.values():
        for trial in (attempt.trial for attempt in queue):
            if (trial.machine_id, trial.block) in blocks:
                yield trial.trial_id, blocks[trial.machine_id, trial.block]


def _left_out(planned: Plan) -> Iterator[LeftOutRow]:
    """Yield whole cells with their number of trials, then the parts that trials lack."""
    reasons = set()
    for cells in planned.left_trials:
        own = {f"{cells.machine}{mark}{cells.reason}" for mark in (": ", " ")}
        reasons |= {cells.reason, *own}
        yield LeftOutRow(
            machine=cells.machine,
            what="",
            clause=cells.reason,
            hint="",
            trials=cells.trials,
            by_choice=cells.by_choice,
        )
    for left in planned.left_out:
        if str(left) not in reasons:
            machine = left.machine or "every machine"
            yield LeftOutRow(machine=machine, what=_what(left), clause=left.clause, hint="")


def _what(left: LeftOut) -> str:
    return " ".join(part for part in (left.cell, left.job, left.point) if part) or "everything"
