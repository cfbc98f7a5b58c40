"""Logs of wall meters as different makers write them, and as a hand may spoil them."""

from __future__ import annotations

import time
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.clock import in_local_zone
from fleet.readers.wall_meter import in_utc, parse_meter, unix_ns_of

CASES = Path(__file__).parents[3] / "shared" / "cases"
NOV_S = 1_793_491_200
"""2026-11-01, 00:00 UTC."""


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("time,power_w\n2026-11-01T00:00:00Z,120.5\n", "wall_power_w", 120.5),
        ("Timestamp;Power (W)\n2026-11-01 01:00:00+01:00;120,5\n", "wall_power_w", 120.5),
        ("\ufeffunix_s\tkW\n1793491200\t0.1205\n", "wall_power_w", 120.5),
        ("unix_ms,apower,voltage\n1793491200000,120.5,230\n", "wall_power_w", 120.5),
        ("time,watts\r\n2026-11-01 00:00:00,120.5\r\n\r\n", "wall_power_w", 120.5),
        ("time,energy_wh,power_w\n2026-11-01,2,99\n", "wall_energy_joules", 7200),
        ("Total Energy (kWh),Time\n0.5,1793491200\n", "wall_energy_joules", 1_800_000),
        ("time,joules\n1793491200.0,12.5\n", "wall_energy_joules", 12.5),
    ],
)
def test_columns_are_found_by_name_and_values_made_watts_or_joules(
    text: str, metric: str, value: float
) -> None:
    log = parse_meter(text)
    assert log.faults == ()
    assert log.metric == metric
    [row] = log.rows
    assert row.value == pytest.approx(value)
    assert row.unix_ns == NOV_S * 10**9


def test_an_empty_value_is_a_row_that_says_nothing() -> None:
    log = parse_meter("time,w\n1793491200,5\n1793491201,\n1793491202,6\n")
    assert (len(log.rows), log.faults) == (2, ())


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1793491202,hot", (3, "w", "'hot' is no number")),
        ("1793491202,-3", (3, "w", "'-3' cannot be")),
        ("1793491202,nan", (3, "w", "'nan' cannot be")),
        ("1793491202,1e9", (3, "w", "'1e9' is more than 100000 W")),
        ("1793491202", (3, "", "only 1 columns")),
        ("yesterday,5", (3, "time", "'yesterday' is no time")),
        ("9999-12-31,5", (3, "time", "'9999-12-31' is no time")),
        ("12,5", (3, "time", "'12' is no time")),
        ("1793491201,5", (3, "time", "'1793491201' is not after the row before")),
        ("1793491200,5", (3, "time", "'1793491200' is not after the row before")),
    ],
)
def test_a_bad_row_is_named_by_its_line(line: str, fault: tuple[int, str, str]) -> None:
    log = parse_meter(f"time,w\n1793491201,5\n{line}\n1793491203,6\n")
    assert log.faults == (fault,)
    assert len(log.rows) == 2


def test_what_is_missing_in_the_head_is_said_with_what_is_there() -> None:
    assert [what for _, _, what in parse_meter("a,b\n1,2\n").faults] == [
        "no column of times, such as time or unix_s (there is: a, b)",
        "no column such as power_w or energy_wh (there is: a, b)",
    ]
    assert parse_meter("").faults


LOG = [f"2026-11-01T00:00:{second:02d},{50 + second}.5,ok" for second in range(60)]


@pytest.mark.parametrize("at", [0, 10, 59])
@pytest.mark.parametrize(
    ("spoiled", "fault"),
    [
        ('{0},{1},"oops', None),
        ('{0},"{1}",ok', None),
        ('{0},"{1},ok', (2, "power_w", "'{1},ok' is no number")),
        ('"{0},{1},ok', (2, "", "only 1 columns")),
        ('{0},"{1}"" ok', (2, "power_w", "'{1}\" ok' is no number")),
        ("time,power_w,note", (2, "time", "'time' is no time")),
    ],
)
def test_a_stray_quotation_mark_spoils_its_own_line_at_most(
    at: int, spoiled: str, fault: tuple[int, str, str] | None
) -> None:
    lines = list(LOG)
    time, power, _ = lines[at].split(",")
    lines[at] = spoiled.format(time, power)
    log = parse_meter("\n".join(["time,power_w,note", *lines]))
    expected = () if fault is None else ((at + 2, fault[1], fault[2].format(time, power)),)
    assert log.faults == expected
    assert len(log.rows) == 60 - len(expected)
    assert [row.line for row in log.rows] == sorted(
        {*range(2, 62)} - {each[0] for each in expected}
    )


@pytest.mark.parametrize(
    "row",
    ["1793491200,50,5", "2026-11-01T00:00:00,500,50", "1793491200,50,,x", '1793491200,"50,1",5'],
)
def test_a_row_with_more_cells_than_the_head_is_named(row: str) -> None:
    """A decimal comma has parted a number, of a time too: the columns behind it have moved."""
    log = parse_meter(f"time,w\n{row}\n1793491201,5\n1793491202,6,\n1793491203,7, ,\n")
    cells = 4 if ",," in row else 3
    assert log.faults == ((2, "", f"{cells} columns, and the head has 2"),)
    assert [each.value for each in log.rows] == [5, 6, 7]


@pytest.mark.parametrize(
    "above",
    ["sep=;\n", '"sep=;"\n', "SEP=;\n", "# plug, 3;1\n# \n", "\n \n", "\ufeff\n# x\nsep=;\n"],
)
def test_what_stands_above_the_head_is_no_row(above: str) -> None:
    log = parse_meter(f"{above}time;w\n1793491200;50,5\n1793491201;hot\n")
    first = 2 + above.count("\n")
    assert [(row.line, row.value) for row in log.rows] == [(first, 50.5)]
    assert log.faults == ((first + 1, "w", "'hot' is no number"),)
    [fault] = parse_meter(f"{above}time;x\n").faults
    assert fault[0] == first - 1


def test_a_cell_without_end_is_one_fault_and_shown_cut_off() -> None:
    text = "time,w\n" + f'1793491200,"{"x" * 140_000}\n1793491201,5\n' + f"{'y' * 100_000},1\n"
    log = parse_meter(text)
    assert len(log.rows) == 1
    assert [(line, column) for line, column, _ in log.faults] == [(2, ""), (4, "time")]
    assert all(len(what) < 80 for _, _, what in log.faults)


def test_what_would_steer_a_terminal_is_shown_and_does_nothing() -> None:
    log = parse_meter("time,w\x1b[31m\n1793491200,\x1b]0;x\x07\n")
    assert "\x1b" not in str([*log.faults, *parse_meter("\x1b[2J,b\n").faults])


@given(
    st.lists(
        st.one_of(
            st.sampled_from(['"', "x", "1,2", ",", "", "  ", "2026-11-01T00:00:01,5", ",,,"]),
            st.text(alphabet='0123456789-:T,;."\n\r\t x', max_size=30),
            st.tuples(st.integers(0, 60), st.integers(0, 9)).map(
                lambda each: f"{1793491200 + each[0]},{each[1]}"
            ),
        ),
        max_size=30,
    )
)
def test_every_line_is_a_row_a_row_without_value_or_a_fault(lines: list[str]) -> None:
    text = "time,power_w,note\n" + "\n".join(lines)
    log = parse_meter(text)
    written = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[1:]
    numbers = [line for line, each in enumerate(written, start=2) if each.strip()]
    named = [row.line for row in log.rows] + [fault[0] for fault in log.faults]
    assert sorted([*named, *log.without_value]) == numbers


def test_a_time_without_a_zone_is_of_the_zone_that_is_said() -> None:
    east = timezone(timedelta(hours=14))
    log = parse_meter("time,w\n2026-11-01 14:00,5\n", lambda written: written.replace(tzinfo=east))
    assert (log.rows[0].unix_ns, log.names_no_zone) == (NOV_S * 10**9, True)
    named = parse_meter("time,w\n2026-11-01T00:00Z,5\n1793491201,5\n", in_utc)
    assert ([row.unix_ns for row in named.rows], named.names_no_zone) == (
        [NOV_S * 10**9, (NOV_S + 1) * 10**9],
        False,
    )


def test_the_hour_that_a_clock_shows_twice_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "EST5EDT,M3.2.0,M11.1.0")
    time.tzset()
    try:
        hours = ("00:30", "01:00", "01:30", "01:00", "01:30", "02:00")
        text = "".join(f"2026-11-01 {hour},{n}\n" for n, hour in enumerate(hours))
        log = parse_meter(f"time,w\n{text}", in_local_zone)
        skipped = parse_meter("time,w\n2026-03-08 01:30,1\n2026-03-08 03:00,2\n", in_local_zone)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert log.faults == ()
    steps = [(row.unix_ns - log.rows[0].unix_ns) // (60 * 10**9) for row in log.rows]
    assert steps == [0, 30, 60, 90, 120, 150]
    assert skipped.rows[1].unix_ns - skipped.rows[0].unix_ns == 30 * 60 * 10**9


@pytest.mark.parametrize(
    ("number", "found"),
    [("40", (60, [])), ("43", (0, [(2, "", "a cell of more than 131,072 characters")]))],
)
def test_the_logs_of_public_reports(number: str, found: tuple[int, list[object]]) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no such folder here: {CASES}")
    [file] = CASES.glob(f"{number}-*")
    log = parse_meter(file.read_text())
    assert (len(log.rows), list(log.faults)) == found


@given(st.text())
def test_no_text_makes_it_raise(text: str) -> None:
    parse_meter(text)
    parse_meter(f"time,power_w\n{text}")
    unix_ns_of(text)


@given(st.integers(1_000_000_000, 4_000_000_000), st.integers(0, 999_999))
def test_times_are_kept_to_the_microsecond(seconds: int, micro: int) -> None:
    found = unix_ns_of(f"{seconds}.{micro:06d}")
    assert found is not None
    assert abs(found - (seconds * 10**9 + micro * 1000)) <= 1_000
