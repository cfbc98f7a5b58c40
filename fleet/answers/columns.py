"""Makes the columns of a sheet: each output once, with its times and its scores. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fleet.answers.checks import score, similarity
from fleet.answers.nouns import AnswerColumn, Reference, Score, Timed
from fleet.model.checks import Check
from fleet.query.answers import KeptAnswer

DIGEST_LETTERS = 12


def columns_of(
    kept: Sequence[KeptAnswer], references: Sequence[Reference], checks: Sequence[Check]
) -> list[AnswerColumn]:
    """Make one column for each output; machines that gave the same one share it."""
    columns: dict[tuple[object, ...], list[KeptAnswer]] = {}
    for of in kept:
        same = (of.model, of.digest, of.engine, of.settings, of.think, of.answer, of.thinking)
        columns.setdefault(same, []).append(of)
    shared = _shared([_facts(each, kept) for each in kept])
    measured = [
        _column(own, " ".join(f for f in _facts(own[0], kept) if f not in shared))
        for own in columns.values()
    ]
    every = [*_titled(measured), *map(_reference, references)]
    return [_scored(each, references, checks) for each in every]


def _titled(answers: Sequence[AnswerColumn]) -> list[AnswerColumn]:
    """Title each answer by what tells it from the others of its model: settings, or a machine."""
    titled = []
    for each in answers:
        details = [other.details for other in answers if other.name == each.name]
        place = f"on {', '.join(timed.machine for timed in each.timed)}"
        parts = (
            each.details if len(set(details)) > 1 else "",
            place if details.count(each.details) > 1 else "",
        )
        titled.append(replace(each, title=" ".join(filter(None, (each.name, *parts)))))
    return titled


def _facts(of: KeptAnswer, kept: Sequence[KeptAnswer]) -> list[str]:
    """Return the settings of an answer, and what else may tell it from others."""
    digests = {other.digest for other in kept if other.model == of.model}
    return [
        *of.settings.split(),
        *([f"think={of.think}"] if of.think else []),
        f"engine={of.engine}",
        *([f"output_tokens={of.output_tokens_asked}"] if of.output_tokens_asked else []),
        *([f"digest={str(of.digest)[:DIGEST_LETTERS]}"] if len(digests) > 1 else []),
    ]


def _shared(facts: Sequence[Sequence[str]]) -> set[str]:
    return set(facts[0]).intersection(*facts[1:]) if facts else set()


def _column(kept: Sequence[KeptAnswer], details: str) -> AnswerColumn:
    first = kept[0]
    return AnswerColumn(
        name=first.model,
        title=first.model,
        details=details,
        text=first.answer,
        thinking=first.thinking,
        words=len(first.answer.split()),
        characters=len(first.answer),
        thinking_words=len(first.thinking.split()),
        output_tokens=first.output_tokens,
        ended=_ended(first),
        timed=tuple(map(_timed, kept)),
    )


def _ended(of: KeptAnswer) -> str:
    if of.done_reason == "length":
        return f"cut at {of.output_tokens} tokens"
    return "" if of.done_reason in (None, "stop") else str(of.done_reason)


def _timed(of: KeptAnswer) -> Timed:
    return Timed(
        machine=of.machine,
        trial_id=of.trial_id,
        request=of.request,
        total_ns=of.total_ns,
        load_ns=of.load_ns,
        first_token_ns=of.first_token_ns,
        first_answer_ns=of.first_answer_token_ns,
        decode_tokens_per_s=of.decode_tokens_per_s,
        flags=of.flags,
        source=f"imported: {of.source}" if of.imported else "",
    )


def _reference(given: Reference) -> AnswerColumn:
    return AnswerColumn(
        name=given.name,
        title=f"{given.name} (reference)",
        is_reference=True,
        details=given.source,
        text=given.text,
        words=len(given.text.split()),
        characters=len(given.text),
        output_tokens=given.tokens,
        timed=(Timed(machine="", total_ns=given.time_ns),),
    )


def _scored(
    answer: AnswerColumn, references: Sequence[Reference], checks: Sequence[Check]
) -> AnswerColumn:
    others = [each for each in references if not (answer.is_reference and each.text == answer.text)]
    scores = [
        score(check, answer.text, others)
        for check in dict.fromkeys(checks)
        if not (answer.is_reference and check.similar_to_reference is not None)
    ]
    compares = any(check.similar_to_reference is not None for check in checks)
    if not (compares and len(references) == 1) and not answer.is_reference:
        scores += [
            Score(check=f"similarity to {each.name}", value=similarity(answer.text, each.text))
            for each in references
        ]
    return replace(answer, scores=tuple(scores))
