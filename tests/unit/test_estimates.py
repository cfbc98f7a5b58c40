"""Against scipy, by hand, and the error rates by simulation."""

from __future__ import annotations

import math
import random

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.compare import estimates as ours

rates = st.floats(min_value=1, max_value=1000)
spread_rates = st.lists(rates, min_size=2, max_size=12).filter(lambda x: max(x) > 1.001 * min(x))


@settings(deadline=None)
@given(st.floats(min_value=-60, max_value=60), st.floats(min_value=1, max_value=400))
def test_t_distribution_is_that_of_scipy(t: float, df: float) -> None:
    assert ours.t_cdf(t, df) == pytest.approx(scipy.stats.t.cdf(t, df), rel=1e-7, abs=1e-12)


@settings(deadline=None)
@given(st.floats(min_value=0.001, max_value=0.999), st.floats(min_value=1, max_value=400))
def test_t_quantile_is_that_of_scipy(probability: float, df: float) -> None:
    expected = scipy.stats.t.ppf(probability, df)
    assert ours.t_quantile(probability, df) == pytest.approx(expected, rel=1e-6, abs=1e-8)


@settings(deadline=None)
@given(spread_rates, spread_rates)
def test_welch_is_that_of_scipy(a: list[float], b: list[float]) -> None:
    found = ours.welch(a, b)
    expected = scipy.stats.ttest_ind(
        [math.log(x) for x in b], [math.log(x) for x in a], equal_var=False
    )
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert found.df == pytest.approx(expected.df)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx(
        (interval.low, interval.high), rel=1e-6, abs=1e-9
    )


@settings(deadline=None)
@given(st.lists(st.tuples(rates, rates), min_size=2, max_size=12))
def test_paired_is_that_of_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    logs = [math.log(y) - math.log(x) for x, y in pairs]
    found = ours.paired(a, b)
    assert found is not None
    if max(logs) - min(logs) > 1e-3:
        expected = scipy.stats.ttest_1samp(logs, 0)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.low <= found.ratio <= found.high
    assert found.n_a == found.n_b == len(pairs)


@settings(deadline=None)
@given(spread_rates, spread_rates)
def test_swapping_the_sides_inverts_the_ratio(a: list[float], b: list[float]) -> None:
    there, back = ours.welch(a, b), ours.welch(b, a)
    assert there is not None
    assert back is not None
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)
    assert there.p == pytest.approx(back.p)


def test_one_value_on_a_side_gives_no_estimate() -> None:
    assert ours.welch([1.0], [2.0, 2.1]) is None
    assert ours.welch([1.0, 1.1], [2.0]) is None
    assert ours.paired([1.0], [2.0]) is None
    assert ours.half_width([1.0]) == math.inf


def test_unequal_lists_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        ours.paired([1.0, 2.0], [1.0])


def test_equal_values_are_the_same_with_certainty() -> None:
    found = ours.paired([5.0, 6.0], [5.0, 6.0])
    assert found is not None
    assert (found.ratio, found.p, found.half_width) == (1.0, 1.0, 0.0)
    assert found.same


def test_half_width_of_one_side_by_hand() -> None:
    values = [math.exp(x) for x in (1.00, 1.02, 1.04)]
    expected = math.expm1(scipy.stats.t.ppf(0.975, 2) * 0.02 / math.sqrt(3))
    assert ours.half_width(values) == pytest.approx(expected)


def test_half_width_is_that_of_the_printed_interval() -> None:
    found = ours.welch([100, 101, 102, 99, 98], [110, 112, 111, 108, 109])
    assert found is not None
    assert found.high / found.ratio - 1 == pytest.approx(found.half_width)


def test_same_needs_the_whole_interval_within_five_percent() -> None:
    near = ours.welch([100, 100.1, 99.9], [101, 101.1, 100.9])
    wide = ours.welch([100, 106, 94], [101, 107, 95])
    assert near is not None
    assert wide is not None
    assert near.same
    assert not wide.same


def test_holm_by_hand() -> None:
    assert ours.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert ours.holm([]) == []


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=8))
def test_holm_keeps_the_order_and_never_lowers(p: list[float]) -> None:
    adjusted = ours.holm(p)
    assert all(before <= after <= 1 for before, after in zip(p, adjusted, strict=True))
    ranked = [adjusted[i] for i in sorted(range(len(p)), key=lambda i: p[i])]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize("kind", ["welch", "paired"])
def test_equal_sides_rarely_look_different(kind: str) -> None:
    """Trials of 2 % spread, five a side, all equal: about 5 % alarms."""
    draw = random.Random(20261101)
    alarms = 0
    for _ in range(300):
        a = [100 * math.exp(draw.gauss(0, 0.02)) for _ in range(5)]
        b = [100 * math.exp(draw.gauss(0, 0.02)) for _ in range(5)]
        found = ours.welch(a, b) if kind == "welch" else ours.paired(a, b)
        assert found is not None
        alarms += found.p <= 0.05
    assert 0.02 <= alarms / 300 <= 0.08


def test_what_it_says_it_could_see_it_sees() -> None:
    """A difference of `could_see` is found in about 80 % of comparisons."""
    draw = random.Random(3)

    def side(level: float) -> list[float]:
        return [level * math.exp(draw.gauss(0, 0.02)) for _ in range(8)]

    typical = [ours.welch(side(100), side(100)) for _ in range(200)]
    least = sum(e.could_see for e in typical if e) / 200
    found = [ours.welch(side(100), side(100 * (1 + least))) for _ in range(600)]
    assert 0.70 <= sum(e.p <= 0.05 for e in found if e) / 600 <= 0.90
