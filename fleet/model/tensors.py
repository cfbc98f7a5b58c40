"""Tensors of a model file: their name, type and shape, and the bytes that they take."""

from __future__ import annotations

import math
from dataclasses import dataclass

BLOCKS: dict[str, tuple[int, int]] = {
    "F64": (1, 8),
    "F32": (1, 4),
    "F16": (1, 2),
    "BF16": (1, 2),
    "I8": (1, 1),
    "I16": (1, 2),
    "I32": (1, 4),
    "I64": (1, 8),
    "Q4_0": (32, 18),
    "Q4_1": (32, 20),
    "Q5_0": (32, 22),
    "Q5_1": (32, 24),
    "Q8_0": (32, 34),
    "Q2_K": (256, 84),
    "Q3_K": (256, 110),
    "Q4_K": (256, 144),
    "Q5_K": (256, 176),
    "Q6_K": (256, 210),
    "Q8_K": (256, 292),
    "IQ1_S": (256, 50),
    "IQ1_M": (256, 56),
    "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74),
    "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98),
    "IQ3_S": (256, 110),
    "IQ4_NL": (32, 18),
    "IQ4_XS": (256, 136),
    "Q1_0": (128, 18),
    "TQ1_0": (256, 54),
    "TQ2_0": (256, 66),
    "MXFP4": (32, 17),
    "NVFP4": (64, 36),
    "MXFP8": (32, 33),
    "INT4": (64, 36),
    "INT8": (64, 68),
    "F8_E4M3": (1, 1),
    "F8_E5M2": (1, 1),
    "U8": (1, 1),
    "U16": (1, 2),
    "U32": (1, 4),
    "U64": (1, 8),
    "BOOL": (1, 1),
}
"""Tensor type to (elements, bytes) of one block: as ggml stores it, as MLX stores it with its
scales and biases (NVFP4 takes 16 elements and a scale of 8 bit in both), and the plain types of
safetensors."""

GGML_TYPES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}
"""The number of a type in a GGUF file to its name."""

MOST_ELEMENTS = 2**50
"""A tensor with more elements than this is a damaged or a forged entry."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as a file or an engine lists it; the shape has the row length first."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int | None:
        """The bytes of the tensor; None if its type or shape is not understood."""
        block = BLOCKS.get(self.type.upper())
        if block is None or any(size < 1 for size in self.shape):
            return None
        elements, block_bytes = block
        if self.elements > MOST_ELEMENTS:
            return None
        return -(-self.elements // elements) * block_bytes
