"""The last lines of a submit: what is missing of what was asked for, why, and what to type."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.errors import TRANSIENT_REASONS
from fleet.model.account import Account, Share

SAME = "submit the same again"


def closing_lines(account: Account, name: str, *, command: str, nothing: bool) -> Iterator[str]:
    """No line where nothing is missing. `nothing`: no result of this experiment is stored."""
    missing = [share for share in account.shares if share.missing]
    if not missing:
        return
    for share in missing:
        yield f"  {share.machine:<16} {share.trials:>4} {share.state:<9} {share.reason}".rstrip()
    go_on = next_command(missing, command)
    if nothing:
        yield (
            "nothing was measured: what failed stands above, and in: "
            f"fleet status {name}; go on: {go_on}"
        )
        return
    yield (
        f"{account.missing} of {account.asked} trials asked for are missing "
        f"({account.sum_text()}); go on: {go_on}"
    )


def next_command(missing: list[Share], command: str) -> str:
    """What measures them: the same again, or with what their reasons call for."""
    again = command or SAME
    reasons = {share.reason.partition(":")[0] for share in missing}
    if "engine_in_use" in reasons and "--mine" not in command.split():
        return f"{again} --mine, where the model in memory is your own"
    if all(share.state == "failed" for share in missing) and not reasons & TRANSIENT_REASONS:
        return f"{again} --again, once the reason is gone"
    return again
