"""Against scipy, by hand, and the error rates by simulation."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.stats import ratios as ours

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
    assert found.within(0.001)


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
    assert near.within(ours.SAME_WITHIN)
    assert not near.within(0.005)
    assert not wide.within(ours.SAME_WITHIN)


def test_same_is_stricter_than_two_one_sided_tests() -> None:
    """The 95 % interval must lie within; that of 90 %, as two tests use it, is not enough."""
    a, b = [100.0, 102.0, 98.0, 101.0, 99.0], [103.0, 105.0, 101.0, 104.0, 102.0]
    found = ours.welch(a, b)
    assert found is not None
    reach = scipy.stats.t.ppf(0.95, found.df) * found.error
    assert found.ratio * math.exp(reach) < 1.052 < found.high
    assert not found.within(0.052)


def test_a_lucky_spread_is_raised_to_the_noise_floor() -> None:
    """Three pairs that agree by chance to a ten-thousandth, on a machine that scatters by 2 %."""
    a, b = [100.0, 101.0, 99.0], [101.00, 102.02, 99.99]
    bare, floored = ours.paired(a, b), ours.paired(a, b, floor=0.02)
    assert bare is not None
    assert floored is not None
    assert (bare.p <= 0.05, bare.floored) == (True, False)
    assert (floored.p > 0.05, floored.floored) == (True, True)
    assert floored.error == pytest.approx(0.02 * math.sqrt(2 / 3))
    assert (floored.ratio, floored.df) == (bare.ratio, bare.df)
    wide = ours.paired([100.0, 110.0, 90.0], [105.0, 109.0, 99.0], floor=0.001)
    assert wide is not None
    assert not wide.floored


def test_the_noise_floors_of_two_machines_add_up() -> None:
    found = ours.welch([100.0, 100.1, 99.9], [101.0, 101.1, 100.9, 101.0], floors=(0.02, 0.01))
    assert found is not None
    assert found.error == pytest.approx(math.sqrt(0.02**2 / 3 + 0.01**2 / 4))


def test_kinds_of_machines_are_judged_by_machines_not_by_trials() -> None:
    """Each machine is known to a thousandth, but two of a kind differ by 5 %."""
    a = [[100.0, 100.1, 99.9], [105.0, 105.1, 104.9]]
    b = [[106.0, 106.1, 105.9], [111.0, 111.1, 110.9]]
    kinds, these = ours.kinds_of_machines(a, b), ours.these_machines(a, b)
    assert kinds is not None
    assert these is not None
    assert kinds.ratio == pytest.approx(these.ratio)
    assert (kinds.p > 0.05, these.p < 0.001) == (True, True)
    assert (kinds.n_a, kinds.n_b) == (2, 2)
    logs = [[sum(map(math.log, machine)) / 3 for machine in side] for side in (b, a)]
    assert kinds.p == pytest.approx(scipy.stats.ttest_ind(*logs, equal_var=False).pvalue)
    assert ours.kinds_of_machines(a[:1], b) is None


def test_a_machine_counts_once_however_often_it_was_measured() -> None:
    few, many = [100.0, 101.0], [110.0, 111.0] * 10
    found = ours.these_machines([few, many], [[100.0, 101.0], [110.0, 111.0]])
    assert found is not None
    assert found.ratio == pytest.approx(1)


@settings(deadline=None)
@given(st.lists(spread_rates, min_size=2, max_size=4), spread_rates)
def test_machines_split_in_two_orders_are_the_same(a: list[list[float]], b: list[float]) -> None:
    there, back = ours.these_machines(a, [b]), ours.these_machines(a[::-1], [b])
    assert there is not None
    assert back is not None
    assert there.p == pytest.approx(back.p)
    assert there.df == pytest.approx(back.df)


def test_in_a_family_only_a_larger_difference_can_be_seen() -> None:
    alone, family = ours.detectable(0.01, 8), ours.detectable(0.01, 8, family=20)
    assert alone < family
    expected = (scipy.stats.t.ppf(1 - 0.05 / 40, 8) + scipy.stats.t.ppf(0.8, 8)) * 0.01
    assert family == pytest.approx(math.expm1(expected))
    assert math.isfinite(ours.detectable(50.0, 1, family=1000))


@pytest.mark.parametrize("family", [1, 2])
def test_what_few_trials_resolve_by_hand(family: int) -> None:
    """Johnson & Welch's normal approximation of the noncentral t distribution."""
    df, error = 6.0, 0.02
    critical = scipy.stats.t.ppf(1 - 0.05 / family / 2, df)
    spread = math.sqrt(1 + critical**2 / (2 * df))
    reach = critical * (1 - 1 / (4 * df)) + scipy.stats.norm.ppf(0.8) * spread
    assert ours.resolvable(error, df, family) == pytest.approx(math.expm1(reach * error))


def test_an_interval_that_ends_at_the_bound_is_within_it() -> None:
    found = ours.welch([100, 100.1, 99.9], [101, 101.1, 100.9])
    assert found is not None
    assert replace(found, low=1 / 1.05, high=1.05).within(0.05)
    assert not replace(found, low=1 / 1.05 - 1e-9, high=1.05).within(0.05)
    assert not replace(found, low=1 / 1.05, high=1.05 + 1e-9).within(0.05)


def test_the_floors_of_two_kinds_add_up_over_their_machines_and_trials() -> None:
    """Of machines that agree: each floor over the trials of its machine, over the machines."""
    a, b = [[100.0] * 4, [100.0] * 2], [[110.0] * 5, [110.0] * 3]
    found = ours.kinds_of_machines(a, b, floors=((0.02, 0.01), (0.03, 0.04)))
    assert found is not None
    squares = (0.02**2 / 4 + 0.01**2 / 2) / 4 + (0.03**2 / 5 + 0.04**2 / 3) / 4
    assert found.error == pytest.approx(math.sqrt(squares))
    assert found.floored
    bare = ours.kinds_of_machines(a, b)
    assert bare is not None
    assert (bare.error, bare.floored) == (0.0, False)


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
