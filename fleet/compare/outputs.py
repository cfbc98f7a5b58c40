"""Outputs that should be equal, by their hashes; where they are not, and from which word on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import duckdb

from fleet.compare.partings import Texts, contrast
from fleet.compare.reader import Row, rows
from fleet.compare.views import question
from fleet.model.answers import Agreement, Disagreement

Question = tuple[str, str, str | None]
"""Job, point and prompt; no prompt where it was made to an exact length."""


def question_of(row: Row) -> Question:
    prompt = row["prompt"]
    return str(row["job"]), str(row["point"]), None if prompt is None else str(prompt)


def agreements(
    con: duckdb.DuckDBPyConnection,
    scope: Sequence[object],
    models: Sequence[str] = (),
    machines: Sequence[str] = (),
) -> dict[Question, list[Agreement]]:
    """By question, for each model and settings measured with temperature 0.

    `scope`: experiment and job, None for all. With `machines` only pairs of these are looked at.
    """
    found: dict[Question, list[Agreement]] = {}
    pairs_of = question("equal_outputs", prompt=question("prompt_text"))
    for _, group in groupby(rows(con, pairs_of, scope), key=_work):
        pairs: list[Any] = list(group)
        if models and pairs[0]["model"] not in models:
            continue
        if machines:
            pairs = [row for row in pairs if _between(row, machines)]
        if pairs:
            found.setdefault(question_of(pairs[0]), []).append(_agreement(con, pairs))
    return found


def _work(row: Row) -> tuple[object, ...]:
    names = ("job", "point", "job_content", "model", "digest", "engine", "settings")
    return tuple(row[name] for name in names)


def _between(row: Row, machines: Sequence[str]) -> bool:
    return {row["left_machine"], row["right_machine"]} <= set(machines)


def _agreement(con: duckdb.DuckDBPyConnection, pairs: Sequence[Mapping[str, Any]]) -> Agreement:
    first = pairs[0]
    return Agreement(
        model=first["model"],
        settings=first["settings"] or "",
        machines=tuple(first["machines"]),
        requests=first["requests"],
        questions=first["questions"],
        repeated=first["repeated"],
        disagreements=tuple(_disagreement(con, pair) for pair in pairs if pair["differing"]),
    )


def _disagreement(con: duckdb.DuckDBPyConnection, pair: Mapping[str, Any]) -> Disagreement:
    left, right = pair["example"]["left"], pair["example"]["right"]
    names = pair["left_machine"], pair["right_machine"]
    if names[0] == names[1]:
        names = f"{names[0]} once", f"{names[1]} again"
    versions = [side["engine_version"] for side in (left, right)]
    also = " against ".join(map(str, versions)) if versions[0] != versions[1] else ""
    one, other = _texts(con, left), _texts(con, right)
    return Disagreement(
        left=names[0],
        right=names[1],
        compared=pair["compared"],
        differing=pair["differing"],
        also=f"engine version {also}" if also else "",
        contrast=None if one is None or other is None else contrast(*names, one, other),
    )


def _texts(con: duckdb.DuckDBPyConnection, side: Mapping[str, Any]) -> Texts | None:
    if not side["has_text"]:
        return None
    [row, *_] = rows(con, question("text_of_request"), [side["attempt_id"], side["request"]])
    return str(row["thinking"] or ""), str(row["answer"] or "")
