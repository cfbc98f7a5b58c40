"""What became of every trial that a submission asked for: none is subtracted without a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from fleet.errors import InternalError

AccountState = Literal["done", "failed", "waiting", "not needed", "left out"]
ACCOUNT_STATES: tuple[AccountState, ...] = get_args(AccountState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many trials of one machine that are in one state for one reason."""

    machine: str
    state: AccountState
    trials: int
    reason: str = ""
    by_choice: bool = False
    """The user's own words left them out (--budget, --skip-unfit), so nothing is missing."""

    @property
    def missing(self) -> bool:
        """Somebody asked for these trials, and no result of them is stored."""
        return self.state in ("failed", "waiting", "left out") and not self.by_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Trials asked for = done + failed + waiting + not needed + left out. Canaries never count."""

    asked: int
    shares: tuple[Share, ...]

    def count(self, state: AccountState) -> int:
        return _sum(share for share in self.shares if share.state == state)

    @property
    def missing(self) -> int:
        return _sum(share for share in self.shares if share.missing)

    @property
    def unaccounted(self) -> int:
        """Trials of which nobody knows what became; anything but 0 is a fault of fleet."""
        return self.asked - _sum(self.shares)

    def checked(self) -> Account:
        """This account; raises InternalError where it does not add up."""
        if self.unaccounted:
            raise InternalError(self.fault(), "please report it, with: fleet status --json")
        return self

    def fault(self) -> str:
        known = self.asked - self.unaccounted
        return f"internal error: {self.asked} trials were asked for, {known} are accounted for"

    def sum_text(self) -> str:
        """`80 = 33 done + 47 left out`; states without a trial are not named."""
        counts = ((self.count(state), state) for state in ACCOUNT_STATES)
        parts = [f"{count} {state}" for count, state in counts if count]
        return f"{self.asked} = {' + '.join(parts)}" if parts else f"{self.asked}"


def _sum(shares: Iterable[Share]) -> int:
    return sum(share.trials for share in shares)
