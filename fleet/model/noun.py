"""The base of everything that people write in YAML: frozen, closed, with described fields."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from fleet.terminal import plain
from fleet.units import span_s

LONGEST_NAME = 100
"""File names consist of a name with something before and after it; 255 bytes hold them all."""
LONGEST_LABEL = 200


class Noun(BaseModel):
    """A frozen value that YAML describes; unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _reads_as_span(text: str) -> str:
    if span_s(text) <= 0:
        raise ValueError(f"{text!r} is no time at all")
    return text


Span = Annotated[str, AfterValidator(_reads_as_span)]
"""A span of time: `45s`, `5m`, `1h30m`."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)]
"""The name of an experiment or a job."""


def label_mistake(text: str) -> str | None:
    """Return why this cannot name a model, a machine or a line of a table; None: it can."""
    if not text.strip():
        return "a name is empty"
    if text != text.strip():
        return f"'{plain(text)}' has a space at its beginning or end"
    if plain(text) != text or "\n" in text:
        return f"'{plain(text)}' holds a character that cannot be printed in a line"
    if len(text) > LONGEST_LABEL:
        return f"is longer than {LONGEST_LABEL} characters"
    return None


def _reads_as_label(text: str) -> str:
    mistake = label_mistake(text)
    if mistake:
        raise ValueError(mistake)
    return text


Label = Annotated[str, AfterValidator(_reads_as_label)]
"""A name that somebody gave to a machine or a point."""


def model_name_mistake(text: str) -> str | None:
    """Return why this cannot name a model: as for a label, and without spaces."""
    mistake = label_mistake(text)
    if mistake is None and len(text.split()) > 1:
        return f"'{text}' has a space in it: no model is named so"
    return mistake


def _reads_as_model_name(text: str) -> str:
    mistake = model_name_mistake(text)
    if mistake:
        raise ValueError(mistake)
    return text


ModelName = Annotated[str, AfterValidator(_reads_as_model_name)]
