"""The shipped catalogue of models: whole, and found by the names that people type."""

from __future__ import annotations

import pytest

from fleet.advisor import models
from fleet.advisor.kv import cache_bytes
from fleet.advisor.setup import Setup
from fleet.errors import FleetError


def test_every_model_of_the_catalogue_is_whole() -> None:
    assert len(models.CATALOGUE) >= 60
    for entry in models.CATALOGUE:
        assert entry.source, entry.name
        for file in entry.files:
            shape = entry.shape(file.tag)
            assert 0 < shape.weights.expert_bytes + 1 <= shape.weights.text_bytes, entry.name
            assert shape.active_bytes, entry.name
            assert cache_bytes(shape, Setup(context=256)) > 0, entry.name


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("gpt-oss:120b", "MXFP4"), ("library/qwen3:14b", "Q4_K_M"), ("qwen3:14b-q8_0", "Q8_0"),
        ("qwen3-14b", "Q4_K_M"), ("qwen3.6:27b-mlx", "nvfp4"), ("Llama3.2:3B", "Q4_K_M"),
        ("gemma3:27b-it-q4_0", "Q4_0"), ("qwen3.6:27b-bf16", "bfloat16"),
    ],
)  # fmt: skip
def test_names_of_models(name: str, quantization: str) -> None:
    assert models.look_up(name).quantization == quantization


def test_a_wrong_name_has_the_nearest_one() -> None:
    with pytest.raises(FleetError, match="gpt-oss:120b"):
        models.look_up("gpt-os:120b")
