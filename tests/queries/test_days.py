"""A day is that of the machine's own clock, whoever reads it, and wherever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from fleet.app.machines import read_machines
from fleet.errors import UserError
from fleet.metrics.compared import COMPARED
from fleet.query.one_trial import show
from fleet.query.open_store import open_store, rows
from fleet.query.results import results
from fleet.query.sandbox import open_locked
from fleet.query.variants import read_variants
from tests.builders_compare import GoldenStore, compare

SHOWN = ("trials", "requests", "readings")
LATE = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
"""In New York it is ten in the evening of the day before."""


@pytest.fixture(params=["UTC0", "<+14>-14", "<-11>11", "EST5EDT,M3.2.0,M11.1.0"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """That of who reads."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def written(folder: Path, *offsets_h: int | None) -> Path:
    """A trial each, all begun at one moment."""
    store = GoldenStore()
    for number, hours in enumerate(offsets_h):
        offset = None if hours is None else hours * 3600
        name = f"{'abcdef'[number]}"
        store.trial(name, started_at=LATE, utc_offset_s=offset, block=number, machine=name)
    return store.write(folder / "results")


def days(con: duckdb.DuckDBPyConnection, where: str = "") -> list[str]:
    """Every value of the axis `date`."""
    variants = read_variants(con, "date", [COMPARED["decode"]], where, None)
    return sorted({variant.text("axis_value") or "" for variant in variants})


@pytest.mark.parametrize(
    ("hours", "day"),
    [
        (-4, "2026-10-31"),
        (0, "2026-11-01"),
        (14, "2026-11-01"),
        (-11, "2026-10-31"),
        (None, "2026-11-01"),
    ],
)
def test_every_reader_sees_the_day_of_the_machine(
    tmp_path: Path, zone: str, hours: int | None, day: str
) -> None:
    folder = written(tmp_path, hours)
    with closing(open_store([folder], SHOWN)) as con:
        assert days(con) == [day]
        [row] = results(con)
        assert row.last_at is not None
        assert row.last_at.isoformat()[:10] == day
        assert row.last_at == LATE
        assert row.last_at.utcoffset() == timedelta(hours=hours or 0)
        assert str(show(con, "trial-a").trial["started_at"])[:10] == day
        assert rows(con, "select started_local::date::varchar as day from trials") == [{"day": day}]


def test_machines_are_last_seen_by_their_own_clock(tmp_path: Path, zone: str) -> None:
    written(tmp_path, 14)
    [machine] = read_machines([tmp_path])
    assert machine.last_seen == "2026-11-01 16:30:00+14:00"
    assert not hasattr(machine, "utc_offset_s")


def test_free_queries_speak_of_utc(tmp_path: Path, zone: str) -> None:
    con = open_locked([written(tmp_path, -4) / "current"])
    query = (
        "select started_at::date::varchar, started_local::date::varchar, utc_offset_s from trials"
    )
    assert con.execute(query).fetchall() == [("2026-11-01", "2026-10-31", -14_400)]


def test_rows_of_one_moment_are_of_two_days(tmp_path: Path, zone: str) -> None:
    with closing(open_store([written(tmp_path, -4, 0, 0)])) as con:
        assert days(con) == ["2026-10-31", "2026-11-01"]


def test_files_without_the_offset_are_of_utc(tmp_path: Path, zone: str) -> None:
    folder = written(tmp_path, None)
    file = folder / "current" / "trials" / "part-0.parquet"
    older = pq.read_table(file).drop_columns(["utc_offset_s"])
    pq.write_table(older.replace_schema_metadata({"schema_version": "4"}), file)
    with closing(open_store([folder])) as con:
        assert days(con) == ["2026-11-01"]
        assert [row.last_at for row in results(con)] == [LATE]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("2026-13-01", "no day, month or year"),
        ("2026-02-30", "no day, month or year"),
        ("2026-11-01..2026-99", "no day, month or year"),
        ("2026-11-01..", "no day, month or year"),
        ("..2026-11-01", "no day, month or year"),
        ("0000", "no day, month or year"),
        ("2026-11-05..2026-11-01", "it ends before it begins"),
        ("2026-12..2026-11-01", "it ends before it begins"),
    ],
)
def test_days_that_no_calendar_has_are_refused(tmp_path: Path, asked: str, why: str) -> None:
    with closing(open_store([written(tmp_path, 0)])) as con:
        with pytest.raises(UserError, match=why) as problem:
            compare(con, axis="date", sides=[asked])
        assert "write 2026-11-20" in problem.value.hint


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        ("date=2026-10", ["2026-10-31"]),
        ("date=2026-10-31", ["2026-10-31"]),
        ("date!=2026-10", ["2026-11-01"]),
        ("date=2026", ["2026-10-31", "2026-11-01"]),
        ("date>2026-10-31", ["2026-11-01"]),
        ("date<=2026-10-31", ["2026-10-31"]),
    ],
)
def test_clauses_on_days(tmp_path: Path, clause: str, found: list[str]) -> None:
    with closing(open_store([written(tmp_path, -4, 0)])) as con:
        assert days(con, clause) == found


@pytest.mark.parametrize(
    "clause", ["date>=2026-13-01", "date=2026-02-30", "date<2026-10", "date=x"]
)
def test_a_clause_needs_a_day_of_the_calendar(tmp_path: Path, clause: str) -> None:
    with (
        closing(open_store([written(tmp_path, 0)])) as con,
        pytest.raises(UserError, match="needs a day like 2026-11-01"),
    ):
        days(con, clause)
