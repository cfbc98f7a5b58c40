import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import units


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0s", 0),
        ("712µs", 712_000),
        ("712μs", 712_000),
        ("2.077999ms", 2_077_999),
        ("59.609167ms", 59_609_167),
        ("1m2.202324708s", 62_202_324_708),
        ("13m32.350176542s", 812_350_176_542),
        ("1h0m0s", 3_600_000_000_000),
        ("-1.5s", -1_500_000_000),
        ("7ns", 7),
    ],
)
def test_go_durations_are_exact(text: str, ns: int) -> None:
    assert units.go_duration_ns(text) == ns


@given(st.integers(min_value=0, max_value=10**15))
def test_every_nanosecond_of_a_go_duration_counts(ns: int) -> None:
    seconds, rest = divmod(ns, units.NS_PER_S)
    assert units.go_duration_ns(f"{seconds // 60}m{seconds % 60}.{rest:09d}s") == ns


@pytest.mark.parametrize("text", ["", "1", "s", "1x", "1m 2s", "1.s", "one", "1m2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        units.go_duration_ns(text)


def test_spans() -> None:
    assert units.span_s("10m") == 600
    assert units.span_s("1h30m") == 5400
    with pytest.raises(ValueError, match="is no time span"):
        units.span_s("10")


def test_shown_as_people_say_it() -> None:
    assert units.show_span(42) == "42 s"
    assert units.show_span(18 * 60) == "18 min"
    assert units.show_span(110 * 60) == "1 h 50 min"
    assert units.show_ns(59_609_167) == "59.6 ms"
    assert units.show_bytes(65_369_818_941) == "60.9 GiB"
    assert [units.show_number(v) for v in (0.01234, 4.4649, 39.85, 672.59, 12345.6)] == [
        "0.0123",
        "4.46",
        "39.9",
        "672.6",
        "12 346",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(60, "1m00s"), (138.4, "2m18s"), (3599.6, "1h00m00s"), (7325, "2h02m05s")],
)
def test_a_long_time_is_shown_to_the_second(seconds: float, shown: str) -> None:
    assert units.show_time(seconds * units.NS_PER_S) == shown
    assert abs(units.go_duration_ns(shown) / units.NS_PER_S - seconds) <= 0.5
