"""The last lines of a submit: which trials are missing, why, and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.errors import TRANSIENT_REASONS
from fleet.model.account import Account, Share

SAME = "submit the same again"


def closing_lines(account: Account, status: str, *, command: str, nothing: bool) -> Iterator[str]:
    """Describe the missing trials; return no line if there are none.

    `status`: the command that shows the experiment. `nothing`: no result of it is stored.
    """
    shares = [share for share in account.shares if share.missing]
    if not shares:
        return
    for share in shares:
        yield f"  {share.machine:<16} {share.trials:>4} {share.state:<9} {share.reason}".rstrip()
    command = next_command(shares, command)
    if nothing:
        yield f"nothing was measured: see the failures above, or {status}; to continue: {command}"
        return
    yield (
        f"{account.missing} of {account.total} trials asked for are missing "
        f"({account.sum_text()}); to continue: {command}"
    )


def next_command(shares: Sequence[Share], command: str) -> str:
    """Return the command that measures these trials, with what their reasons call for."""
    again = command or SAME
    reasons = {share.reason.partition(":")[0] for share in shares}
    if "engine_in_use" in reasons and "--mine" not in command.split():
        return f"{again} --mine    (if the model in memory is yours)"
    only_failures = bool(shares) and all(share.state == "failed" for share in shares)
    if only_failures and not reasons & TRANSIENT_REASONS:
        return f"{again} --again    (once the cause is removed)"
    return again
