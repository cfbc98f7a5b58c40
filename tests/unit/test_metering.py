"""The log of a wall meter beside trials: every row of it is stored, or named with its line."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.app.energy import MeterReport, MeterRequest, import_meter, zone_of
from fleet.errors import ConfigError, UserError
from fleet.query.open_store import open_store, rows
from fleet.report.energy_text import meter_lines, spans
from fleet.store.parquet import ParquetStore
from tests.builders_store import NOV_2026_NS, result

S = 10**9
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
TRIALS = ((0, 10), (20, 30), (31, 32))
"""Seconds from BEGIN at which each begins and ends."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    store = ParquetStore(folder / "results")
    for number, (begin_s, end_s) in enumerate(TRIALS):
        unix_ns, lasts_ns = NOV_2026_NS + begin_s * S, (end_s - begin_s) * S
        made = result(number, unix_ns=unix_ns, duration_ns=lasts_ns, requests=())
        store.write(made)
    return folder


def log(folder: Path, lines: list[str], head: str = "time,power_w,note") -> Path:
    file = folder / "plug.csv"
    file.write_text("\n".join([head, *lines]) + "\n")
    return file


def row(second: float, value: object = 5, note: str = "ok") -> str:
    moment = (BEGIN + timedelta(seconds=second)).isoformat()
    return f"{moment},{value},{note}"


def imported(home: Path, file: Path, **changes: object) -> MeterReport:
    asked = {"file": file, "machine": "studio-96", **changes}
    return import_meter(home, MeterRequest(**asked))  # type: ignore[arg-type]


def stored(home: Path) -> set[tuple[str, int]]:
    """(trial, second of its row) of every reading of the meter."""
    query = """select trial_id, (offset_ns + zero_unix_ns) as unix_ns
        from readings join trials using (attempt_id) where metric = 'wall_power_w'"""
    with closing(open_store([home / "results"], ("trials", "readings"))) as con:
        return {
            (str(each["trial_id"])[-1], (int(str(each["unix_ns"])) - NOV_2026_NS) // S)
            for each in rows(con, query)
        }


def fresh(home: Path, folder: Path) -> Path:
    """A copy of the results, as no two logs may lie over one trial."""
    return shutil.copytree(home, folder / "home", symlinks=True)


def test_rows_beside_trials_are_stored_and_all_others_named(tmp_path: Path, home: Path) -> None:
    own = fresh(home, tmp_path)
    seconds = [-5, -1, 2, 5, 8, 12, 15, 18, 21, 25, 29, 31.5, 40]
    lines = [row(second) for second in seconds]
    lines.insert(6, row(13, ""))
    report = imported(own, log(tmp_path, lines))
    assert stored(own) == {
        *(("0", second) for second in (-1, 2, 5, 8, 12)),
        *(("1", second) for second in (18, 21, 25, 29, 31)),
    }
    assert (report.rows, report.stored, report.readings, report.trials) == (14, 10, 10, 2)
    assert report.outside == (2, 9, 15)
    assert report.without_value == (8,)
    assert [trial[-1] for trial in report.thin] == ["2"]
    text = "\n".join(meter_lines(report, own))
    assert "3 rows outside every trial that the log covers: lines 2, 9, 15" in text
    assert "1 row without a value: line 8" in text
    assert "14 rows in the log: 10 stored" in text
    assert f"next:  fleet energy show --home {own}" in text
    assert "no energy for 1 trial with one row each: trial-" in text
    assert report.zone == ""


@settings(max_examples=12, deadline=None)
@given(
    seconds=st.lists(st.integers(-5, 40), unique=True, min_size=2, max_size=40).map(sorted),
    empty=st.sets(st.integers(0, 40)),
    torn=st.sets(st.integers(0, 40), max_size=2),
)
def test_rows_in_are_rows_stored_and_rows_named(
    tmp_path_factory: pytest.TempPathFactory,
    home: Path,
    seconds: list[int],
    empty: set[int],
    torn: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("log")
    own = fresh(home, folder)
    lines = [
        f'"{row(second)}' if second in torn else row(second, "" if second in empty else 5)
        for second in seconds
    ]
    file = log(folder, lines)
    try:
        report = imported(own, file)
    except ConfigError as problem:
        named = [mistake.line for mistake in problem.mistakes]
        assert named == [n for n, second in enumerate(seconds, start=2) if second in torn]
        assert stored(own) == set()
    except UserError as problem:
        reason = problem.what
        assert re.search("no trial of studio-96 lies in it|no log of a meter", reason)
        assert stored(own) == set()
    else:
        assert not torn & set(seconds)
        assert report.rows == len(lines)
        assert report.rows == report.stored + len(report.outside) + len(report.without_value)
        kept = {seconds[line - 2] for line in range(2, len(lines) + 2)} - {
            seconds[line - 2] for line in (*report.outside, *report.without_value)
        }
        assert {second for _, second in stored(own)} == kept


def test_many_lines_that_cannot_be_read_are_told_by_the_first(tmp_path: Path, home: Path) -> None:
    with pytest.raises(ConfigError) as problem:
        imported(home, log(tmp_path, [row(second, "hot") for second in range(500)]))
    assert len(problem.value.mistakes) == 21
    assert problem.value.mistakes[-1].what == "and 480 more lines from here"
    assert problem.value.mistakes[-1].line == 22


def test_times_of_another_zone_are_asked_for(tmp_path: Path, home: Path) -> None:
    """The machine's own zone, four hours behind UTC, is proposed, and then it fits."""
    own = fresh(home, tmp_path)
    lines = [f"{(BEGIN - timedelta(hours=4, seconds=-n)).replace(tzinfo=None)},5" for n in range(9)]
    file = log(tmp_path, lines, "time,power_w")
    with pytest.raises(UserError) as problem:
        imported(own, file)
    assert "its own times name no zone and were read as UTC" in problem.value.what
    assert "--zone -04:00" in problem.value.hint
    report = imported(own, file, zone="-04:00")
    assert (report.stored, report.zone) == (9, "-04:00")
    assert "read as -04:00" in "\n".join(meter_lines(report, own))


@pytest.mark.parametrize(
    ("zone", "hours"), [("UTC", 0), ("z", 0), ("+02:00", 2), ("-1130", -11.5), ("+14:00", 14)]
)
def test_zones_as_people_say_them(zone: str, hours: float) -> None:
    assert zone_of(zone)(datetime(2026, 11, 1)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("zone", ["", "Nowhere/City", "../../etc/passwd", "+25:00", "2", "\x1b[2J"])
def test_what_is_no_zone_is_refused(zone: str) -> None:
    with pytest.raises(UserError, match="is not a time zone"):
        zone_of(zone)


@pytest.mark.parametrize("shift_s", [float("nan"), float("inf"), 1e12])
def test_a_shift_that_no_clock_is_off_by_is_refused(
    tmp_path: Path, home: Path, shift_s: float
) -> None:
    with pytest.raises(UserError, match="--shift"):
        imported(home, log(tmp_path, [row(0), row(1)]), shift_s=shift_s)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((3,), "line 3"),
        ((3, 4, 5), "lines 3 to 5"),
        ((2, 4, 5, 9), "lines 2, 4 to 5, 9"),
        (tuple(range(2, 60, 2)), "lines 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, and 19 more spans"),
    ],
)
def test_lines_that_follow_one_another_are_told_together(lines: tuple[int, ...], told: str) -> None:
    assert spans(lines) == told
