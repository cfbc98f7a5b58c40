"""Several models as one word of an experiment file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.config.reading import load_request
from fleet.errors import ConfigError
from fleet.model.experiment import Request
from fleet.model.model_set import ModelSet


def load(folder: Path, models: str) -> Request:
    path = folder / "x.yaml"
    path.write_text(f"version: 1\nname: x\nmodels: {models}\njobs: [chat]\n")
    return load_request(path)


def test_a_set_has_every_size_with_every_quantization() -> None:
    wanted = ModelSet(family="qwen3", sizes=("8b", "14b"), quantizations=("q4_K_M", "q8_0"))
    assert wanted.names() == (
        "qwen3:8b-q4_K_M", "qwen3:8b-q8_0", "qwen3:14b-q4_K_M", "qwen3:14b-q8_0",
    )  # fmt: skip
    assert ModelSet(family="gemma3", sizes=("4b",)).names() == ("gemma3:4b",)
    tuned = ModelSet(family="llama3.1", sizes=("8b",), variant="instruct", quantizations=("q8_0",))
    assert tuned.names() == ("llama3.1:8b-instruct-q8_0",)


def test_a_set_is_the_same_experiment_as_its_names_written_out(tmp_path: Path) -> None:
    short = load(tmp_path, "{family: qwen3, sizes: [8b, 14b]}")
    assert short == load(tmp_path, '["qwen3:8b", "qwen3:14b"]')
    assert Request.model_validate_json(short.model_dump_json()) == short


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("{family: qwen3}", "sizes is missing (a set has family, sizes, variant, quantizations)"),
        ("{sizes: [8b]}", "family is missing (a set has family, sizes, variant, quantizations)"),
        ("{family: q, size: [8b]}", "sizes is missing"),
        ("{family: q, sizes: [8b], quants: [x]}", "quants is no key of a model set"),
        ("{family: q, sizes: [a b]}", "sizes.0 is no part of a model's name"),
        ("{family: q, sizes: 8b}", "sizes must be a list"),
        ("{family: q, sizes: []}", "sizes needs at least one"),
        ("{}", "family is missing"),
        ("[]", "needs at least one"),
        ("5", "must be a list or a mapping, not 5"),
    ],
)
def test_a_mistake_in_a_set_stands_at_models(tmp_path: Path, models: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, models)
    (mistake,) = caught.value.mistakes
    assert (mistake.line, mistake.column, mistake.field) == (3, 9, "models")
    assert mistake.what.startswith(said)
