"""The noise floor as a statistic: known truths, scipy's figures, and how often it cries wolf."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fleet.stats.distributions import chi2_cdf, chi2_quantile
from fleet.stats.noise_floor import LEAST_TRIALS, NoiseFloor, NoiseTrial, noise_floor, untrusted


@given(st.floats(1e-4, 0.9999), st.integers(1, 2000))
def test_the_chi_square_quantile_is_scipys(probability: float, df: int) -> None:
    assert chi2_quantile(probability, df) == pytest.approx(
        stats.chi2.ppf(probability, df), rel=1e-8
    )


@given(st.floats(0, 500), st.floats(0.5, 400))
def test_the_chi_square_distribution_is_scipys(x: float, df: float) -> None:
    assert chi2_cdf(x, df) == pytest.approx(stats.chi2.cdf(x, df), abs=1e-12)


def trials(
    blocks: int, sd: float, seed: int, *, b: float = 0.0, second: float = 0.0, drift: float = 0.0
) -> list[NoiseTrial]:
    """`b`, `second`, `drift`: log shift of side b, of the second in a block, from first to last."""
    chance = random.Random(seed)
    made = []
    for block in range(blocks):
        for place, side in enumerate(chance.sample("ab", 2)):
            log = chance.gauss(0, sd) + b * (side == "b") + second * place + drift * block / blocks
            value = 100 * math.exp(log)
            made.append(NoiseTrial(block=block, position=2 * block + place, side=side, value=value))
    return made


def floor(*arguments: float, **changes: float) -> NoiseFloor:
    found = noise_floor(trials(*arguments, **changes))  # type: ignore[arg-type]
    assert found is not None
    return found


@given(st.integers(5, 40), st.floats(1e-4, 0.2), st.integers(0, 999))
def test_it_is_the_spread_of_the_logs_with_its_interval(blocks: int, sd: float, seed: int) -> None:
    found = floor(blocks, sd, seed)
    logs = [math.log(trial.value) for trial in trials(blocks, sd, seed)]
    assert found.n == 2 * blocks
    assert found.sd_log == pytest.approx(statistics.stdev(logs))
    square, df = found.sd_log**2 * (found.n - 1), found.n - 1
    assert found.low == pytest.approx(math.sqrt(square / stats.chi2.ppf(0.975, df)))
    assert found.high == pytest.approx(math.sqrt(square / stats.chi2.ppf(0.025, df)))
    assert found.low < found.sd_log < found.high


def test_the_interval_holds_the_truth_19_times_in_20() -> None:
    held = sum(f.low <= 0.015 <= f.high for f in (floor(10, 0.015, seed) for seed in range(1000)))
    assert 930 <= held <= 970, held


def test_eighty_blocks_are_within_a_fifth_of_the_truth() -> None:
    near = [abs(floor(80, 0.015, seed).sd_log / 0.015 - 1) < 0.2 for seed in range(300)]
    assert sum(near) >= 297


def test_a_healthy_fleet_is_seldom_distrusted_although_many_intervals_are_looked_at() -> None:
    """Eight intervals at 95 % would cry wolf in a third of all runs."""
    wrong = missed = 0
    for run in range(500):
        floors = {(str(at), "decode"): floor(10, 0.02, 8 * run + at) for at in range(8)}
        wrong += bool(untrusted(floors))
        missed += any(not f.ratio_low <= 1 <= f.ratio_high for f in floors.values())
    assert wrong <= 40, wrong  # 5 % is 25
    assert missed >= 120, "which is why the alarm is not the single interval"


def test_a_machine_whose_sides_differ_is_named_among_healthy_ones() -> None:
    floors = {(name, "decode"): floor(20, 0.01, at) for at, name in enumerate("abcd")}
    floors["sick", "decode"] = floor(20, 0.01, 9, b=0.03)
    assert untrusted(floors) == {("sick", "decode")}
    assert floors["sick", "decode"].ratio == pytest.approx(math.exp(0.03), abs=0.01)
    assert floors["sick", "decode"].why == ""
    assert untrusted({}) == set()


def test_what_the_trials_show_of_the_cause_is_said() -> None:
    assert floor(20, 0.005, 1, second=-0.04).why.startswith("the second trial of a block is 3.")
    assert floor(20, 0.005, 1, second=-0.04).why.endswith("% slower than the first")
    assert floor(20, 0.005, 1, drift=0.1).why.startswith("it drifts: the second half of the trials")
    assert floor(20, 0.005, 1).why == ""


def test_too_few_trials_are_no_floor() -> None:
    assert LEAST_TRIALS == 10
    assert noise_floor(trials(4, 0.01, 1)) is None
    assert noise_floor(trials(5, 0.01, 1)) is not None
    assert noise_floor([]) is None
    only_a = [trial for trial in trials(20, 0.01, 1) if trial.side == "a"]
    assert noise_floor(only_a) is None, "one side alone is no A/A run"


def test_a_block_that_lost_a_side_counts_for_the_spread_alone() -> None:
    found = noise_floor(trials(10, 0.01, 1)[:-1])
    assert found is not None
    assert found.n == 19


def test_what_can_be_seen_is_the_textbooks_detectable_effect() -> None:
    plain = floor(40, 0.02, 1)
    df = 8
    reach = stats.t.ppf(0.975, df) + stats.t.ppf(0.8, df)
    assert plain.could_see(5) == pytest.approx(
        math.expm1(reach * plain.sd_log * math.sqrt(2 / 5)), rel=1e-6
    )
