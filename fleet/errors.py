"""Every exception of fleet.

    FleetError                    exit 1   what happened, and what to type next
    |-- UserError                 exit 2   a mistake in the user's file or command
    |   |-- ConfigError                    all mistakes in the files, each with its position
    |   |-- UnknownName                    an unknown name, with the nearest known one
    |   |-- PlanRefused                    the plan contains something that cannot run
    |   `-- StoreUnusable                  the results folder cannot be read or written
    |       `-- StoreNewer                 a newer fleet has written it
    |-- FleetUnreachable          exit 3   the head, or every machine, does not answer
    |-- Fault                     exit 1   a defect of fleet itself; a file has the traceback
    |-- Unstorable                exit 1   a result that the store's files cannot hold
    |-- Interrupted               exit 130 the user stopped the work; finished results are kept
    |-- InternalError             exit 1   fleet's own counts do not add up
    `-- TrialError                         one trial failed; it becomes a row, never a number
        |-- RequestFailed                  has the reason of the reply that failed
        |-- TransientError                 the same trial may succeed next time
        |   |-- EngineUnreachable
        |   |-- EngineBusy
        |   |-- EngineNotRestarted         the command ran, but the old process still answers
        |   |-- StreamBroken               the answer ended without its final record
        |   |-- CounterImpossible          the engine reported an impossible count
        |   |-- WorkerLost                 the process or the machine went away
        |   |-- GateClosed                 the machine was not in a state to be measured
        |   |-- EngineInUse                somebody is using another model of the engine
        |   |-- SettingFailed              a setting could not be applied or verified
        |   `-- SettingStuck               a setting could not be put back
        `-- TerminalError                  another try would give the same result
            |-- ModelMissing
            |-- RequestRefused
            |-- OutOfMemory
            `-- DigestChanged              not the model that the plan was made for

All take plain positional arguments and keep them in `args`, so that they survive pickling.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that `word` is a typing error of, or the only name that contains it."""
    by_low = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_low, n=1, cutoff=0.7)
    if close:
        return by_low[close[0]]
    longer = [name for low, name in by_low.items() if len(word) > 2 and word.lower() in low]
    return longer[0] if len(longer) == 1 else None


class FleetError(Exception):
    """Says what happened and where (`what`), and what to type next (`hint`, may be empty)."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class UserError(FleetError):
    """A mistake in the user's words or files."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in one file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    field: str
    what: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}:{self.column}: {field}{self.what}"


class ConfigError(UserError):
    """All mistakes in the user's files, in the order of their lines."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.args = (mistakes,)
        self.mistakes = mistakes


class UnknownName(UserError):
    """A name that does not exist."""


class PlanRefused(UserError):
    """A plan that cannot be run."""


class StoreUnusable(UserError):
    """A results folder or ledger that cannot be read or written."""


class StoreNewer(StoreUnusable):
    """Results that a newer fleet has written: they are whole, but not for this one."""


def check_store_path(path: str) -> None:
    """Raise StoreUnusable for a folder that DuckDB could never read.

    DuckDB's file name patterns cannot express a backslash, and its text is UTF-8.
    """
    shown = path.encode("utf-8", "backslashreplace").decode()
    if "\\" in path:
        raise StoreUnusable(
            f"results cannot lie in {shown}: no query can look into a folder with a backslash",
            "choose another folder with --home, or rename the one that has it",
        )
    if not path.isascii() and shown != path:
        raise StoreUnusable(
            f"results cannot lie in {shown}: the name is not UTF-8",
            "choose another folder with --home, or rename the one that has it",
        )


class FleetUnreachable(FleetError):
    """The head, or every machine, does not answer."""

    exit_code = 3


class Fault(FleetError):
    """A bug of fleet; a file has the details."""


class Unstorable(FleetError):
    """A result that the files of the store cannot hold."""

    reason = "unstorable"
    """The reason in the row of a trial whose result was set aside."""
    transient = False


class Interrupted(FleetError):
    """The user stopped the work. A trial in progress ends as cancelled, and is not tried again."""

    exit_code = 130
    outcome: Literal["cancelled"] = "cancelled"
    reason = ""
    transient = False


class InternalError(FleetError):
    """Numbers of fleet that do not add up."""


class TrialError(FleetError):
    """One trial failed. `reason` is the word stored in the trial's row.

    `transient` alone decides whether the trial is tried again.
    """

    outcome: Literal["failed"] = "failed"
    reason = "failed"
    transient = False


class RequestFailed(TrialError):
    """A reply that reports a failure; `reason` is one of those of the classes below."""

    def __init__(self, what: str, hint: str, reason: str) -> None:
        super().__init__(what, hint)
        self.args = (what, hint, reason)
        self.reason = reason
        self.transient = reason in TRANSIENT_REASONS


class TransientError(TrialError):
    """A failure that may not happen again."""

    reason = "transient"
    transient = True


class EngineUnreachable(TransientError):
    """The engine does not answer."""

    reason = "engine_unreachable"


class EngineBusy(TransientError):
    """The engine refuses a request because it is busy."""

    reason = "engine_busy"


class EngineNotRestarted(TransientError):
    """The restart command ran, and the old process still answers."""

    reason = "engine_not_restarted"


class StreamBroken(TransientError):
    """The answer ended without its final record."""

    reason = "stream_broken"


class CounterImpossible(TransientError):
    """The engine reported a count that is impossible."""

    reason = "impossible_counter"


class WorkerLost(TransientError):
    """The process or the machine of a worker disappeared."""

    reason = "worker_lost"


class GateClosed(TransientError):
    """The machine was not ready to be measured."""

    reason = "gate_closed"


class EngineInUse(TransientError):
    """Somebody works with another model on that engine."""

    reason = "engine_in_use"


class SettingFailed(TransientError):
    """A setting could not be made or proven."""

    reason = "setting_failed"


class SettingStuck(TransientError):
    """A setting could not be put back."""

    reason = "setting_stuck"


class TerminalError(TrialError):
    """A failure that happens again with every attempt."""

    reason = "terminal"


class ModelMissing(TerminalError):
    """The engine does not have the model."""

    reason = "model_missing"


class RequestRefused(TerminalError):
    """The engine refuses the request."""

    reason = "request_refused"


class OutOfMemory(TerminalError):
    """The model does not fit the memory."""

    reason = "out_of_memory"


class DigestChanged(TerminalError):
    """The model is not the one that the plan was made for."""

    reason = "digest_changed"


def _with_subclasses(kind: type[TrialError]) -> Iterator[type[TrialError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _with_subclasses(subclass)


TRANSIENT_REASONS = frozenset(kind.reason for kind in _with_subclasses(TransientError))
"""Reasons after which the same trial is tried again."""
