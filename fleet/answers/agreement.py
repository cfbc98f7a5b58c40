"""Compares outputs that should be equal by their hashes, and finds where their texts differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from fleet.answers.nouns import Agreement, Disagreement
from fleet.answers.text_diff import Texts, text_contrast
from fleet.query.answers import (
    AnswerScope,
    Example,
    OutputPair,
    QuestionKey,
    TextKey,
    kept_texts,
    output_pairs,
)
from fleet.query.open_store import Connection


def agreements(
    con: Connection,
    scope: AnswerScope,
    models: Sequence[str] = (),
    machines: Sequence[str] = (),
) -> dict[QuestionKey, list[Agreement]]:
    """Compare the outputs of each question, model and settings measured with temperature 0.

    With `machines` only pairs of these are looked at.
    """
    pairs = [each for each in output_pairs(con, scope) if _is_wanted(each, models, machines)]
    texts = _example_texts(con, pairs)
    by_question: dict[QuestionKey, list[Agreement]] = {}
    for _, group in groupby(pairs, key=lambda each: each.work):
        own = list(group)
        by_question.setdefault(own[0].question, []).append(_agreement(own, texts))
    return by_question


def _is_wanted(pair: OutputPair, models: Sequence[str], machines: Sequence[str]) -> bool:
    both = {pair.left_machine, pair.right_machine}
    return (not models or pair.model in models) and (not machines or both <= set(machines))


def _agreement(pairs: Sequence[OutputPair], texts: Mapping[TextKey, Texts]) -> Agreement:
    first = pairs[0]
    return Agreement(
        model=first.model,
        settings=first.settings,
        machines=tuple(first.machines),
        requests=first.requests,
        questions=first.questions,
        repeated=first.repeated,
        disagreements=tuple(_disagreement(pair, texts) for pair in pairs if pair.differing),
    )


def _disagreement(pair: OutputPair, texts: Mapping[TextKey, Texts]) -> Disagreement:
    names = pair.left_machine, pair.right_machine
    if names[0] == names[1]:
        names = f"{names[0]} once", f"{names[1]} again"
    left, right = pair.examples
    of_left, of_right = texts.get(left.key), texts.get(right.key)
    return Disagreement(
        left=names[0],
        right=names[1],
        compared=pair.compared,
        differing=pair.differing,
        also=", ".join(_also(left, right)),
        with_drafts="yes" in (left.drafts, right.drafts),
        contrast=(
            text_contrast(*names, of_left, of_right)
            if of_left is not None and of_right is not None
            else None
        ),
    )


def _also(left: Example, right: Example) -> Iterator[str]:
    """Yield what else differs between two outputs, and may be why they do."""
    for words, one, other in (
        ("engine version", left.engine_version, right.engine_version),
        ("MLX library", left.mlx_library, right.mlx_library),
    ):
        if one != other:
            yield f"{words} {one} against {other}"


def _example_texts(con: Connection, pairs: Sequence[OutputPair]) -> dict[TextKey, Texts]:
    """Read the text of every example of which one was kept."""
    examples = [example for pair in pairs if pair.differing for example in pair.examples]
    return kept_texts(con, sorted({each.attempt_id for each in examples if each.has_text}))
