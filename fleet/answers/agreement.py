"""Outputs that should be equal, by their hashes; where they are not, and from which word on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from fleet.answers.nouns import Agreement, Disagreement
from fleet.answers.text_diff import Texts, contrast
from fleet.query.open_store import Connection, Row, rows
from fleet.query.views import question

SIDES = ("left", "right")

Key = tuple[str, int, int]
"""Attempt, the folder it lies in, and number of the request."""

Question = tuple[str, str, str | None]
"""Job, point and prompt; no prompt where it was made to an exact length."""


def question_of(row: Row) -> Question:
    prompt = row["prompt"]
    return str(row["job"]), str(row["point"]), None if prompt is None else str(prompt)


def agreements(
    con: Connection,
    scope: Sequence[object],
    models: Sequence[str] = (),
    machines: Sequence[str] = (),
) -> dict[Question, list[Agreement]]:
    """By question, for each model and settings measured with temperature 0.

    `scope`: experiment and job, None for all. With `machines` only pairs of these are looked at.
    """
    pairs_of = question("equal_outputs", prompt=question("prompt_text"))
    wanted: list[Any] = [
        row for row in rows(con, pairs_of, scope) if _is_wanted(row, models, machines)
    ]
    texts = _example_texts(con, wanted)
    found: dict[Question, list[Agreement]] = {}
    for _, group in groupby(wanted, key=_work):
        pairs = list(group)
        found.setdefault(question_of(pairs[0]), []).append(_agreement(pairs, texts))
    return found


def _is_wanted(row: Row, models: Sequence[str], machines: Sequence[str]) -> bool:
    pair = {row["left_machine"], row["right_machine"]}
    return (not models or row["model"] in models) and (not machines or pair <= set(machines))


def _work(row: Row) -> tuple[object, ...]:
    names = ("job", "point", "job_content", "model", "digest", "engine", "settings")
    return tuple(row[name] for name in names)


def _agreement(pairs: Sequence[Mapping[str, Any]], texts: Mapping[Key, Texts]) -> Agreement:
    first = pairs[0]
    return Agreement(
        model=first["model"],
        settings=first["settings"] or "",
        machines=tuple(first["machines"]),
        requests=first["requests"],
        questions=first["questions"],
        repeated=first["repeated"],
        disagreements=tuple(_disagreement(pair, texts) for pair in pairs if pair["differing"]),
    )


def _disagreement(pair: Mapping[str, Any], texts: Mapping[Key, Texts]) -> Disagreement:
    left, right = pair["example"]["left"], pair["example"]["right"]
    names = pair["left_machine"], pair["right_machine"]
    if names[0] == names[1]:
        names = f"{names[0]} once", f"{names[1]} again"
    versions = [side["engine_version"] for side in (left, right)]
    also = " against ".join(map(str, versions)) if versions[0] != versions[1] else ""
    one, other = texts.get(_key(left)), texts.get(_key(right))
    return Disagreement(
        left=names[0],
        right=names[1],
        compared=pair["compared"],
        differing=pair["differing"],
        also=f"engine version {also}" if also else "",
        contrast=None if one is None or other is None else contrast(*names, one, other),
    )


def _example_texts(con: Connection, pairs: Sequence[Mapping[str, Any]]) -> dict[Key, Texts]:
    """Of every example whose text was kept, read at once: each look opens all files."""
    sides = [pair["example"][side] for pair in pairs if pair["differing"] for side in SIDES]
    attempts = {side["attempt_id"] for side in sides if side["has_text"]}
    found = rows(con, question("texts_of_attempts"), [sorted(attempts)]) if attempts else []
    return {_key(row): (str(row["thinking"] or ""), str(row["answer"] or "")) for row in found}


def _key(side: Mapping[str, Any]) -> Key:
    return side["attempt_id"], side["folder"], side["request"]
