"""The law of an import: what a text prints is stored, or named as not read, figure by figure."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fleet.store.transcript_figures import MOST_NS, MOST_TOKENS
from fleet.store.transcripts import Transcript, read_contents
from tests.builders_transcripts import Paste, go_duration

FIGURES = (
    *("total_ns", "load_ns", "prompt_tokens", "cached_tokens", "prompt_ns"),
    *("output_tokens", "output_ns"),
)
LABEL = re.compile(r"\b(?:total|load) duration:|\beval (?:count|cached|duration|rate):")
S = 10**9


@given(st.integers(0, 2**48))
def test_every_figure_of_a_paste_is_read_to_the_nanosecond_or_named(seed: int) -> None:
    paste = Paste(seed)
    contents = read_contents(paste.text())
    assert contents.refused == ()
    assert [
        {
            **{name: getattr(turn, name) for name in ("line", "model", "prompt", "turn")},
            **{name: getattr(turn, name) for name in FIGURES},
            "day": turn.date.day.date() if turn.date and turn.date.day else None,
        }
        for turn in contents.transcripts
    ] == paste.expected.turns
    assert [(each.line, each.text) for each in contents.unread] == paste.expected.unread
    assert contents.printed == paste.expected.printed


@given(
    st.integers(0, 2**48),
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from("0:-.,ms \n|#>`*9\x00\u00a0")), max_size=20
    ),
)
def test_a_damaged_paste_loses_no_label_and_gives_no_value_that_cannot_be(
    seed: int, damages: list[tuple[float, str]]
) -> None:
    text = Paste(seed).text()
    for place, letter in damages:
        at = int(place * len(text))
        text = text[:at] + letter + text[at + 1 :]
    contents = read_contents(text)
    labels = len(LABEL.findall(text.replace("\u00a0", " ").replace("**", "")))
    assert contents.printed >= labels
    for turn in contents.transcripts:
        for name in FIGURES:
            most = MOST_NS if name.endswith("_ns") else MOST_TOKENS
            assert 0 <= (getattr(turn, name) or 0) <= most


EXACT = st.integers(S // 100, 10 * S).map(lambda tens: 10 * tens + 1)
"""Nanoseconds to the last digit: of `1s` nobody knows what was rounded to it."""


def block(total: int, prompt: tuple[int, int, float], output: tuple[int, int, float]) -> str:
    return "\n".join(
        (
            "$ ollama run m --verbose hi",
            f"total duration: {go_duration(total)}",
            f"prompt eval count: {prompt[0]} token(s)",
            f"prompt eval duration: {go_duration(prompt[1])}",
            f"prompt eval rate: {prompt[2]:.2f} tokens/s",
            f"eval count: {output[0]} token(s)",
            f"eval duration: {go_duration(output[1])}",
            f"eval rate: {output[2]:.2f} tokens/s\n",
        )
    )


@given(
    prompt=st.tuples(st.integers(100, 10**6), EXACT),
    output=st.tuples(st.integers(100, 10**5), EXACT),
    factor=st.sampled_from([0.1, 0.5, 0.9, 1.1, 2, 10]),
    which=st.integers(0, 5),
)
def test_a_figure_that_contradicts_the_others_refuses_its_turn_whole(
    prompt: tuple[int, int], output: tuple[int, int], factor: float, which: int
) -> None:
    """One of count, time and rate, of the prompt or of the output, is wrong by a tenth or more."""
    figures = [[*each, each[0] / (each[1] / S)] for each in (prompt, output)]
    total = prompt[1] + output[1]
    [good] = read_contents(block(total, tuple(figures[0]), tuple(figures[1]))).transcripts  # type: ignore[arg-type]
    assert (good.prompt_ns, good.output_ns, good.figures) == (prompt[1], output[1], 7)
    side, place = divmod(which, 3)
    wrong = figures[side][place] * factor
    figures[side][place] = wrong if place == 2 else round(wrong)
    total = sum(int(each[1]) for each in figures)
    contents = read_contents(block(total, tuple(figures[0]), tuple(figures[1])))  # type: ignore[arg-type]
    assert contents.transcripts == ()
    assert [turn.figures for turn in contents.refused] == [7]
    assert ("prompt eval" if side == 0 else "eval rate") in contents.refused[0].why
    assert contents.printed == 7


@given(parts=st.tuples(EXACT, EXACT), share=st.floats(0.01, 0.95))
def test_parts_that_are_longer_than_the_whole_refuse_their_turn(
    parts: tuple[int, int], share: float
) -> None:
    figures = [(1000, part, 1000 / (part / S)) for part in parts]
    [refused] = read_contents(block(round(share * sum(parts)), figures[0], figures[1])).refused
    assert "is more than total duration" in refused.why
    [turn] = read_contents(block(sum(parts) + 1, figures[0], figures[1])).transcripts
    assert isinstance(turn, Transcript)
