"""Hours within which trials may begin: as written, as kept, on days when the clock is moved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model.hours import DAY_MIN, Hours
from fleet.owner.hours import held, turn
from fleet.units import NS_PER_S
from tests import builders

NIGHT = Hours.read("22-07")
HOUR_S = 3600.0


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock goes from 2 to 3 on 2027-03-28 and from 3 to 2 on 2027-10-31."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


def shown(unix_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def waited(
    begin_s: float, estimate_s: float = 60.0, hours: Callable[[], Hours | None] = lambda: NIGHT
) -> tuple[list[str], str]:
    """(what was said, when the trial began)."""
    clock = builders.SteppedClock(unix_zero_ns=round(begin_s * NS_PER_S))
    stop = threading.Event()
    said = list(held(hours, estimate_s, clock, stop, lambda: True))
    return said, shown(clock.unix_ns() / NS_PER_S)


@pytest.mark.parametrize(
    ("text", "shows", "within", "without"),
    [
        ("22-07", "22-07", [1320, 1439, 0, 419], [420, 720, 1319]),
        ("22:30-06:15", "22:30-06:15", [1350, 374], [1349, 375]),
        ("9-17", "09-17", [540, 1019], [539, 1020, 0]),
        ("22-0", "22-00", [1320, 1439], [0, 1319]),
        ("0-24", "00-24", [0, 1439], []),
        ("18:05-24:00", "18:05-24", [1085, 1439], [0, 1084]),
    ],
)
def test_what_can_be_written(text: str, shows: str, within: list[int], without: list[int]) -> None:
    hours = Hours.read(text)
    assert str(hours) == shows
    assert Hours.read(shows) == hours
    assert [minute for minute in within if not hours.hold(minute)] == []
    assert [minute for minute in without if hours.hold(minute)] == []


WRONG = [
    "", "22", "22-", "-07", "22-07-08", "22h-07h", "25-07", "22-25", "24-07", "22:60-07",
    "22-24:01", "22-22", "0-0", "22:0-07", "２２-07", "nights", "22—07", "1e1-2", "-1-5",
    "22:00:00-07",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=repr)
def test_what_cannot(text: str) -> None:
    with pytest.raises(ValueError, match="22-07"):
        Hours.read(text)


@pytest.mark.parametrize(
    ("clock", "hours", "within"),
    [(12, 3, 0), (12, 12, 2), (23, 3, 3), (23, 12, 8), (5, 24, 9), (5, 72, 27), (22, 9, 9)],
)
def test_how_much_of_a_span_is_within_them(clock: int, hours: float, within: float) -> None:
    assert NIGHT.within_s(clock * 60, hours * HOUR_S) == within * HOUR_S


def test_within_them_nothing_waits(berlin: None) -> None:
    assert waited(at("2027-01-10 23:15")) == ([], "2027-01-10 23:15")
    assert waited(at("2027-01-10 12:00"), hours=lambda: None) == ([], "2027-01-10 12:00")


def test_outside_one_message_says_why_and_until_when(berlin: None) -> None:
    said, began = waited(at("2027-01-10 12:00"))
    assert said == ["waits until 22:00: measured here only 22-07"]
    assert began == "2027-01-10 22:00"
    assert waited(at("2027-01-10 07:00"))[1] == "2027-01-10 22:00", "the end is not among them"


def test_a_trial_that_would_run_past_the_end_waits_for_the_next_begin(berlin: None) -> None:
    said, began = waited(at("2027-01-11 06:30"), HOUR_S)
    assert said == [
        "waits until 22:00: a trial of about 60 min would not end by 07:00, "
        "measured here only 22-07"
    ]
    assert began == "2027-01-11 22:00"
    assert waited(at("2027-01-11 06:00"), HOUR_S) == ([], "2027-01-11 06:00")


def test_a_trial_longer_than_the_hours_begins_at_their_start_and_says_so(berlin: None) -> None:
    said, began = waited(at("2027-01-11 01:00"), 10 * HOUR_S)
    assert said == [
        "waits until 22:00: a trial of about 10 h 00 min is too long for 22-07, "
        "so it begins at their start",
        "begins, and will not end by 07:00: it takes about 10 h 00 min",
    ]
    assert began == "2027-01-11 22:00"


@pytest.mark.parametrize(("minutes", "begins"), [(0, True), (5, True), (6, False)])
def test_the_first_five_minutes_of_the_hours_count_as_their_start(
    berlin: None, minutes: int, begins: bool
) -> None:
    told = turn(NIGHT, at("2027-01-10 22:00") + minutes * 60, 10 * HOUR_S)
    assert told.begins == begins
    assert told.message.startswith("begins, and will not end" if begins else "waits until 22:00")


def test_hours_that_are_changed_meanwhile_count_at_once(berlin: None) -> None:
    answers = iter([NIGHT, NIGHT, Hours.read("13-14")])
    later = Hours.read("13-14")
    said, began = waited(at("2027-01-10 12:00"), hours=lambda: next(answers, later))
    assert said[1:] == ["waits until 13:00: measured here only 13-14"]
    assert began == "2027-01-10 13:00"
    taken_back = iter([NIGHT, NIGHT])
    assert waited(at("2027-01-10 12:00"), hours=lambda: next(taken_back, None))[1] == (
        "2027-01-10 12:00"
    )


@pytest.mark.parametrize(
    ("hours", "begin", "opens"),
    [
        ("22-07", "2027-03-27 12:00", "2027-03-27 22:00"),
        ("03-05", "2027-03-28 00:30", "2027-03-28 03:00"),
        ("02:30-05", "2027-03-28 00:30", "2027-03-28 03:00"),  # 2:30 does not exist
        ("02:10-02:40", "2027-03-28 00:30", "2027-03-29 02:10"),  # nor do these hours
        ("02:10-02:40", "2027-10-31 00:30", "2027-10-31 02:10"),
    ],
)
def test_days_on_which_the_clock_is_moved(berlin: None, hours: str, begin: str, opens: str) -> None:
    asked = Hours.read(hours)
    assert waited(at(begin), hours=lambda: asked)[1] == opens


def test_a_night_that_is_an_hour_shorter_or_longer_is_known(berlin: None) -> None:
    """From 22:00 to 7:00 are 8 hours in March and 10 in October."""
    for evening, fits in (("2027-03-27", 8), ("2027-01-10", 9), ("2027-10-30", 10)):
        opened = at(f"{evening} 22:00")
        assert turn(NIGHT, opened + 360, fits * HOUR_S - 400).message == ""
        assert "will not end" in turn(NIGHT, opened, fits * HOUR_S + 60).message
        assert not turn(NIGHT, opened + 360, fits * HOUR_S + 60).begins


@given(
    begin=st.integers(0, DAY_MIN - 1),
    end=st.integers(0, DAY_MIN),
    minute=st.integers(0, 370 * DAY_MIN),
    estimate_s=st.floats(0, 40 * HOUR_S),
)
def test_whatever_the_hours_a_trial_begins_within_two_of_their_days(
    begin: int, end: int, minute: int, estimate_s: float
) -> None:
    if begin == end:
        return
    hours, now_s = Hours(begin, end), 1_798_761_600.0 + minute * 60
    for _ in range(3):
        told = turn(hours, now_s, estimate_s)
        if told.begins:
            return
        assert now_s < told.until_unix_s <= now_s + 2 * 86_400
        now_s = told.until_unix_s
    pytest.fail("it was never begun")


def test_stop_and_a_trial_no_longer_wanted_end_the_wait_at_once(berlin: None) -> None:
    stop = threading.Event()
    clock = builders.StoppedClock(unix_zero_ns=round(at("2027-01-10 21:00") * NS_PER_S))
    waiting = held(lambda: Hours.read("3-4"), 1.0, clock, stop, lambda: not stop.is_set())
    assert next(waiting).startswith("waits until ")
    assert list(waiting) == []
    assert stop.is_set()


def test_it_looks_twice_a_few_seconds_and_no_more(berlin: None) -> None:
    clock = builders.SteppedClock(unix_zero_ns=round(at("2027-01-10 21:00") * NS_PER_S))
    looks = 0

    def hours() -> Hours:
        nonlocal looks
        looks += 1
        return NIGHT

    assert len(list(held(hours, 1.0, clock, threading.Event(), lambda: True))) == 1
    assert looks < HOUR_S / 2 + 10
