"""Checks of an answer: a job declares them, and `fleet answers` applies them."""

from __future__ import annotations

import re
import warnings
from typing import Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from fleet.model.noun import Noun

LONGEST_PATTERN = 1000


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the compiled pattern, without warnings about later Pythons; raises re.error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(pattern)


class Check(Noun):
    """One thing an answer should be; exactly one of these keys."""

    model_config = ConfigDict(serialize_by_alias=True)

    exact: str | None = None
    """The whole answer, without the white space around it."""
    contains: str | None = None
    """A part of the answer, in any case."""
    regex: str | None = None
    """A Python regular expression that matches somewhere in the answer."""
    is_json: Literal[True] | None = Field(default=None, alias="json")
    """true: the whole answer is valid JSON."""
    similar_to_reference: float | None = Field(default=None, ge=0, le=1)
    """The least similarity to the nearest reference: cosine of the word counts, 0 to 1."""
    point: str | None = None
    """The name of the point whose answers are checked; left out: all points."""

    @field_validator("exact", "contains", "regex")
    @classmethod
    def _says_something(cls, text: str | None) -> str | None:
        if text is not None and not text.strip():
            raise ValueError("is empty")
        return text

    @field_validator("regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None and len(pattern) > LONGEST_PATTERN:
            raise ValueError(f"has {len(pattern)} characters, more than {LONGEST_PATTERN}")
        try:
            compiled(pattern or "")
        except (re.error, RecursionError, OverflowError) as problem:
            raise ValueError(f"is no regular expression: {problem}") from None
        return pattern

    @model_validator(mode="after")
    def _is_one(self) -> Check:
        if len(self._given()) != 1:
            raise ValueError(f"needs exactly one of {', '.join(CHECK_KINDS)}")
        return self

    def given(self) -> tuple[str, str | float | bool]:
        """Return the kind of check as written in YAML, and its value."""
        [(kind, value)] = self._given().items()
        return kind, value

    def says(self) -> str:
        """Return its name in tables: `contains "gold"`, `similar to reference >= 0.6`."""
        kind, value = self.given()
        if kind == "json":
            return "valid JSON"
        if kind == "similar_to_reference":
            return f"similar to reference >= {value:g}"
        return f'{kind} "{value}"'

    def _given(self) -> dict[str, str | float | bool]:
        return self.model_dump(exclude_none=True, exclude={"point"})


CHECK_KINDS = tuple(
    field.alias or name for name, field in Check.model_fields.items() if name != "point"
)
