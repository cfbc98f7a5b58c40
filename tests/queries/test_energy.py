"""Energy from readings, on power curves whose energy is known exactly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders_energy import (
    Curve,
    EnergyStore,
    Ramps,
    asked,
    counter,
    every,
    power,
    reading,
)
from tests.builders_store import NOV_2026_NS

BOARD = Curve([0, 4, 6.5, 17.25], [10, 60, 80, 10])
"""Idle, a prompt of 2.5 s, an answer of 10.75 s, idle."""
CHAT = asked(4, 6.5, 17.25)
IDLE = reading("idle_window_s", 0.5, 3.0, "fleet")
HALF_PERCENT = 0.005
GREATEST_GAP_S = 0.3
"""Of readings every 0.2 s that come up to 0.1 s late."""
METHODS = pytest.mark.parametrize("read", [counter, power])


@pytest.fixture(scope="module")
def shared() -> EnergyStore:
    return EnergyStore()


@pytest.fixture
def store(shared: EnergyStore) -> EnergyStore:
    shared.clear()
    return shared


def seconds(milliseconds: int) -> float:
    return milliseconds / 1000


def one(store: EnergyStore, attempt: str, **equal: object) -> dict[str, Any]:
    [found] = store.of("energy_of_requests", attempt, **equal)
    return found


@METHODS
def test_energy_of_a_scripted_curve_is_the_analytic_value_and_split_right(
    store: EnergyStore, read: Any
) -> None:
    attempt = store.trial("a", [CHAT], [IDLE, *read(BOARD, every(0.2, 20, 0.07))])
    found = one(store, attempt)
    assert found["prefill_joules"] == pytest.approx(150, rel=HALF_PERCENT)
    assert found["decode_joules"] == pytest.approx(860, rel=HALF_PERCENT)
    assert found["joules"] == pytest.approx(1010, rel=HALF_PERCENT)
    assert found["idle_w"] == pytest.approx(10, rel=HALF_PERCENT)
    assert found["joules_per_token"] == pytest.approx(1010 / 200, rel=HALF_PERCENT)
    assert found["tokens_per_joule"] == pytest.approx(200 / 1010, rel=HALF_PERCENT)
    assert found["prefill_joules_per_token"] == pytest.approx(0.15, rel=HALF_PERCENT)
    assert found["decode_joules_per_token"] == pytest.approx(860 / 199, rel=HALF_PERCENT)
    assert found["net_joules_per_token"] == pytest.approx(877.5 / 200, rel=HALF_PERCENT)
    assert (found["scope"], found["valid"], found["invalid"]) == ("gpu_board", True, "")
    assert found["prefill_valid"]
    assert found["decode_valid"]
    assert found["greatest_gap_ns"] == pytest.approx(2e8, abs=2)


@METHODS
@settings(max_examples=15, deadline=None)
@given(
    sent=st.integers(1000, 3000).map(seconds),
    prefill=st.integers(2000, 12_000).map(seconds),
    decode=st.integers(2000, 60_000).map(seconds),
    watts=st.lists(st.floats(3, 600), min_size=4, max_size=4),
    jitter=st.lists(st.integers(0, 100).map(seconds), min_size=7, max_size=7),
)
def test_any_curve_that_changes_with_the_phases_is_within_half_a_percent(
    shared: EnergyStore,
    read: Any,
    sent: float,
    prefill: float,
    decode: float,
    watts: list[float],
    jitter: list[float],
) -> None:
    shared.clear()
    first, ended = sent + prefill, sent + prefill + decode
    curve = Curve([0, sent, first, ended], watts)
    # Never read at the very moment of a change: what is read there is either side's value.
    grid = every(0.2, ended + 2, 0.0004)
    times = [t + jitter[n % len(jitter)] for n, t in enumerate(grid)]
    attempt = shared.trial("a", [asked(sent, first, ended)], read(curve, times))
    found = one(shared, attempt)
    assert found["valid"]
    assert found["prefill_joules"] == pytest.approx(curve.joules(sent, first), rel=HALF_PERCENT)
    assert found["decode_joules"] == pytest.approx(curve.joules(first, ended), rel=HALF_PERCENT)
    assert found["joules"] == pytest.approx(curve.joules(sent, ended), rel=HALF_PERCENT)


@METHODS
@settings(max_examples=15, deadline=None)
@given(
    sent=st.integers(1000, 3000).map(seconds),
    prefill=st.integers(6000, 12_000).map(seconds),
    decode=st.integers(6000, 40_000).map(seconds),
    watts=st.lists(st.floats(3, 600), min_size=4, max_size=4),
    jitter=st.lists(st.integers(0, 100).map(seconds), min_size=7, max_size=7),
)
def test_ramps_of_six_seconds_or_more_are_within_half_a_percent(
    shared: EnergyStore,
    read: Any,
    sent: float,
    prefill: float,
    decode: float,
    watts: list[float],
    jitter: list[float],
) -> None:
    """Which phase has the step that holds their edge is told by the power beside it, so a ramp
    may move what it changes by within one gap, too much for a frugal phase beside a steep one."""
    shared.clear()
    first, ended = sent + prefill, sent + prefill + decode
    pieces = [(10.0, 10.0), (watts[0], watts[1]), (watts[2], watts[3]), (10.0, 10.0)]
    curve = Ramps([0, sent, first, ended], pieces)
    grid = every(0.2, ended + 2, 0.0004)
    times = [t + jitter[n % len(jitter)] for n, t in enumerate(grid)]
    attempt = shared.trial("a", [asked(sent, first, ended)], read(curve, times))
    found = one(shared, attempt)
    assert found["valid"]
    slope = max(abs(watts[0] - watts[1]) / prefill, abs(watts[2] - watts[3]) / decode)
    moved = {"rel": HALF_PERCENT, "abs": slope * GREATEST_GAP_S**2 / 2}
    assert found["prefill_joules"] == pytest.approx(curve.joules(sent, first), **moved)
    assert found["decode_joules"] == pytest.approx(curve.joules(first, ended), **moved)
    assert found["joules"] == pytest.approx(curve.joules(sent, ended), rel=HALF_PERCENT)


@METHODS
@settings(max_examples=10, deadline=None)
@given(
    prefill=st.integers(300, 12_000).map(seconds),
    decode=st.integers(2500, 20_000).map(seconds),
    watts=st.floats(3, 600),
    first=st.integers(0, 200).map(seconds),
)
def test_of_a_constant_power_nothing_is_lost(
    shared: EnergyStore, read: Any, prefill: float, decode: float, watts: float, first: float
) -> None:
    shared.clear()
    ended = 2 + prefill + decode
    request = asked(2, 2 + prefill, ended)
    attempt = shared.trial("a", [request], read(Curve([0], [watts]), every(0.2, ended + 1, first)))
    found = one(shared, attempt)
    assert found["joules"] == pytest.approx(watts * (prefill + decode), rel=1e-6)
    assert found["mean_w"] == pytest.approx(watts, rel=1e-6)
    assert found["prefill_joules"] == pytest.approx(watts * prefill, rel=1e-6)
    assert found["decode_joules"] == pytest.approx(watts * decode, rel=1e-6)


@METHODS
@settings(max_examples=15, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0.05, 3), st.floats(3, 600)), min_size=1, max_size=30),
    sent=st.floats(1, 5),
    prefill=st.floats(0.01, 6),
    decode=st.floats(0.01, 12),
    first=st.floats(0, 0.2),
)
def test_the_error_on_any_curve_is_less_than_its_variation_over_one_gap(
    shared: EnergyStore,
    read: Any,
    steps: list[tuple[float, float]],
    sent: float,
    prefill: float,
    decode: float,
    first: float,
) -> None:
    """Within one interval between readings the power may have been any between its extremes."""
    shared.clear()
    times, now = [0.0], 0.0
    for lasts, _ in steps:
        now += lasts
        times.append(now)
    curve = Curve(times, [20.0, *(watts for _, watts in steps)])
    ended = sent + prefill + decode
    request = asked(sent, sent + prefill, ended)
    attempt = shared.trial("a", [request], read(curve, every(0.2, ended + 1, first)))
    found = one(shared, attempt)
    gap = 0.2000001
    for name, begin, end in (
        ("prefill_joules", sent, sent + prefill),
        ("decode_joules", sent + prefill, ended),
        ("joules", sent, ended),
    ):
        # A step that holds an edge is shared by the rates up to three steps beside it.
        bound = curve.variation(begin - 4 * gap, end + 4 * gap) * gap
        assert abs((found[name] or 0) - curve.joules(begin, end)) <= bound + 1e-3


def test_readings_whose_times_are_uncertain_move_little_between_the_phases(
    store: EnergyStore,
) -> None:
    """Every other reading is stamped 0.1 s late, as on a host that has no time for it."""
    readings = counter(BOARD, every(0.2, 20, 0.03))
    for row in readings[::2]:
        row["offset_ns"] += 100_000_000
    found = one(store, store.trial("a", [CHAT], readings))
    assert found["joules"] == pytest.approx(1010, rel=0.01)
    assert found["prefill_joules"] == pytest.approx(150, rel=0.05)


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (lambda times: [t for t in times if not 8 < t < 11], "gap"),
        (lambda times: [t for t in times if t < 15], "uncovered"),
        (lambda times: [t for t in times if t > 5], "uncovered"),
        (lambda times: times[::9], "few_readings"),
    ],
)
@METHODS
def test_gaps_are_flagged_and_the_value_is_kept(
    store: EnergyStore, read: Any, change: Any, flag: str
) -> None:
    attempt = store.trial("a", [CHAT], read(BOARD, change(every(0.2, 20))))
    found = one(store, attempt)
    assert not found["valid"]
    assert flag in found["invalid"].split()
    assert found["joules"] is not None
    [of_point] = store.of("energy", attempt)
    assert (of_point["valid"], of_point["requests"], of_point["requests_left_out"]) == (False, 0, 1)
    assert flag in of_point["invalid"]


def test_a_gap_that_is_small_for_a_long_window_is_none(store: EnergyStore) -> None:
    curve = Curve([0, 4, 104], [10, 80, 10])
    times = every(4.0, 110)
    attempt = store.trial("a", [asked(4, 4.5, 104)], counter(curve, times))
    assert one(store, attempt)["invalid"] == ""


def test_the_greatest_gap_is_reported(store: EnergyStore) -> None:
    times = [t for t in every(0.2, 20) if not 8 < t < 9.3]
    found = one(store, store.trial("a", [CHAT], power(BOARD, times)))
    assert found["valid"]
    assert found["greatest_gap_ns"] == pytest.approx(1.4e9, rel=0.01)


def test_the_counter_comes_before_the_power_unless_it_is_not_valid(store: EnergyStore) -> None:
    times = every(0.2, 20)
    wrong = Curve([0], [999])
    both = store.trial("a", [CHAT], [*counter(BOARD, times), *power(wrong, times)])
    assert one(store, both)["method"] == "counter"
    assert one(store, both)["joules"] == pytest.approx(1010, rel=HALF_PERCENT)
    broken = store.trial("b", [CHAT], [*counter(BOARD, times[:40]), *power(BOARD, times)])
    assert (one(store, broken)["method"], one(store, broken)["valid"]) == ("power", True)


def test_a_zero_is_a_missing_value(store: EnergyStore) -> None:
    times = every(0.2, 20)
    nothing = Curve([0], [0])
    assert store.of("energy_of_requests", store.trial("a", [CHAT], power(nothing, times))) == []
    still = one(store, store.trial("b", [CHAT], counter(nothing, times)))
    assert (still["joules"], still["joules_per_token"], still["valid"]) == (None, None, False)
    assert "zero" in still["invalid"]


def test_a_counter_that_falls_is_flagged(store: EnergyStore) -> None:
    readings = counter(BOARD, every(0.2, 20))
    for row in readings[50:]:
        row["value"] -= 1200
    found = one(store, store.trial("a", [CHAT], [r for r in readings if r["value"] > 0]))
    assert not found["valid"]
    assert "counter_reset" in found["invalid"]


def test_scopes_stay_apart(store: EnergyStore) -> None:
    times = every(0.2, 20)
    wall = Curve(BOARD.times_s, [watts + 40 for watts in BOARD.watts])
    readings = [*counter(BOARD, times), *power(wall, every(1, 20), "wall")]
    attempt = store.trial("a", [CHAT], [*readings, reading("cpu_power_w", 5, 900)])
    assert [row["scope"] for row in store.of("energy", attempt)] == ["gpu_board", "wall"]
    assert one(store, attempt, scope="wall")["joules"] == pytest.approx(1010 + 530, rel=0.01)


def test_streams_at_once_share_one_window(store: EnergyStore) -> None:
    times = every(0.2, 20)
    pair = [
        asked(4, 6.5, 17.25, concurrency=2, stream=0),
        asked(4.2, 6.9, 16.0, concurrency=2, stream=1),
    ]
    found = one(store, store.trial("a", pair, counter(BOARD, times)))
    assert (found["requests"], found["output_tokens"]) == (2, 400)
    assert found["joules"] == pytest.approx(1010, rel=HALF_PERCENT)
    assert found["prefill_joules"] is None
    assert (found["prefill_invalid"], found["decode_invalid"]) == ("no_phase", "no_phase")
    assert not found["prefill_valid"]


@METHODS
def test_a_phase_too_short_for_its_readings_has_no_energy_of_its_own(
    store: EnergyStore, read: Any
) -> None:
    attempt = store.trial("a", [asked(4, 5, 17.25)], read(BOARD, every(0.2, 20, 0.07)))
    assert one(store, attempt)["prefill_joules"] is not None
    [found] = store.of("energy", attempt)
    assert (found["valid"], found["invalid"]) == (True, None)
    assert (found["prefill_joules"], found["prefill_invalid"]) == (None, "few_readings")
    assert found["prefill_joules_per_token"] is None
    assert found["decode_joules"] == pytest.approx(1010 - 60, rel=0.02)
    assert found["decode_invalid"] is None


def test_warm_ups_and_invalid_requests_do_not_enter_a_trials_energy(store: EnergyStore) -> None:
    curve = Curve([0, 2, 12, 14, 24, 26, 36], [10, 200, 10, 80, 10, 300, 10])
    requests = [
        asked(2, 2.5, 12, warmup=True),
        asked(14, 14.5, 24),
        asked(26, 26.5, 36, error="broke", error_reason="stream_broken"),
    ]
    attempt = store.trial("a", requests, counter(curve, every(0.2, 40)))
    assert len(store.of("energy_of_requests", attempt)) == 3
    [found] = store.of("energy", attempt)
    assert found["joules"] == pytest.approx(800, rel=0.01)
    assert found["requests"] == 1


def test_energy_of_a_point_is_the_median_over_its_requests(store: EnergyStore) -> None:
    curve = Curve([0, 2, 12, 14, 24, 26, 36], [10, 100, 10, 80, 10, 300, 10])
    requests = [asked(start, start + 0.5, start + 10) for start in (2, 14, 26)]
    attempt = store.trial("a", requests, counter(curve, every(0.2, 40)))
    [found] = store.of("energy", attempt)
    assert found["joules"] == pytest.approx(1000, rel=0.01)
    assert found["mean_w"] == pytest.approx(100, rel=0.01)
    assert (found["valid"], found["requests"], found["least_samples"]) == (True, 3, 50)


def test_a_trial_without_energy_has_no_row(store: EnergyStore) -> None:
    attempt = store.trial(
        "a", [CHAT], [reading("gpu_temperature_c", 1, 50)], zero_unix_ns=NOV_2026_NS
    )
    assert store.of("energy", attempt) == []


@METHODS
def test_a_request_whose_energy_is_not_valid_does_not_enter_the_median(
    store: EnergyStore, read: Any
) -> None:
    curve = Curve([0, 2, 12, 14, 24], [10, 100, 10, 300, 10])
    times = [t for t in every(0.2, 30) if not 16 < t < 20]
    requests = [asked(2, 2.5, 12), asked(14, 14.5, 24)]
    [found] = store.of("energy", store.trial("a", requests, read(curve, times)))
    assert found["joules"] == pytest.approx(1000, rel=0.01)
    assert (found["valid"], found["requests"], found["requests_left_out"]) == (True, 1, 1)
    assert found["invalid"] == "gap"


@METHODS
def test_readings_that_end_a_little_short_stand_for_the_rest(store: EnergyStore, read: Any) -> None:
    curve = Curve([0, 2, 22], [10, 100, 10])
    times = [t for t in every(0.2, 30) if t < 21.7]
    found = one(store, store.trial("a", [asked(2, 12, 22)], read(curve, times)))
    assert found["valid"]
    assert found["joules"] == pytest.approx(2000, rel=HALF_PERCENT)
    assert found["decode_joules"] == pytest.approx(1000, rel=HALF_PERCENT)
