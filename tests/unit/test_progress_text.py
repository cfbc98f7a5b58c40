"""What is said of a running experiment: the live table, `fleet status`, and lines to type."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from fleet.cli import output
from fleet.cli.live import lane_table
from fleet.cli.progress import Lane
from fleet.ledger.rows import StateRow, SubmissionStatus
from fleet.model.event import Finished
from fleet.report.status_text import status_lines
from tests import builders

HELD = "held since 22:45, at most 10m: 91 % of the CPU is busy with other programs"
SPEEDS = "pp512 365.2  tg128 270.4 tokens/s"


@pytest.mark.parametrize("machine", ["vm", "studio-96-of-the-office"])
def test_every_word_of_a_live_row_is_there_on_a_narrow_terminal(machine: str) -> None:
    page = io.StringIO()
    row = (machine, "10/12", HELD, SPEEDS, "0, 2 failed", "1 h 5 min")
    Console(file=page, width=80).print(lane_table([row]))
    shown = page.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert [word for cell in row for word in cell.split() if word not in shown] == []


def submission(state: str, *, alive: bool, settings: str) -> SubmissionStatus:
    row = StateRow(
        machine="vm",
        state=state,
        reason="",
        trials=1,
        estimate_s=3.0,
        changed_unix_s=time.time(),
        example=f"tiny  chat  {settings}",
    )
    return SubmissionStatus(
        experiment="demo",
        session=0,
        state="measuring",
        submitted_unix_s=0.0,
        ended_unix_s=None,
        left_out=(),
        outcome=None,
        alive=alive,
        states=(row,),
    )


def test_status_says_which_trial_runs_and_which_settings_are_its_own() -> None:
    defaults = "num_ctx=8192 num_batch=64 temperature=0.0 repeat_penalty=1.0"
    lines = status_lines(submission("running", alive=True, settings=defaults))
    assert lines[1].endswith("1 running    3 s to go, since 0 s: tiny  chat  num_batch=64")


def test_status_of_many_that_wait_names_none_of_them() -> None:
    lines = status_lines(submission("queued", alive=True, settings="num_ctx=8192"))
    assert lines[1].endswith("1 queued     3 s to go, since 0 s")


def test_nothing_runs_where_the_coordinator_has_ended() -> None:
    lines = status_lines(submission("running", alive=False, settings="num_ctx=8192"))
    assert "1 stopped" in lines[1]


def test_a_remark_behind_a_command_is_no_part_of_what_is_typed() -> None:
    line = "  fleet status    there are: gpt-oss-20b, gpt-oss-20b-quick, quickstart"
    assert list(output.shown([line], 100)) == [line]
    assert list(output.shown([line], 40)) == [
        "  fleet status",
        "    there are: gpt-oss-20b,",
        "    gpt-oss-20b-quick, quickstart",
    ]


def test_a_long_command_goes_on_as_a_shell_allows_it() -> None:
    line = "next:  fleet compare demo --by num_batch --baseline 8"
    assert list(output.shown([line], 40)) == [
        "next:  fleet compare demo --by \\",
        "  num_batch --baseline 8",
    ]


def finished(outcome: str, *, trial: int) -> Finished:
    attempt = builders.attempt(trial_id=f"trial-{trial}")
    result = builders.result(attempt, outcome=outcome)
    return Finished(machine_id="m", result=result)


def test_a_trial_that_is_tried_again_is_counted_once() -> None:
    lane = Lane(name="vm", waiting=2, left_s=20.0, blocks=1)
    for outcome in ("failed", "failed", "ok"):
        lane.take(finished(outcome, trial=1))
    assert (lane.count("ok"), lane.count("failed"), lane.waiting) == (1, 0, 1)


def test_the_live_table_shows_foreign_text_as_it_is_and_steers_nothing() -> None:
    """A reason may hold what rich reads as markup, or what a terminal obeys."""
    console = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
    console.print(lane_table([("studio", "1/2", "lost: [red]x\x1b[2J\u202e", "", "0", "")]))
    assert r"lost: [red]x\x1b[2J\u202e" in console.export_text()
