"""Bytes of a model in a quantization, by the recipe of that quantization.

The exact bytes come from the tensors (`weights`). Where none are listed, and for quantizations
that nobody has downloaded yet, the recipe gives them: which part of a model is stored in how many
bits. The bits are those of llama-quantize: K-quants store half of the down and value matrices in
more bits (`use_more_bits`), the output matrix and a table that serves as one in Q6_K. Against the
files of the Ollama library whose tensors are known the recipes miss by less than 1 % (dense) and
2 % (mixtures); an interval of twice that is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.advisor.amounts import Certainty
from fleet.advisor.shape import ModelShape, Weights

FILE_ERROR = 0.003
"""Where the size of the file is known: the split into table and rest, and the metadata, remain."""

HEAD_BYTES = 12_000_000
"""The metadata of a GGUF file: the vocabulary, mostly; 6 to 14 MB in the library's files."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Bits for each weight by part, scales included."""

    dense: float
    experts: float
    table: float
    output: float
    error: float = 0.02


RECIPES: dict[str, Recipe] = {
    "F32": Recipe(32, 32, 32, 32, 0.005),
    "BF16": Recipe(16, 16, 16, 16, 0.005),
    "F16": Recipe(16, 16, 16, 16, 0.005),
    "Q8_0": Recipe(8.5, 8.5, 8.5, 8.5, 0.01),
    "Q6_K": Recipe(6.5625, 6.5625, 6.5625, 6.5625, 0.01),
    "Q5_K_M": Recipe(5.68, 5.7, 5.5, 6.5625),
    "Q5_K_S": Recipe(5.5, 5.5, 5.5, 6.5625),
    "Q5_0": Recipe(5.5, 5.5, 5.5, 6.5625),
    "Q4_K_M": Recipe(4.8, 4.845, 4.5, 6.5625),
    "Q4_K_S": Recipe(4.55, 4.55, 4.5, 6.5625),
    "Q4_1": Recipe(5.0, 5.0, 5.0, 6.5625),
    "Q4_0": Recipe(4.5, 4.5, 4.5, 6.5625),
    "IQ4_NL": Recipe(4.5, 4.5, 4.5, 6.5625),
    "IQ4_XS": Recipe(4.27, 4.27, 4.25, 6.5625),
    "Q3_K_L": Recipe(4.2, 4.2, 3.4375, 6.5625, 0.03),
    "Q3_K_M": Recipe(3.85, 3.85, 3.4375, 6.5625, 0.03),
    "Q3_K_S": Recipe(3.45, 3.45, 3.4375, 6.5625, 0.03),
    "Q2_K": Recipe(3.0, 2.9, 2.625, 6.5625, 0.05),
    "MXFP4": Recipe(16, 4.25, 16, 16, 0.01),
    "MXFP4_MOE": Recipe(8.5, 4.25, 8.5, 8.5, 0.01),
    "nvfp4": Recipe(5.4, 5.4, 8.25, 8.25, 0.08),
    "mxfp4": Recipe(5.3, 5.3, 8.25, 8.25, 0.08),
    "int4": Recipe(5.5, 5.5, 8.5, 8.5, 0.08),
    "mxfp8": Recipe(8.25, 8.25, 8.25, 8.25, 0.02),
    "int8": Recipe(8.5, 8.5, 8.5, 8.5, 0.02),
    "bfloat16": Recipe(16, 16, 16, 16, 0.005),
}
"""Capital letters: GGUF; small letters: Ollama's MLX formats, whose 4-bit mixes keep half of the
layers' sensitive matrices in the 8-bit type of the family."""

UNKNOWN_RECIPE = Recipe(4.85, 4.85, 4.85, 6.0, 0.25)


def recipe_of(quantization: str) -> Recipe:
    """Return the recipe of a quantization; of an unknown one a guess with a wide interval."""
    return RECIPES.get(quantization) or RECIPES.get(quantization.upper(), UNKNOWN_RECIPE)


def is_known(quantization: str) -> bool:
    return quantization in RECIPES or quantization.upper() in RECIPES


@dataclass(frozen=True, slots=True)
class Parts:
    """Parameters of the text model by what happens to them."""

    total: int
    table: int
    layer_table: int
    output: int
    experts: int

    @property
    def dense(self) -> int:
        return max(self.total - self.table - self.layer_table - self.output - self.experts, 0)


def parts_of(
    shape: ModelShape, parameters: int, *, tied: bool, expert_parameters: int | None = None
) -> Parts:
    """Split the parameters; experts have three matrices in every block unless more is known."""
    table = min(shape.vocabulary * shape.width, parameters)
    experts = expert_parameters or 0
    if expert_parameters is None and shape.experts is not None:
        each = 3 * shape.width * shape.experts.width
        experts = shape.experts.count * each * shape.blocks
    output = 0 if tied else table
    return Parts(
        total=parameters,
        table=table,
        layer_table=0,
        output=min(output, parameters - table),
        experts=min(experts, max(parameters - table - output, 0)),
    )


def weights_of(parts: Parts, quantization: str, *, tied: bool) -> Weights:
    """Return the bytes of these parameters in a quantization."""
    recipe = recipe_of(quantization)
    table = parts.table * (recipe.output if tied else recipe.table) / 8
    layer_table = parts.layer_table * recipe.table / 8
    experts = parts.experts * recipe.experts / 8
    rest = (parts.dense * recipe.dense + parts.output * recipe.output) / 8
    return Weights(
        text_bytes=round(table + layer_table + experts + rest),
        table_bytes=round(table + layer_table),
        tied=tied,
        tied_bytes=round(table) if tied else 0,
        expert_bytes=round(experts),
        parameters=parts.total,
        table_parameters=parts.table + parts.layer_table,
        expert_parameters=parts.experts,
        certainty=Certainty.MODELLED,
        error=recipe.error,
    )


def estimated_weights(
    shape: ModelShape, parameters: int | None, file_bytes: int | None
) -> Weights | None:
    """Weights where no tensors are listed; the size of the file, where it is known, decides."""
    recipe = recipe_of(shape.quantization)
    if parameters is None and file_bytes is None:
        return None
    if parameters is None:
        parameters = round(max((file_bytes or 0) - HEAD_BYTES, 0) * 8 / recipe.dense)
    parts = parts_of(shape, parameters, tied=False)
    weights = weights_of(parts, shape.quantization, tied=False)
    return weights if file_bytes is None else scaled_to_file(weights, file_bytes)


def scaled_to_file(
    weights: Weights, file_bytes: int, other_bytes: int = 0, head_bytes: int = HEAD_BYTES
) -> Weights:
    """Return the same split with the total that a file of this size has.

    `other_bytes` are no text.
    """
    text = max(file_bytes - head_bytes - other_bytes, 1)
    ratio = text / weights.text_bytes if weights.text_bytes else 1.0
    if not 0.5 < ratio < 2:
        return _all_scaled(weights, ratio)
    return replace(
        weights,
        certainty=Certainty.REPORTED,
        text_bytes=text,
        expert_bytes=round(weights.expert_bytes * ratio),
        error=min(weights.error, FILE_ERROR),
    )


def _all_scaled(weights: Weights, ratio: float) -> Weights:
    """Every part by the same ratio: the file and the quantization do not go together."""
    return replace(
        weights,
        text_bytes=round(weights.text_bytes * ratio),
        table_bytes=round(weights.table_bytes * ratio),
        tied_bytes=round(weights.tied_bytes * ratio),
        expert_bytes=round(weights.expert_bytes * ratio),
        error=UNKNOWN_RECIPE.error,
    )


def in_quantization(shape: ModelShape, quantization: str) -> ModelShape:
    """Return the same model in another quantization, by its recipe; projector and drafts stay."""
    weights_now = shape.weights
    output = 0 if weights_now.tied else shape.vocabulary * shape.width
    parts = Parts(
        total=weights_now.parameters,
        table=min(shape.vocabulary * shape.width, weights_now.table_parameters),
        layer_table=max(weights_now.table_parameters - shape.vocabulary * shape.width, 0),
        output=min(output, weights_now.parameters),
        experts=weights_now.expert_parameters,
    )
    weights = replace(
        weights_of(parts, quantization, tied=weights_now.tied),
        projector_bytes=weights_now.projector_bytes,
        draft_bytes=weights_now.draft_bytes,
    )
    return replace(shape, weights=weights, quantization=quantization)
