"""Numbers as people write them, and those that may mean two things."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.store.written_numbers import counts, durations_ns, numbers
from tests.builders_transcripts import go_duration


def values(found: object) -> list[Decimal]:
    return [number.value for number in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("41.98", ["41.98"]),
        ("41,98", ["41.98"]),
        ("1374", ["1374"]),
        ("1,374", ["1.374", "1374"]),
        ("1.374", ["1.374"]),
        ("1,374.06", ["1374.06"]),
        ("1.374,06", ["1374.06"]),
        ("1 374,06", ["1374.06"]),
        ("1'374'000", ["1374000"]),
        ("1.374.000", ["1374000"]),
        ("1,2,3", []),
        ("12 34", []),
        ("1,374 000", []),
        ("1" * 41, []),
        ("", []),
    ],
)
def test_every_number_that_a_text_may_mean(text: str, meant: list[str]) -> None:
    assert values(numbers(text)) == [Decimal(each) for each in meant]


def test_a_count_has_no_fraction() -> None:
    assert values(counts("1,374")) == [1374]
    assert counts("1.374") == counts("5.0") == ()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1m2.202324708s", [62_202_324_708]),
        ("1h 2m 3 s", [3_723_000_000_000]),
        ("59,6 ms", [59_600_000]),
        ("1 374.5ms", [1_374_500_000]),
        ("1,374ms", [1_374_000, 1_374_000_000]),
        ("712µs", [712_000]),
        ("712μs", [712_000]),
        ("5", []),
        ("5 sec", []),
        ("m5s", []),
    ],
)
def test_durations_in_nanoseconds(text: str, meant: list[int]) -> None:
    assert values(durations_ns(text)) == meant


@given(st.integers(1, 30 * 86_400 * 10**9))
def test_what_go_prints_is_read_to_the_nanosecond(ns: int) -> None:
    assert values(durations_ns(go_duration(ns))) == [ns]


def test_the_last_printed_place_is_what_rounding_took() -> None:
    assert [number.rounding for number in durations_ns("3.9s")] == [50_000_000]
    assert [number.rounding for number in durations_ns("1m1.8s")] == [50_000_000]
    assert [number.rounding for number in numbers("51.28")] == [Decimal("0.005")]
