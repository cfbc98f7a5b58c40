"""The rows of the ledger as typed values; frozen and pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fleet.model.account import Account, AccountState, Share

SubmissionState = Literal["starting", "waiting", "preparing", "measuring", "ended"]
MachineState = Literal["planned", "busy", "absent", "refused", "lost"]

ACCOUNT_STATE: dict[str, AccountState] = {
    "queued": "waiting",
    "running": "waiting",
    "done": "done",
    "failed": "failed",
    "not needed": "not needed",
    "cancelled": "left out",
    "absent": "left out",
    "left out": "left out",
}
"""The state in an account, by the state of a trial's row."""
BY_CHOICE = "left out"
"""The state of trials that the user left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The submitter, the command, and the file of the coordinator's output."""

    submitter: str = ""
    command: str = ""
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """One machine of a submission: whether it takes part, and why not."""

    machine: str
    machine_id: str | None = None
    state: MachineState
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutRow:
    """A part of the experiment that cannot run, the clause that forbids it, and the hint."""

    machine: str
    what: str
    clause: str
    hint: str
    trials: int = 0
    """The number of trials; 0: each of them lost only a part."""
    by_choice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRow:
    """The trials of a machine that are in one state for one reason."""

    machine: str
    state: str
    reason: str
    trials: int
    estimate_s: float
    changed_unix_s: float
    example: str
    """Model, job and settings of the latest trial."""
    canary: bool = False
    """The trials are canaries, which no account counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionStatus:
    """The state of the latest session of one experiment."""

    experiment: str
    session: int
    submitted_unix_s: float
    ended_unix_s: float | None
    outcome: str | None
    alive: bool
    """Whether its coordinator still runs on this machine."""
    states: tuple[StateRow, ...]
    left_out: tuple[LeftOutRow, ...]
    state: str = "ended"
    reason: str = ""
    """What it waits for, or why it ended."""
    submitter: str = ""
    command: str = ""
    log: str = ""
    machines: tuple[MachineRow, ...] = ()
    trials_asked: int | None = None
    """Trials that the last submission requested; None: not planned, or by an older fleet."""
    trials_before: int = 0
    """Trials of the session that only earlier submissions requested."""

    @property
    def account(self) -> Account:
        """The account of the whole session, with the trials of all its submissions."""
        total = None if self.trials_asked is None else self.trials_asked + self.trials_before
        return account_of(total, self.states, self.left_out)


def account_of(
    total: int | None, states: Iterable[StateRow], left_out: Iterable[LeftOutRow]
) -> Account:
    """Return the account of these rows; `total` None: the rows are all there is."""
    shares = (*_shares_of_states(states), *_shares_of_left_out(left_out))
    counted = sum(share.trials for share in shares)
    return Account(total=counted if total is None else total, shares=shares)


def _shares_of_states(states: Iterable[StateRow]) -> Iterable[Share]:
    for row in states:
        if not row.canary:
            yield Share(
                machine=row.machine,
                state=ACCOUNT_STATE[row.state],
                reason=row.reason,
                trials=row.trials,
                by_choice=row.state == BY_CHOICE,
            )


def _shares_of_left_out(rows: Iterable[LeftOutRow]) -> Iterable[Share]:
    for row in rows:
        if row.trials:
            yield Share(
                machine=row.machine,
                state="left out",
                reason=row.clause,
                trials=row.trials,
                by_choice=row.by_choice,
            )
