"""One submission in the ledger, from its first moment to its end, however it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from fleet.app.interrupts import interruptible
from fleet.app.options import Options
from fleet.errors import FleetError, Interrupted, StoreUnusable
from fleet.folders import with_home
from fleet.ledger.journal import Ledger
from fleet.ledger.rows import LeftOutRow, MachineRow, Origin, SubmissionState
from fleet.model.account import Account
from fleet.model.event import ModelRefused
from fleet.model.experiment import Request, SimulatedEngine
from fleet.plan.absent import names_written

STOPPED = (KeyboardInterrupt, Interrupted, SystemExit)
"""SystemExit comes from the handler that Ray sets for SIGTERM while it starts."""


NOT_LOOKED_AT = "not looked at yet"


class Submission:
    """A submission whose `number` is its id in the ledger."""

    def __init__(self, ledger: Ledger, request: Request, options: Options) -> None:
        """Write it to the ledger; raise StoreUnusable if another of its name runs."""
        self._home = options.home
        self.ledger = ledger
        self.name = request.experiment.name
        origin = Origin(submitter=options.submitter, command=options.command, log=options.log)
        self.number = ledger.begin(request, ledger.last_session(self.name), origin)
        experiment, engine = request.experiment, request.experiment.engine
        scripted = engine.machines if isinstance(engine, SimulatedEngine) else ()
        names = names_written(experiment.machines, scripted, options.only)
        rows = [MachineRow(machine=name, state="planned", reason=NOT_LOOKED_AT) for name in names]
        ledger.put_machines(self.number, rows)

    def enter(self, state: SubmissionState, reason: str = "") -> None:
        """Record the state of the submission."""
        self.ledger.enter(self.number, state, reason)

    def wait_for(self, names: Iterable[str], busy: Mapping[str, str]) -> None:
        """Record that it waits for these machines; those that are free wait with the others."""
        rows = [
            MachineRow(
                machine=name, state="busy" if name in busy else "planned", reason=busy.get(name, "")
            )
            for name in names
        ]
        self.ledger.put_machines(self.number, rows)
        self.enter("waiting", "; ".join(busy.values()))

    def refuse(self, machine_id: str, machine: str, reason: str, hint: str = "") -> None:
        """Record that this machine cannot be made ready: none of its trials is measured."""
        row = MachineRow(
            machine=machine, machine_id=machine_id, state="refused", reason=reason, hint=hint
        )
        self.ledger.put_machines(self.number, [row])
        self.ledger.cancel_waiting(self.number, reason, machine_id)

    def refuse_model(self, event: ModelRefused, machine: str) -> None:
        """Record that one model cannot be made ready; other trials of the machine are measured."""
        row = LeftOutRow(machine=machine, what=event.model, clause=event.what, hint=event.hint)
        self.ledger.leave_out(self.number, self.name, [row])
        self.ledger.cancel_waiting(self.number, event.what, event.machine_id, event.model)

    def account(self) -> Account:
        """Return what became of every trial; raise InternalError if that does not add up."""
        return self.ledger.account(self.number).checked()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Record how the work ends, however it ends; what was not measured no longer waits."""
        try:
            with interruptible():
                yield
            self.ledger.cancel_waiting(self.number, "its machine ended its work before this trial")
            missing = self.account().missing
        except STOPPED:
            raise self._interrupted() from None
        except BaseException as problem:
            with suppress(StoreUnusable):  # the first reason counts
                self._close("failed", _reason(problem))
            raise
        self.ledger.end(self.number, "failed" if missing else "done")

    def _interrupted(self) -> Interrupted:
        account = self.ledger.account(self.number)
        self._close("interrupted", "interrupted")
        if not account.total:
            what = "interrupted while it was starting: nothing was measured"
        else:
            done, waiting = account.count("done"), account.count("waiting")
            kept = "1 trial is kept" if done == 1 else f"{done} trials are kept"
            what = f"interrupted: {kept}, {waiting} {'is' if waiting == 1 else 'are'} left"
        status = with_home(f"fleet status {self.name}", self._home)
        return Interrupted(what, f"to continue, type the same command again, or see: {status}")

    def _close(self, outcome: str, reason: str) -> None:
        self.ledger.cancel_waiting(self.number, reason)
        self.ledger.end(self.number, outcome, reason)


def _reason(problem: BaseException) -> str:
    """Return one line for the ledger."""
    text = (
        problem.what if isinstance(problem, FleetError) else f"{type(problem).__name__}: {problem}"
    )
    return "; ".join(line.strip() for line in text.splitlines())
