"""What a submission asks for, written into the ledger before anything is dispatched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fleet.app.submission import Submission
from fleet.errors import FleetUnreachable, PlanRefused
from fleet.ledger.rows import LeftOutRow, MachineRow
from fleet.model.experiment import Request
from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine
from fleet.plan.entries import entries
from fleet.plan.expand import LeftOut, Plan
from fleet.plan.resume import Within
from fleet.plan.selection import select
from fleet.ports import PastAttempt

FREE = "fleet submit waits for those that are busy; fleet machines tells of the others"


def chosen_machines(
    request: Request, machines: Sequence[Machine], absent: Sequence[AbsentMachine]
) -> Sequence[Machine]:
    """Those meant, of those that are there; raises FleetUnreachable where all are absent."""
    away = {name for each in absent for name in (each.name, each.known.machine_id) if name}
    selector = request.experiment.machines
    try:
        chosen = select(selector, machines, away)
    except PlanRefused:
        if not absent:
            raise
        chosen = ()
    if not chosen:
        reasons = "".join(f"\n  {each}" for each in absent)
        raise FleetUnreachable(f"no machine of this experiment is free now:{reasons}", FREE)
    return chosen


def machine_rows(planned: Plan) -> Iterator[MachineRow]:
    """Every machine that is meant: planned, refused or absent."""
    for each in planned.machines:
        machine = each.machine
        yield MachineRow(machine=machine.name, machine_id=machine.machine_id, state="planned")
    for name, reason in planned.refused.items():
        yield MachineRow(machine=name, state="refused", reason=reason)
    for away in planned.absent:
        yield MachineRow(
            machine=away.machine.name,
            machine_id=away.machine.known.machine_id,
            state=away.machine.state,
            reason=away.machine.reason,
            mend=away.machine.mend,
        )


def book(run: Submission, planned: Plan, past: Iterable[PastAttempt], bounded: Within) -> None:
    """Every trial asked for is in the ledger on return, with its state and the reason."""
    blocks = {
        (left.machine_id, block): left.reason for left in bounded.left_out for block in left.blocks
    }
    too_late = {
        trial.trial_id: blocks[trial.machine_id, trial.block]
        for trial in planned.work()
        if (trial.machine_id, trial.block) in blocks
    }
    every = entries(planned, past, bounded.kept, too_late)
    run.ledger.ask(run.number, planned.session, planned.asked, every)
    run.ledger.leave_out(run.number, run.name, _left_out(planned))


def _left_out(planned: Plan) -> Iterator[LeftOutRow]:
    """Whole cells with their number of trials; of the rest, what each trial lacks."""
    counted = set()
    for cells in planned.left_trials:
        counted |= {cells.reason, f"{cells.machine}: {cells.reason}"}
        yield LeftOutRow(
            machine=cells.machine,
            what="",
            clause=cells.reason,
            mend="",
            trials=cells.trials,
            by_choice=cells.by_choice,
        )
    for left in planned.left_out:
        if str(left) not in counted:
            machine = left.machine or "every machine"
            yield LeftOutRow(machine=machine, what=_what(left), clause=left.clause, mend="")


def _what(left: LeftOut) -> str:
    return " ".join(part for part in (left.cell, left.job, left.point) if part) or "everything"
