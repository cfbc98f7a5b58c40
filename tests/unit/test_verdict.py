"""The words of a verdict."""

from __future__ import annotations

import pytest

from fleet.stats.ratios import Estimate, welch
from fleet.stats.verdict import Higher, show_percent, verdict


def estimate(a: list[float], b: list[float]) -> Estimate:
    found = welch(a, b)
    assert found is not None
    return found


LEVEL = [100.0, 101.0, 99.0, 100.5, 99.5]
HIGHER = [x * 1.2 for x in LEVEL]


@pytest.mark.parametrize(
    ("a", "b", "higher", "word"),
    [
        (LEVEL, HIGHER, "faster", "faster"),
        (HIGHER, LEVEL, "faster", "slower"),
        (LEVEL, HIGHER, "slower", "slower"),
        (HIGHER, LEVEL, "slower", "faster"),
        (LEVEL, HIGHER, "more", "more"),
        (HIGHER, LEVEL, "more", "less"),
        (LEVEL, LEVEL, "faster", "same"),
        ([100.0, 120.0, 80.0], [104.0, 125.0, 83.0], "faster", "not resolved"),
    ],
)
def test_the_words_speak_of_speed_and_of_energy_by_its_amount(
    a: list[float], b: list[float], higher: Higher, word: str
) -> None:
    said = verdict(estimate(a, b), higher=higher)
    assert said.word == word


def test_not_resolved_says_what_could_have_been_seen() -> None:
    found = estimate([100.0, 103.0, 97.0], [101.0, 104.0, 98.0])
    said = verdict(found, higher="faster")
    assert said.word == "not resolved"
    assert said.reason == f"could see >= {show_percent(found.could_see)}"


@pytest.mark.parametrize(
    ("share", "shown"), [(0.032, "3.2 %"), (0.0999, "10.0 %"), (0.1, "10 %"), (0.48, "48 %")]
)
def test_a_share_has_a_digit_more_below_ten_per_cent(share: float, shown: str) -> None:
    assert show_percent(share) == shown


def test_p_after_holm_decides() -> None:
    found = estimate(LEVEL, HIGHER)
    said = verdict(found, higher="faster", p_adjusted=0.2)
    assert said.word == "not resolved"


def test_how_close_the_same_must_be_is_the_users() -> None:
    found = estimate([100.0, 101.0, 99.0], [100.5, 101.5, 99.5])
    near = verdict(found, higher="faster", same_within=0.05)
    assert (near.word, near.reason) == ("same", "the whole interval lies within 5 %")
    assert verdict(found, higher="faster", same_within=0.01).word == "not resolved"


def test_percent_as_a_person_says_it() -> None:
    assert (show_percent(0.0324), show_percent(0.48)) == ("3.2 %", "48 %")
