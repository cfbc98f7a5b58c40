"""What became of every trial that a submission requests: none disappears without a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from fleet.errors import InternalError

AccountState = Literal["done", "failed", "waiting", "not needed", "left out"]
ACCOUNT_STATES: tuple[AccountState, ...] = get_args(AccountState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The trials of one machine that are in one state for one reason."""

    machine: str
    state: AccountState
    trials: int
    reason: str = ""
    by_choice: bool = False
    """The user left them out (--budget, --skip-unfit), so nothing is missing."""

    @property
    def missing(self) -> bool:
        """Whether these trials were requested and no result of them is stored."""
        return self.state in ("failed", "waiting", "left out") and not self.by_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Requested trials = done + failed + waiting + not needed + left out; canaries never count."""

    total: int
    """The number of requested trials."""
    shares: tuple[Share, ...]

    def count(self, state: AccountState) -> int:
        """Return the number of trials in this state."""
        return _sum(share for share in self.shares if share.state == state)

    @property
    def missing(self) -> int:
        """The number of requested trials without a stored result."""
        return _sum(share for share in self.shares if share.missing)

    @property
    def unaccounted(self) -> int:
        """The number of trials that no share counts; anything but 0 is a bug of fleet."""
        return self.total - _sum(self.shares)

    def checked(self) -> Account:
        """Return this account; raises InternalError if it does not add up."""
        if self.unaccounted:
            raise InternalError(self.fault(), "please report it, with: fleet status --json")
        return self

    def fault(self) -> str:
        """Return the message for an account that does not add up."""
        counted = self.total - self.unaccounted
        return f"internal error: {self.total} trials were requested, {counted} are accounted for"

    def sum_text(self) -> str:
        """Return `80 = 33 done + 47 left out`; states without a trial are not named."""
        counts = ((self.count(state), state) for state in ACCOUNT_STATES)
        parts = [f"{count} {state}" for count, state in counts if count]
        return f"{self.total} = {' + '.join(parts)}" if parts else f"{self.total}"


def _sum(shares: Iterable[Share]) -> int:
    return sum(share.trials for share in shares)
