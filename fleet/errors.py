"""Every exception of fleet.

    FleetError                    exit 1   what happened, and what to type next
    |-- UserError                 exit 2   the user's file or words
    |   |-- ConfigError                    all mistakes of the files, each with its place
    |   |-- UnknownName                    a name nobody has, with the nearest one
    |   |-- PlanRefused                    the plan holds something that cannot be run
    |   `-- StoreUnusable                  the results folder cannot be read or written
    |-- FleetUnreachable          exit 3   the head, or every machine, does not answer
    |-- Fault                     exit 1   fleet itself is wrong; what happened is in a file
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
    """The one name that `word` is a slip of the fingers from, or the only one it is part of."""
    by_low = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), by_low, n=1, cutoff=0.7)
    if close:
        return by_low[close[0]]
    longer = [name for low, name in by_low.items() if len(word) > 2 and word.lower() in low]
    return longer[0] if len(longer) == 1 else None


class FleetError(Exception):
    """What happened and where (`what`), and what to type next (`hint`, may be empty)."""

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what, hint)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class UserError(FleetError):
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in one file; line and column count from 1."""

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
    pass


class PlanRefused(UserError):
    pass


class StoreUnusable(UserError):
    pass


def check_store_path(path: str) -> None:
    """Raises StoreUnusable for a folder that DuckDB could never look into.

    Its patterns of file names know no way to write a backslash, and its text is UTF-8.
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
    exit_code = 3


class Fault(FleetError):
    pass


class Unstorable(FleetError):
    reason = "unstorable"
    """The word of a trial whose result was set aside for this."""


class Interrupted(FleetError):
    exit_code = 130


class InternalError(FleetError):
    pass


class TrialError(FleetError):
    """`reason` is the word stored in the trial's row."""

    reason = "failed"
    transient = False


class RequestFailed(TrialError):
    """A reply that stands for a failure; `reason` is one of the words of the classes below."""

    def __init__(self, what: str, hint: str, reason: str) -> None:
        super().__init__(what, hint)
        self.args = (what, hint, reason)
        self.reason = reason
        self.transient = reason in TRANSIENT_REASONS


class TransientError(TrialError):
    reason = "transient"
    transient = True


class EngineUnreachable(TransientError):
    reason = "engine_unreachable"


class EngineBusy(TransientError):
    reason = "engine_busy"


class EngineNotRestarted(TransientError):
    reason = "engine_not_restarted"


class StreamBroken(TransientError):
    reason = "stream_broken"


class CounterImpossible(TransientError):
    reason = "impossible_counter"


class WorkerLost(TransientError):
    reason = "worker_lost"


class GateClosed(TransientError):
    reason = "gate_closed"


class EngineInUse(TransientError):
    reason = "engine_in_use"


class SettingFailed(TransientError):
    reason = "setting_failed"


class SettingStuck(TransientError):
    reason = "setting_stuck"


class TerminalError(TrialError):
    reason = "terminal"


class ModelMissing(TerminalError):
    reason = "model_missing"


class RequestRefused(TerminalError):
    reason = "request_refused"


class OutOfMemory(TerminalError):
    reason = "out_of_memory"


class DigestChanged(TerminalError):
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
