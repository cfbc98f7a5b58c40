"""Logs of wall meters as different makers write them, and as a hand may spoil them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.readers.wall_meter import parse_meter, unix_ns_of

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
