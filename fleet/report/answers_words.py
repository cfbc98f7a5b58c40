"""The words for answers side by side, the same on a page and in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.answers.nouns import (
    Agreement,
    AnswerColumn,
    Disagreement,
    FirstDifference,
    Score,
    Timed,
)
from fleet.units import show_count, show_ns, show_number, show_time

LONG_NS = 60 * 10**9
"""From here on a time is shown in minutes."""

HASHES_ONLY = "only hashes are known; `keep_text: true` in the job shows where they part"


def verdict_words(score: Score) -> str:
    """Return `yes`, `no (0.41)`, `0.41`, or why nothing could be decided."""
    value = "" if score.value is None else f"{score.value:.2f}"
    rest = ", ".join(filter(None, (value, score.note)))
    if score.passed is None:
        return rest
    word = "yes" if score.passed else "no"
    return f"{word} ({rest})" if rest else word


def figures(timed: Timed, *, thinks: bool) -> Iterator[tuple[str, str]]:
    """Name what is known of a request; without thinking the time to the first token is enough."""
    if timed.source:
        yield "source", timed.source
    times = (
        ("total", timed.total_ns),
        ("load", timed.load_ns),
        ("first token", timed.first_token_ns),
        ("first answer token", timed.first_answer_ns if thinks else None),
    )
    for name, duration_ns in times:
        if duration_ns is not None:
            long = duration_ns >= LONG_NS
            yield name, show_time(duration_ns) if long else show_ns(duration_ns)
    if timed.decode_tokens_per_s is not None:
        yield "decode", f"{show_number(timed.decode_tokens_per_s)} tokens/s"
    elif timed.machine:
        yield "decode", "too short for a rate"
    if timed.flags:
        yield "flags", timed.flags


def lengths(column: AnswerColumn) -> Iterator[tuple[str, str]]:
    """Name how long an answer is, and why it ended."""
    if column.output_tokens is not None:
        yield "tokens", str(column.output_tokens)
    yield "words", str(column.words)
    yield "characters", str(column.characters)
    if column.thinking:
        yield "thinking", show_count(column.thinking_words, "word")
    if column.ended:
        yield "ended", column.ended


def text_of(column: AnswerColumn) -> str:
    """Return the text, or why there is none."""
    if column.text.strip():
        return column.text.strip()
    if column.thinking:
        ended = f", {column.ended}" if column.ended else ""
        return f"(no answer: it only thought{ended})"
    return "(an empty answer)"


def place_of(difference: FirstDifference) -> str:
    """Say where two texts differ first."""
    if not difference.common_words:
        return f"they differ from the first word of the {difference.where} on"
    words = show_count(difference.common_words, "word")
    return f"they part after {words} of the {difference.where}"


def differing_prompts(pair: Disagreement) -> str:
    """Return `2 of 3 prompts (also differs: engine version 1 against 2)`."""
    also = f" (also differs: {pair.also})" if pair.also else ""
    return f"{pair.differing} of {show_count(pair.compared, 'prompt')}{also}"


def agreement_words(agreement: Agreement) -> str:
    """Say whether the same prompt always gave the same output."""
    outputs, prompts = agreement.requests, show_count(agreement.questions, "prompt")
    counts = f"{show_count(outputs, 'output')} to {prompts} on {', '.join(agreement.machines)}"
    if not agreement.repeated:
        return f"{counts}: no prompt was asked twice, so there is nothing to compare"
    if agreement.disagreements and all(each.with_drafts for each in agreement.disagreements):
        return f"{counts}: outputs differ, as those with drafts may"
    if agreement.disagreements:
        return f"{counts}: outputs differ where they should be the same"
    return f"{counts}: the same prompt always gave the same output"
