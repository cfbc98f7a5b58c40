"""Local time: offsets over the year, and what a person writes on a day on which clocks move."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.cli.asking import seconds_until
from fleet.clock import SystemClock, in_local_zone, utc_offset_s
from fleet.errors import EngineBusy
from fleet.model.trial import Attempt
from fleet.runner.trial_log import TrialLog, not_begun
from fleet.spool import from_json, to_json
from fleet.store.rows import rows_of
from fleet.units import NS_PER_S
from tests.builders_store import result

NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
CAIRO = "EET-2EEST,M4.5.5/0,M10.5.4/24"
"""In spring its clocks skip the first hour of a day."""
KIRITIMATI, NIUE = "<+14>-14", "<-11>11"
ZONES = ("UTC0", NEW_YORK, CAIRO, KIRITIMATI, NIUE)


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes the named zone that of this process, until the test ends."""

    def choose(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


def unix_s(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("name", "moment", "hours"),
    [
        ("UTC0", "2026-07-01T12:00", 0),
        (NEW_YORK, "2026-03-08T06:59", -5),
        (NEW_YORK, "2026-03-08T07:00", -4),
        (NEW_YORK, "2026-11-01T06:00", -5),
        (KIRITIMATI, "2026-07-01T12:00", 14),
        (NIUE, "2026-07-01T12:00", -11),
    ],
)
def test_the_offset_is_that_of_the_moment(
    zone: Callable[[str], None], name: str, moment: str, hours: int
) -> None:
    zone(name)
    assert utc_offset_s(unix_s(moment) * NS_PER_S) == hours * 3600


def test_a_moment_that_no_calendar_has_is_of_no_offset() -> None:
    assert utc_offset_s(10**40) is None


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        (NEW_YORK, "2026-10-01", "2026-10-01T00:00:00-04:00"),
        (NEW_YORK, "2026-12-01T10:30", "2026-12-01T10:30:00-05:00"),
        (NEW_YORK, "2026-03-08T02:30", "2026-03-08T03:30:00-04:00"),
        (NEW_YORK, "2026-11-01T01:30", "2026-11-01T01:30:00-04:00"),
        (CAIRO, "2026-04-24", "2026-04-24T01:00:00+03:00"),
        (KIRITIMATI, "2026-10-01", "2026-10-01T00:00:00+14:00"),
        (NIUE, "2026-10-01", "2026-10-01T00:00:00-11:00"),
        (NIUE, "2026-10-01T12:00+02:00", "2026-10-01T12:00:00+02:00"),
    ],
)
def test_what_a_person_writes_is_of_this_zone_unless_it_names_one(
    zone: Callable[[str], None], name: str, written: str, meant: str
) -> None:
    zone(name)
    assert in_local_zone(datetime.fromisoformat(written)).isoformat() == meant


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(ZONES), day=st.dates(datetime(2023, 6, 1).date()))
def test_a_day_stays_that_day_in_every_zone(
    zone: Callable[[str], None], name: str, day: object
) -> None:
    zone(name)
    moment = in_local_zone(datetime.fromisoformat(f"{day}"))
    assert moment.date() == day
    assert utc_offset_s(int(moment.timestamp()) * NS_PER_S) == moment.utcoffset().total_seconds()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        ("2026-07-01T22:00", 13),  # six in the evening in New York
        ("2026-07-01T10:59", 1 / 60),
        ("2026-07-01T11:00", 24),
        ("2026-03-08T03:00", 8),  # ten in the evening, and the night is an hour shorter
        ("2026-11-01T02:00", 10),  # ten in the evening, and it is an hour longer
    ],
)
def test_the_next_time_of_day_is_as_far_as_the_night_is_long(
    zone: Callable[[str], None], now: str, hours: float
) -> None:
    zone(NEW_YORK)
    assert seconds_until("07:00", unix_s(now)) == pytest.approx(hours * 3600)


def test_every_result_has_the_offset_of_the_machine_that_made_it(
    zone: Callable[[str], None],
) -> None:
    zone(NIUE)
    attempt = Attempt(trial=result().trial, fence=0)
    log = TrialLog.begun(SystemClock())
    made = log.result(attempt, None, SystemClock())
    not_made = not_begun(attempt, EngineBusy("busy", ""), SystemClock())
    assert made.utc_offset_s == not_made.utc_offset_s == -11 * 3600
    for each in (made, not_made):
        [row] = rows_of(each)["trials"]
        assert row["utc_offset_s"] == -11 * 3600
        assert from_json(to_json(each)) == each


def test_a_result_that_waited_since_before_offsets_were_known_is_read() -> None:
    waiting = json.loads(to_json(result()))
    del waiting["utc_offset_s"]
    assert from_json(json.dumps(waiting).encode()).utc_offset_s is None
