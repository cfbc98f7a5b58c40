"""A set of models in an experiment: a family in several sizes and quantizations."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from fleet.model.noun import LONGEST_NAME, ModelName, Noun

Part = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=LONGEST_NAME)]


class ModelSet(Noun):
    """Every size with every quantization, named as Ollama names them: `qwen3:8b-q4_K_M`."""

    family: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*$", max_length=LONGEST_NAME)
    """The part before the colon: `qwen3`."""
    sizes: tuple[Part, ...] = Field(min_length=1)
    """First part of the tag: `8b`."""
    variant: Part | None = None
    """The part between size and quantization, if a family has one: `instruct`."""
    quantizations: tuple[Part, ...] = ()
    """Last part of the tag: `q4_K_M`; left out: the one that Ollama uses for the size."""

    def names(self) -> tuple[str, ...]:
        """Return the names as written: all quantizations of a size before the next size."""
        return tuple(
            f"{self.family}:{'-'.join(filter(None, (size, self.variant, quantization)))}"
            for size, quantization in product(self.sizes, self.quantizations or (None,))
        )


MESSAGES = {
    "missing": "is missing",
    "extra_forbidden": "is no key of a model set",
    "string_pattern_mismatch": "is no part of a model's name",
    "string_too_long": "is too long",
    "too_short": "needs at least one",
    "tuple_type": "must be a list",
    "string_type": "must be text",
}


def _unfolded(value: Any) -> Any:
    if isinstance(value, dict):
        try:
            return ModelSet.model_validate(value).names()
        except ValidationError as problem:
            raise ValueError(_first(problem)) from None
    return tuple(value) if isinstance(value, list) else value


def _first(problem: ValidationError) -> str:
    """Return the first mistake in one line, since it becomes part of another message."""
    error = problem.errors(include_url=False)[0]
    where = ".".join(map(str, error["loc"]))
    known = ", ".join(ModelSet.model_fields)
    return f"{where} {MESSAGES.get(error['type'], error['msg'])} (a set has {known})"


Models = Annotated[
    tuple[ModelName, ...],
    BeforeValidator(_unfolded),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                ModelSet.model_json_schema(),
            ]
        }
    ),
]
"""A list of names, or a set of models."""
