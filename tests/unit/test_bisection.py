"""The search for the version with a step: found where it is, and never told where it is not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.stats.bisection import LOOKS, MOST_WRONG, Bisection, Conclusion, Step

Truth = Callable[[int], float]


def search(truth: Sequence[float], noise: float = 0.0, seed: int = 0, blocks: int = 5) -> Bisection:
    """Search over versions of these true speeds; trials and blocks vary by `noise`, log-normal."""
    versions = [f"v{number}" for number in range(len(truth))]
    found, chance = Bisection(versions, blocks=blocks), random.Random(seed)
    while (step := found.step) is not None:
        common = [chance.gauss(0, 3 * noise) for _ in range(step.blocks)]
        found.take(
            {
                version: [
                    truth[int(version[1:])] * math.exp(block + chance.gauss(0, noise))
                    for block in common
                ]
                for version in step.versions
            }
        )
    return found


def ended(found: Bisection) -> Conclusion:
    assert found.conclusion is not None
    return found.conclusion


@given(
    count=st.integers(2, 60),
    at=st.integers(1, 59),
    factor=st.sampled_from((0.5, 0.9, 0.975, 1.025, 1.1, 2.0)),
)
def test_a_step_is_found_wherever_it_is_in_logarithmic_time(
    count: int, at: int, factor: float
) -> None:
    at = 1 + at % (count - 1)
    truth = [100.0 if number < at else 100.0 * factor for number in range(count)]
    found = search(truth, noise=1e-9)
    end = ended(found)
    assert (end.ending, end.after, end.at) == ("step", f"v{at - 1}", f"v{at}")
    assert end.ends.ratio == pytest.approx(factor, rel=1e-6)
    assert not end.others
    assert len(found.judgements) <= 1 + math.ceil(math.log2(max(count - 1, 1)))


def test_a_tenth_from_one_of_eight_on_is_found_on_a_machine_that_varies() -> None:
    endings = []
    for seed in range(300):
        at = 1 + seed % 7
        end = ended(search([100.0] * at + [90.0] * (8 - at), noise=0.015, seed=seed))
        endings.append((end.ending, end.at == f"v{at}"))
    assert endings.count(("step", True)) >= 285
    wrong = endings.count(("step", False)) + sum(ending == "no step" for ending, _ in endings)
    assert wrong <= 300 * MOST_WRONG


def test_where_nothing_differs_no_step_is_found() -> None:
    ends = [ended(search([100.0] * 8, noise=0.01, seed=seed)) for seed in range(300)]
    assert sum(end.ending == "step" for end in ends) <= 300 * MOST_WRONG
    assert sum(end.ending == "no step" for end in ends) >= 150


def test_noise_that_hides_the_step_is_said_and_not_guessed() -> None:
    found = search([100.0] * 4 + [96.0] * 4, noise=0.2)
    end = ended(found)
    assert end.ending == "not resolved"
    assert (end.after, end.at) == ("v0", "v7")
    blocks = [each.step.blocks for each in found.judgements]
    assert blocks == [5 * 2**look for look in range(LOOKS)], "each look has twice the blocks"


@pytest.mark.parametrize(
    "truth",
    [
        [100, 100, 90, 90, 90, 90, 80, 80],  # two steps
        [100, 100, 100, 70, 70, 70, 70, 90],  # one down, then half of it up again
        [100, 98, 96, 94, 92, 90, 88, 86, 84],  # a little with each
    ],
)
def test_more_than_one_step_is_never_told_as_one(truth: list[float]) -> None:
    for seed in range(50):
        end = ended(search(truth, noise=0.005, seed=seed))
        assert end.others, end
        if end.ending == "step":
            ratio = truth[int(end.at[1:])] / truth[int(end.after[1:])]
            assert ratio != 1
            assert end.ends.low <= ratio * 1.02
            assert end.ends.high >= ratio / 1.02


def test_a_dip_between_equal_ends_is_no_step_between_them() -> None:
    """The ends alone cannot show it: what is said is that first and last do not differ."""
    end = ended(search([100, 100, 50, 50, 100, 100], noise=0.005))
    assert (end.ending, end.after, end.at) == ("no step", "v0", "v5")


def test_two_versions_are_their_own_answer() -> None:
    found = search([100.0, 90.0], noise=0.01)
    assert ended(found).ending == "step"
    assert {len(each.step.versions) for each in found.judgements} == {2}


def test_other_values_than_those_of_the_step_are_refused() -> None:
    found = Bisection(["a", "b", "c"], blocks=5)
    assert found.step == Step(versions=("a", "c"), blocks=5)
    with pytest.raises(ValueError, match="next step"):
        found.take({"a": [1.0, 1.0], "b": [1.0, 1.0]})
    with pytest.raises(ValueError, match="two blocks"):
        found.take({"a": [1.0], "c": [1.0]})
