"""The five words."""

from __future__ import annotations

import pytest

from fleet.compare.estimates import Estimate, welch
from fleet.compare.verdict import show_percent, verdict


def estimate(a: list[float], b: list[float]) -> Estimate:
    found = welch(a, b)
    assert found is not None
    return found


LEVEL = [100.0, 101.0, 99.0, 100.5, 99.5]
HIGHER = [x * 1.2 for x in LEVEL]


@pytest.mark.parametrize(
    ("a", "b", "higher_is_faster", "word"),
    [
        (LEVEL, HIGHER, True, "faster"),
        (HIGHER, LEVEL, True, "slower"),
        (LEVEL, HIGHER, False, "slower"),
        (HIGHER, LEVEL, False, "faster"),
        (LEVEL, LEVEL, True, "same"),
        ([100.0, 120.0, 80.0], [104.0, 125.0, 83.0], True, "not resolved"),
    ],
)
def test_the_words_speak_of_speed(
    a: list[float], b: list[float], higher_is_faster: bool, word: str
) -> None:
    said = verdict(estimate(a, b), higher_is_faster=higher_is_faster)
    assert said.word == word


def test_not_resolved_says_what_could_have_been_seen() -> None:
    found = estimate([100.0, 103.0, 97.0], [101.0, 104.0, 98.0])
    said = verdict(found, higher_is_faster=True)
    assert said.word == "not resolved"
    assert said.reason == f"could see >= {show_percent(found.could_see)}"


def test_p_after_holm_decides() -> None:
    found = estimate(LEVEL, HIGHER)
    said = verdict(found, higher_is_faster=True, p_adjusted=0.2)
    assert said.word == "not resolved"


def test_how_close_the_same_must_be_is_the_users() -> None:
    found = estimate([100.0, 101.0, 99.0], [100.5, 101.5, 99.5])
    near = verdict(found, higher_is_faster=True, same_within=0.05)
    assert (near.word, near.reason) == ("same", "the whole interval lies within 5 %")
    assert verdict(found, higher_is_faster=True, same_within=0.01).word == "not resolved"


def test_percent_as_a_person_says_it() -> None:
    assert (show_percent(0.0324), show_percent(0.48)) == ("3.2 %", "48 %")
