"""The form of what people write in YAML: frozen, closed, each field with a description."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from fleet.units import span_s


class Noun(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def _reads_as_span(text: str) -> str:
    if span_s(text) <= 0:
        raise ValueError(f"{text!r} is no time at all")
    return text


Span = Annotated[str, AfterValidator(_reads_as_span)]
"""`45s`, `5m`, `1h30m`."""
