"""Checks of answers, and where two texts part. Pure but for the alarm that ends a pattern."""

from __future__ import annotations

import json
import re
import signal
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.answers import checks, text_diff
from fleet.answers.checks import score, similarity
from fleet.answers.text_diff import first_difference, pieces
from fleet.model.checks import Check
from fleet.model.job import Job
from fleet.report.answers_words import verdict_words
from fleet.terminal import cells, plain, wrapped
from tests.builders_answers import reference

words = st.lists(st.sampled_from(["gold", "is", "a", "Yellow", "\n", "  ", "metal."]), max_size=30)
texts = st.one_of(words.map(" ".join), st.text(max_size=60))


def passed(check: dict[str, Any], answer: str) -> bool | None:
    return score(Check.model_validate(check), answer, ()).passed


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"exact": " 42 "}, "42\n", "42."),
        ({"contains": "RELATIV"}, "it is Relativity", "it is"),
        ({"contains": "STRASSE"}, "die Straße", "die Strasze"),
        ({"regex": r"\b(5d|6s)\b"}, "the 5d shell", "the 15d shell"),
        ({"regex": "[[a]x"}, "[x", "x"),  # a FutureWarning of Python
        ({"json": True}, ' {"a": [1, NULL]} '.replace("NULL", "null"), '{"a": }'),
        ({"json": True}, "1" * 10_000, "NaN"),
        ({"json": True}, '"x"', "[" * 100_000),
    ],
)
def test_checks_tell_right_from_wrong(check: dict[str, Any], right: str, wrong: str) -> None:
    assert passed(check, right) is True
    assert passed(check, wrong) is False


def test_json_in_a_fence_is_told_apart() -> None:
    found = score(Check.model_validate({"json": True}), '```json\n{"a": 1}\n```', ())
    assert (found.passed, found.note) == (False, "only inside a code fence")


def test_a_pattern_that_would_never_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST_SECONDS", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    begun = time.monotonic()
    found = score(Check(regex="(a+)+$"), "a" * 64 + "b", ())
    assert time.monotonic() - begun < 30  # it would take longer than anybody lives
    assert found.passed is None
    assert found.note == "undecided: the pattern took more than 0.05 s"
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_long_answer_is_searched_as_far_as_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MOST_CHARACTERS", 5)
    assert score(Check(regex="gold"), "gold and more", ()).note == ""
    late = score(Check(regex="gold"), "later gold", ())
    assert (late.passed, late.note) == (False, "searched in the first 5 characters")


def test_similarity_by_hand() -> None:
    assert similarity("Gold is gold.", "gold") == pytest.approx(2 / 5**0.5)
    assert similarity("a b", "c d") == 0
    assert similarity("", "c d") == 0


@given(texts, texts)
def test_similarity_is_symmetric_and_between_0_and_1(left: str, right: str) -> None:
    assert similarity(left, right) == pytest.approx(similarity(right, left))
    assert 0 <= similarity(left, right) <= 1
    if re.search(r"\w", left):
        assert similarity(left, left) == pytest.approx(1)


def test_the_nearest_reference_counts_and_none_decides_nothing() -> None:
    check = Check(similar_to_reference=0.9)
    found = score(check, "gold", (reference("iron", name="a"), reference("gold", name="b")))
    assert (found.passed, found.value, found.note) == (True, pytest.approx(1), "to b")
    alone = score(check, "gold", ())
    assert (alone.passed, verdict_words(alone)) == (None, "no reference")


@given(texts, texts)
def test_common_part_and_rest_are_the_texts(left: str, right: str) -> None:
    found = first_difference(left, right)
    assert found.common + found.left == left
    assert found.common + found.right == right
    assert found.common_words == len(found.common.split())
    if left == right:
        assert (found.left, found.right) == ("", "")


@given(texts, texts)
def test_pieces_are_the_texts(left: str, right: str) -> None:
    found = list(pieces(left, right))
    assert "".join(text for kind, text in found if kind != "right") == left
    assert "".join(text for kind, text in found if kind != "left") == right
    assert all(text for _, text in found)


def test_pieces_part_between_words_and_never_within() -> None:
    assert list(pieces("gold is a yellow metal", "gold is a yellowish dense metal")) == [
        ("same", "gold is a "),
        ("left", "yellow"),
        ("right", "yellowish dense"),
        ("same", " metal"),
    ]


def test_what_is_too_long_to_match_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = "same a b c d end", "same x b c y end"
    assert ("same", " b c ") in list(pieces(left, right))
    monkeypatch.setattr(text_diff, "MOST_WORDS", 6)
    assert list(pieces(left, right)) == [
        *(("same", "same "), ("left", "a b c d"), ("right", "x b c y"), ("same", " end")),
    ]


@given(st.text(max_size=200), st.integers(36, 80))
def test_wrapped_lines_fit_and_lose_no_letter(text: str, width: int) -> None:
    shown = plain(text)
    for line in shown.split("\n"):
        lines = wrapped(line, width)
        assert all(cells(each) <= width for each in lines)
        assert "".join("".join(lines).split()) == "".join(line.split())


@given(st.text(max_size=80))
def test_plain_text_steers_nothing(text: str) -> None:
    shown = plain(text)
    steering = {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.category(letter) in steering for letter in shown if letter != "\n")
    assert plain(shown) == shown


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "exactly one"),
        ({"contains": "a", "exact": "b"}, "exactly one"),
        ({"contains": " "}, "is empty"),
        ({"regex": "(a"}, "no regular expression"),
        ({"regex": "a" * 2000}, "2000 characters"),
        ({"json": False}, "True"),
        ({"similar_to_reference": 1.5}, "less than or equal to 1"),
        ({"containz": "a"}, "Extra inputs"),
    ],
)
def test_a_check_that_is_none(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Check.model_validate(wrong)


def test_checks_travel_whole_and_are_no_part_of_the_identity() -> None:
    given = [{"contains": "gold"}, {"json": True}, {"similar_to_reference": 0.5}]
    job = Job.model_validate({"name": "gold", "prompt": "why", "checks": given})
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert [check.says() for check in job.checks] == [
        *('contains "gold"', "valid JSON", "similar to reference >= 0.5"),
    ]
    assert job.content() == Job(name="gold", prompt="why").content()
    assert json.loads(job.model_dump_json(exclude_none=True))["checks"] == given


@pytest.mark.parametrize(
    "wrong", [{"load": "trial"}, {"api": "generate", "points": [{"prompt_tokens": 64}]}]
)
def test_a_fixed_prompt_wants_a_fresh_load_and_a_text(wrong: dict[str, Any]) -> None:
    plain = {"name": "gold", "prompt": "why", "load": "request", "fixed_prompt": True}
    assert Job.model_validate(plain).content()["fixed_prompt"] is True
    with pytest.raises(ValidationError, match="fixed_prompt needs"):
        Job.model_validate({**plain, **wrong})
