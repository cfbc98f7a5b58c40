"""Numbers and texts of an engine, at the door: what its quantity cannot have does not come in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines.incoming import (
    CONTEXT_TOKENS,
    DURATION_NS,
    QUANTITIES,
    SIZE_BYTES,
    TOKENS,
    json_of,
    refusal,
    text,
    whole,
    whole_characters,
)

NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.text() | st.lists(st.none())


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda quantity: f"{quantity}")
@given(value=NUMBERS)
def test_what_comes_in_is_within_its_bounds(quantity: Any, value: Any) -> None:
    number = whole(value, quantity)
    if number is not None:
        assert type(number) is int
        assert quantity.least <= number <= quantity.most
        assert number == value
    assert whole(quantity.least, quantity) == quantity.least
    assert whole(quantity.most, quantity) == quantity.most
    assert whole(quantity.least - 1, quantity) is None
    assert whole(quantity.most + 1, quantity) is None


@pytest.mark.parametrize(
    "value", [True, False, "12", -1, 2**63, 10**30, 1.5, float("nan"), float("inf"), None, [], {}]
)
def test_what_is_no_count_of_tokens_is_none(value: Any) -> None:
    assert whole(value, TOKENS) is None


def test_a_float_without_a_fraction_is_a_whole_number() -> None:
    assert whole(131072.0, CONTEXT_TOKENS) == 131_072
    assert whole(2.0**50, SIZE_BYTES) == 2**50
    assert whole(0, CONTEXT_TOKENS) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-123, "n is -123, and a duration is from 0 to 2592000000000000 ns"),
        ("1\x1b[31m2", "n is the text '1 [31m2', and a duration is"),
        ("x" * 99, f"n is the text '{'x' * 37}...', and"),
        (10**60, f"n is 1{'0' * 36}..., and"),
        ([1], "n is a list, and"),
        (True, "n is true, and"),
    ],
)
def test_a_refusal_says_what_came_and_what_may(value: Any, words: str) -> None:
    assert refusal("n", value, DURATION_NS).startswith(words)


def test_a_text_is_one_short_line_without_control_characters() -> None:
    assert text("a\r\n\x1b[2Jb\u202e\tc") == "a [2Jb c"
    assert text("x" * 300) == "x" * 197 + "..."
    assert text(None) == text(5) == text(["a"]) == ""


def test_half_a_surrogate_pair_is_joined_with_its_other_half_or_replaced() -> None:
    assert whole_characters("a" + "\ud83d" + "\ude42") == "a\U0001f642"
    assert whole_characters("a\ud83d") == "a\ufffd"
    assert whole_characters("grün \U0001f642") == "grün \U0001f642"


@pytest.mark.parametrize("body", [b"[" * 100_000, b"<html>", b"", b"\xff\xfe", b"9" * 5_000])
def test_whatever_is_no_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        json_of(body)
