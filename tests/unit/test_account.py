"""Trials asked for = done + failed + waiting + not needed + left out, each with its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import InternalError
from fleet.model.account import ACCOUNT_STATES, Account, Share
from fleet.report.closing_text import closing_lines, next_command

SHARES = st.builds(
    Share,
    machine=st.sampled_from(["a", "b"]),
    state=st.sampled_from(ACCOUNT_STATES),
    trials=st.integers(0, 50),
    reason=st.sampled_from(["", "it went away"]),
    by_choice=st.booleans(),
)


@given(st.lists(SHARES, max_size=8), st.integers(-5, 5))
def test_an_account_adds_up_or_says_so(shares: list[Share], off_by: int) -> None:
    total = sum(share.trials for share in shares)
    account = Account(total=total + off_by, shares=tuple(shares))
    assert account.unaccounted == off_by
    assert sum(account.count(state) for state in ACCOUNT_STATES) == total
    if off_by:
        with pytest.raises(InternalError, match=f"{total + off_by} trials were requested, {total}"):
            account.checked()
    else:
        assert account.checked() is account
    wanted = account.count("failed") + account.count("waiting") + account.count("left out")
    by_choice = sum(s.trials for s in shares if s.by_choice and s.state not in ("done",))
    assert wanted - by_choice <= account.missing <= wanted


def account(*shares: Share) -> Account:
    return Account(total=sum(share.trials for share in shares), shares=shares)


DONE = Share(machine="a", state="done", trials=33)
LOST = Share(machine="b", state="left out", trials=47, reason="it went away")


def lines(of: Account, nothing: bool = False) -> list[str]:
    command = "fleet submit configs/demo.yaml"
    return list(closing_lines(of, "fleet status demo", command=command, nothing=nothing))


def test_the_sum_names_what_there_is() -> None:
    assert account(DONE, LOST).sum_text() == "80 = 33 done + 47 left out"
    assert account().sum_text() == "0"


def test_nothing_is_said_where_nothing_is_missing() -> None:
    known = Share(machine="a", state="not needed", trials=7, reason="known closely enough")
    budget = Share(machine="a", state="left out", trials=5, reason="5 min left", by_choice=True)
    assert account(DONE, known, budget).missing == 0
    assert lines(account(DONE, known, budget)) == []


def test_the_last_line_says_what_is_missing_and_what_to_type() -> None:
    assert lines(account(DONE, LOST)) == [
        "  b                  47 left out  it went away",
        "47 of 80 trials asked for are missing (80 = 33 done + 47 left out); "
        "to continue: fleet submit configs/demo.yaml",
    ]


def test_where_nothing_was_measured_the_last_line_says_that() -> None:
    assert lines(account(LOST), nothing=True)[-1] == (
        "nothing was measured: see the failures above, or fleet status demo; "
        "to continue: fleet submit configs/demo.yaml"
    )


def failed(reason: str) -> Share:
    return Share(machine="a", state="failed", trials=2, reason=reason)


@pytest.mark.parametrize(
    ("missing", "command", "expected"),
    [
        ([failed("engine_in_use: x is in memory")], "fleet submit x", "fleet submit x --mine"),
        ([failed("engine_in_use: x")], "fleet submit x --mine", "fleet submit x --mine"),
        ([failed("out_of_memory: too big")], "fleet submit x", "fleet submit x --again"),
        ([failed("gate_closed: on battery")], "fleet submit x", "fleet submit x"),
        ([failed("out_of_memory"), LOST], "fleet submit x", "fleet submit x"),
        ([LOST], "", "submit the same again"),
        ([], "fleet submit x", "fleet submit x"),
    ],
)
def test_what_to_type_follows_from_the_reasons(
    missing: list[Share], command: str, expected: str
) -> None:
    assert next_command(missing, command).partition("    ")[0] == expected
