"""Every exception of fleet.

    FleetError                    exit 1   what happened, and a hint
    |-- UserError                 exit 2   the user's file or words
    |   |-- ConfigError                    all mistakes of the files, each with its place
    |   |-- UnknownName                    a name that does not exist, with the nearest name
    |   |-- PlanRefused                    a part of the plan cannot be run
    |   `-- StoreUnusable                  the results folder cannot be read or written
    |-- FleetUnreachable          exit 3   the head, or every machine, does not answer
    |-- Fault                     exit 1   a bug of fleet; a file has the details
    |-- Unstorable                exit 1   a result that the store's files cannot hold
    |-- Interrupted               exit 130 the user stopped it; what was finished is kept
    |-- InternalError             exit 1   numbers of fleet's own that do not add up
    `-- TrialError                         one trial went wrong; becomes a row, never a number
        |-- RequestFailed                  carries the reason of the reply that failed
        |-- TransientError                 the same trial may go well next time
        |   |-- EngineUnreachable
        |   |-- EngineBusy
        |   |-- EngineNotRestarted         the command ran, and the old process still answers
        |   |-- StreamBroken               the answer ended without its final record
        |   |-- CounterImpossible          the engine counted what no engine can count
        |   |-- WorkerLost                 the process or the machine went away
        |   |-- GateClosed                 the machine was not in a state to be measured
        |   |-- EngineInUse                somebody works with another model there
        |   |-- SettingFailed              a setting could not be had, or not proven
        |   `-- SettingStuck               a setting could not be put back
        `-- TerminalError                  asking again gives the same answer
            |-- ModelMissing
            |-- RequestRefused
            |-- OutOfMemory
            `-- DigestChanged              not the model that the plan was made for

All take plain positional arguments and keep them in `args`, so each survives pickling.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return the name that `word` misspells, or the only name that contains it."""
    by_low = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_low, n=1, cutoff=0.7)
    if close:
        return by_low[close[0]]
    longer = [name for low, name in by_low.items() if len(word) > 2 and word.lower() in low]
    return longer[0] if len(longer) == 1 else None


class FleetError(Exception):
    """What happened and where (`what`), and what to type next (`hint`, which may be empty)."""

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
    """One mistake in one file; line and column count from 1."""

    file: str
    line: int
    column: int
    field: str
    what: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}:{self.column}: {field}{self.what}"


class ConfigError(UserError):
    """All mistakes of the user's files at once, in the order of the lines."""

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


def check_store_path(path: str) -> None:
    """Raise StoreUnusable for a folder that DuckDB cannot read.

    A pattern of DuckDB cannot contain a backslash, and its text is UTF-8.
    """
    shown = path.encode("utf-8", "backslashreplace").decode()
    if "\\" in path:
        raise StoreUnusable(
            f"results cannot lie in {shown}: no query can look into a folder with a backslash",
            "choose another folder with --store, or rename the one that has it",
        )
    if not path.isascii() and shown != path:
        raise StoreUnusable(
            f"results cannot lie in {shown}: the name is not UTF-8",
            "choose another folder with --store, or rename the one that has it",
        )


class FleetUnreachable(FleetError):
    """The head, or every machine, does not answer."""

    exit_code = 3


class Fault(FleetError):
    """A bug of fleet; a file has the details."""


class Unstorable(FleetError):
    """A result that the files of the store cannot hold."""

    reason = "unstorable"
    """The word of a trial whose result was set aside for this."""


class Interrupted(FleetError):
    """The user stopped the command."""

    exit_code = 130


class InternalError(FleetError):
    """Numbers of fleet that do not add up."""


class TrialError(FleetError):
    """The failure of one trial; `reason` is the word stored in its row."""

    reason = "failed"
    transient = False


class RequestFailed(TrialError):
    """A reply that stands for a failure; `reason` is a word of one of the classes below."""

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


TRANSIENT_REASONS = frozenset(
    kind.reason
    for kind in (
        TransientError,
        EngineUnreachable,
        EngineBusy,
        EngineNotRestarted,
        StreamBroken,
        CounterImpossible,
        WorkerLost,
        GateClosed,
        EngineInUse,
        SettingFailed,
        SettingStuck,
    )
)
