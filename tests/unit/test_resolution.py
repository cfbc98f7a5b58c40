"""Why a comparison is not resolved, and how many repeats would do: held against simulations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.compare.designs import Design
from fleet.compare.resolution import Resolution, resolution
from fleet.stats import ratios as estimates
from fleet.stats.ratios import Estimate

SETS = 3000


def seen(
    spread: float, repeats: int, *, ratio: float = 1.0, machines: tuple[int, int] = (1, 1)
) -> Estimate:
    """Of paired trials, or of `repeats` on each machine, that scatter by `spread`."""
    a, b = machines
    error = spread * math.sqrt((1 / a + 1 / b) / repeats)
    df = (a + b) * (repeats - 1) if machines != (1, 1) else repeats - 1
    reach = estimates.t_quantile(0.975, df) * error
    return Estimate(
        ratio=ratio,
        low=ratio * math.exp(-reach),
        high=ratio * math.exp(reach),
        p=0.5,
        df=df,
        error=error,
        n_a=a * repeats,
        n_b=b * repeats,
        half_width=math.expm1(reach),
        could_see=estimates.detectable(error, df),
    )


def of(
    estimate: Estimate,
    *,
    family: int = 1,
    design: Design = "paired",
    machines: tuple[int, int] = (1, 1),
    same_within: float = 0.05,
) -> Resolution:
    found = resolution(estimate, design, family=family, same_within=same_within, machines=machines)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("estimate", "family", "words"),
    [
        (seen(0.01, 2), 4, "2 repeats are too few for 4 comparisons at once, 5 repeats would see"),
        (seen(0.01, 2), 1, "2 repeats are too few, 3 repeats would see 5 %"),
        (seen(0.02, 6), 8, "8 comparisons at once, 9 repeats would see 5 %"),
        (seen(0.1, 12), 1, "the trials vary by 10 %, "),
        (seen(0.1, 2), 4, "the trials vary by 10 %, "),
        (seen(3.0, 5), 1, "the trials vary by 300 %, not even 1000 repeats would see 5 %"),
        (seen(0.01, 2, ratio=1.3), 20, "2 repeats are too few for 20 comparisons at once, 3 repe"),
    ],
)
def test_the_cause_is_the_one_that_a_change_would_hint(
    estimate: Estimate, family: int, words: str
) -> None:
    assert of(estimate, family=family).words.startswith(words)


def test_where_a_noise_floor_stands_for_the_spread_it_is_named() -> None:
    floored = replace(seen(0.06, 12), floored=True)
    assert of(floored).words.startswith("the noise floor is 6.0 %, ")


def test_of_kinds_of_machines_more_machines_are_needed_and_not_more_repeats() -> None:
    found = of(seen(0.02, 2), design="kinds of machines")
    assert found.words.startswith("2 machines of a kind are too few, ")
    assert found.words.endswith(" machines of a kind would see 5 %")


def test_what_could_see_its_target_needs_no_more() -> None:
    assert resolution(seen(0.01, 10), "paired", family=1, same_within=0.05) is None


@given(
    st.floats(0.001, 0.3),
    st.integers(2, 40),
    st.integers(1, 30),
    st.floats(0.7, 1.5),
    st.sampled_from(("paired", "one after the other", "these machines")),
)
def test_so_many_repeats_see_the_target_and_one_less_does_not(
    spread: float, repeats: int, family: int, ratio: float, design: Design
) -> None:
    machines = (2, 1) if design == "these machines" else (1, 1)
    estimate = seen(spread, repeats, ratio=ratio, machines=machines)
    found = resolution(estimate, design, family=family, same_within=0.05, machines=machines)
    if found is None:
        return
    assert found.repeats == repeats
    assert found.target == pytest.approx(max(0.05, math.exp(abs(math.log(ratio))) - 1))
    if found.needed is None:
        return

    def sees(n: int) -> float:
        df = n - 1 if design == "paired" else max(sum(machines) * (n - 1) - 1, 1)
        return estimates.resolvable(seen(spread, n, machines=machines).error, df, family)

    assert repeats < found.needed <= 1000
    assert sees(found.needed) <= found.target
    assert found.needed == repeats + 1 or sees(found.needed - 1) > found.target


Test = Callable[[Sequence[float], Sequence[float]], Estimate | None]


@pytest.mark.parametrize("family", [1, 4])
@pytest.mark.parametrize("spread", [0.01, 0.03])
@pytest.mark.parametrize(
    ("design", "test"), [("paired", estimates.paired), ("one after the other", estimates.welch)]
)
def test_so_many_repeats_see_it_in_four_of_five_simulated_comparisons(
    design: Design, test: Test, spread: float, family: int
) -> None:
    """Each a family's smallest p, which Holm's procedure holds against 5 % over their number."""
    needed = of(seen(spread, 2), design=design, family=family).needed
    assert needed is not None
    chance = np.random.default_rng(needed + family)

    def power(repeats: int) -> float:
        a = chance.normal(0, spread, (SETS, repeats))
        b = chance.normal(math.log1p(0.05), spread, (SETS, repeats))
        found = [test(np.exp(x).tolist(), np.exp(y).tolist()) for x, y in zip(a, b, strict=True)]
        return sum(e is not None and e.p <= 0.05 / family for e in found) / SETS

    assert power(needed) > 0.75
    if needed > 3:
        assert power(needed - 1) < 0.83
