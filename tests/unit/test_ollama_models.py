"""What `/api/show` tells of a model: active weights, thinking, the file."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.models import described, listed_models, loaded_models
from fleet.engines.ollama.weights import active_bytes, listed_tensors, read_for_each_token
from fleet.errors import RequestRefused
from fleet.model.job import Think
from fleet.model.machine import ModelFacts
from fleet.model.runners import runner_of
from tests.wire_ollama import WireModel, wire_ollama

BARE = ModelFacts(name="m", digest="d", size_bytes=1)


def tensor(name: str, kind: str, *shape: int) -> dict[str, object]:
    return {"name": name, "type": kind, "shape": list(shape)}


DENSE = [
    tensor("token_embd.weight", "Q4_K", 4096, 1000),
    tensor("blk.0.attn_q.weight", "Q4_K", 4096, 4096),
    tensor("output.weight", "Q6_K", 4096, 1000),
]
SPARSE = [
    *DENSE,
    tensor("blk.0.ffn_gate_exps.weight", "MXFP4", 2880, 2880, 32),
    tensor("blk.0.ffn_gate_exps.bias", "F32", 2880, 32),
    tensor("blk.0.ffn_gate_inp.weight", "F32", 2880, 32),
]
INFO = {
    "general.architecture": "gptoss",
    "gptoss.expert_count": 32,
    "gptoss.expert_used_count": 4,
}
Q, OUTPUT = 4096 * 4096 // 256 * 144, 4096 * 1000 // 256 * 210
EXPERTS, BIAS, ROUTER = 2880 * 2880 * 32 // 32 * 17, 2880 * 32 * 4, 2880 * 32 * 4


def test_the_table_of_words_is_not_read_for_each_token() -> None:
    assert active_bytes(listed_tensors(DENSE), {}) == Q + OUTPUT


def test_a_table_that_is_the_output_matrix_too_is_read_once() -> None:
    assert active_bytes(listed_tensors(DENSE[:2]), {}) == Q + 4096 * 1000 // 256 * 144


def test_names_of_a_checkpoint_tell_no_experts_and_no_tables() -> None:
    """As a newer Ollama lists the tensors of a model for MLX."""
    tensors = [
        tensor("model.embed_tokens.weight", "BF16", 2880, 1000),
        tensor("model.layers.0.mlp.experts.gate_up_proj.weight", "nvfp4", 2880, 2880, 32),
        tensor("lm_head.weight", "BF16", 2880, 1000),
    ]
    assert active_bytes(listed_tensors(tensors), INFO) is None


def test_of_experts_those_that_are_used() -> None:
    assert active_bytes(listed_tensors(SPARSE), INFO) == Q + OUTPUT + ROUTER + (EXPERTS + BIAS) // 8


def test_parts_for_pictures_and_rows_of_other_tables_take_no_part() -> None:
    sizes = {"output.weight": 5, "v.blk.0.w": 100, "mm.0.weight": 100, "per_layer_token_embd.w": 9}
    assert read_for_each_token(sizes, None, None) == 5


@pytest.mark.parametrize(
    ("tensors", "info"),
    [
        (SPARSE, {}),
        (SPARSE, {**INFO, "gptoss.expert_count": 0}),
        ([tensor("a", "Q9_X", 32)], INFO),
        ([], INFO),
        (None, INFO),
    ],
)
def test_unknown_stays_unknown(tensors: Any, info: dict[str, object]) -> None:
    assert active_bytes(listed_tensors(tensors), info) is None


@pytest.mark.parametrize(
    ("shown", "think"),
    [
        ({"capabilities": ["completion", "thinking"], "model_info": INFO}, "medium"),
        ({"capabilities": ["thinking"], "model_info": {"general.architecture": "qwen3"}}, True),
        ({"capabilities": ["completion"], "model_info": INFO}, None),
        ({"model_info": INFO}, None),
    ],
)
def test_what_leaving_thinking_out_would_mean(shown: dict[str, object], think: Think) -> None:
    assert described(BARE, shown).default_think == think


def test_what_is_in_memory_and_when_it_goes() -> None:
    told = [
        {"name": "a", "model": "a:latest", "expires_at": "2026-11-26T01:02:03.123456789Z"},
        {"name": "b:1", "expires_at": "2026-11-26T02:02:03.5+01:00"},
        {"name": "c:1", "expires_at": "soon"},
        {"name": "d:1", "expires_at": "2026-11-26T01:02:03"},
        {"name": "e:1"},
        "f",
    ]
    moment_ns = 1_795_654_923 * 10**9
    assert [(each.name, each.resident.expires_unix_ns) for each in loaded_models(told)] == [
        ("a:latest", moment_ns + 123_456_789),
        ("b:1", moment_ns + 500_000_000),
        ("c:1", None),
        ("d:1", None),
        ("e:1", None),
    ]
    assert loaded_models(None) == []


@pytest.mark.parametrize(
    ("modelfile", "file"),
    [
        (
            "# Modelfile\n# FROM m:latest\n\nFROM /m/blobs/sha256-aa\nTEMPLATE x\n",
            "/m/blobs/sha256-aa",
        ),
        ("FROM m:latest\n", None),
        (None, None),
    ],
)
def test_where_the_weights_lie(modelfile: str | None, file: str | None) -> None:
    assert described(BARE, {"modelfile": modelfile}).file == file


@pytest.mark.parametrize(
    "tensors",
    [
        [{"name": "a", "type": "F16", "shape": None}],
        [{"name": "a", "type": "Q4_K", "shape": ["256"]}],
        [{"name": "a", "type": "F16", "shape": [-1]}],
        [{"name": "a", "type": "F16", "shape": [2**40, 2**40]}],
        [{"name": "a", "type": None, "shape": [1]}],
        ["a"],
        "F16",
    ],
)
def test_odd_tensors_are_unknown(tensors: Any) -> None:
    found = described(BARE, {"tensors": tensors, "model_info": INFO})
    assert (found.tensors_bytes, found.active_bytes) == (None, None)


def test_numbers_that_cannot_be_are_unknown() -> None:
    info = {**INFO, "general.parameter_count": -1, "gptoss.context_length": 131072.0}
    found = described(BARE, {"model_info": info})
    assert (found.parameters, found.context_length) == (None, 131_072)
    sparse = {**INFO, "gptoss.expert_used_count": 64}  # of 32
    assert active_bytes(listed_tensors(SPARSE), sparse) is None


def test_what_is_in_memory_with_a_size_that_cannot_be_is_of_unknown_size() -> None:
    (found,) = loaded_models([{"model": "m", "size": 5, "size_vram": -5, "context_length": 0}])
    placed = found.placement
    assert (placed.size_bytes, placed.gpu_bytes, placed.context_length) == (5, None, None)


def test_the_list_of_models_leaves_out_what_has_no_name() -> None:
    entries = [
        {"name": "a:latest", "size": 10**9, "digest": "sha256:" + "d" * 64, "details": None},
        {"name": "b\x1b[31m", "size": -1, "digest": "d d", "details": {"family": ["x"]}},
        {"size": 5},
        None,
    ]
    found = [(m.name, m.size_bytes, m.digest, m.architecture) for m in listed_models(entries)]
    assert found == [("a:latest", 10**9, "d" * 64, None), ("b [31m", 0, "", None)]
    assert listed_models({"a": 1}) == []


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"remote_host": "https://ollama.com"}, "runs in the cloud, not on this machine"),
        ({"remote_model": "m"}, "runs in the cloud, not on this machine"),
        ({"capabilities": ["embedding"]}, "writes no text, it is for embedding"),
        ({"capabilities": ["completion", "thinking"]}, ""),
        ({"capabilities": []}, ""),
        ({}, ""),
    ],
)
def test_what_cannot_be_measured_says_why(entry: dict[str, object], why: str) -> None:
    (facts,) = listed_models([{"name": "m", **entry}])
    assert facts.unmeasurable == why
    assert described(BARE, entry).unmeasurable == why


HF = [
    tensor("model.embed_tokens.weight", "BF16", 1000, 4096),
    tensor("model.layers.0.mlp.down_proj.weight", "nvfp4", 4096, 4096),
    tensor("model.layers.0.self_attn.q_proj.weight", "mxfp8", 4096, 4096),
    tensor("vision_tower.layers.0.q_proj.weight", "BF16", 4096, 4096),
    tensor("mtp.layers.0.q_proj.weight", "BF16", 4096, 4096),
]
SQUARE = 4096 * 4096


def test_of_a_checkpoint_layers_and_the_output_matrix_are_read() -> None:
    """nvfp4 has 4.5 bits and mxfp8 8.25, with their scales; the draft head is another model."""
    layers = SQUARE * 9 // 16 + SQUARE * 33 // 32
    assert active_bytes(listed_tensors(HF), {}) == layers + 1000 * 4096 * 2  # tied
    head = tensor("lm_head.weight", "mxfp8", 1000, 4096)
    assert active_bytes(listed_tensors([*HF, head]), {}) == layers + 1000 * 4096 * 33 // 32


@pytest.mark.parametrize(
    ("model_format", "tensors", "drafts"),
    [
        ("safetensors", HF, "yes"),
        ("safetensors", [tensor("draft.fc.weight", "BF16", 8)], "yes"),
        ("safetensors", HF[:3], "no"),
        ("safetensors", [], None),
        ("gguf", HF, "no"),
        (None, HF, None),
    ],
)
def test_a_draft_head_is_used_where_there_is_one(
    model_format: str | None, tensors: list[dict[str, object]], drafts: str | None
) -> None:
    found = described(BARE, {"details": {"format": model_format}, "tensors": tensors})
    assert (found.model_format, found.drafts) == (model_format, drafts)


def test_bits_of_a_weight_are_those_of_the_text() -> None:
    layers = described(BARE, {"tensors": HF[1:3]}).bits_per_weight
    assert layers == round((4.5 + 8.25) / 2, 3)
    assert described(BARE, {"tensors": [*HF[1:3], *HF[3:]]}).bits_per_weight == layers


def test_a_shadow_row_is_no_model() -> None:
    rows = [{"name": "m:1"}, {"name": f"llamacpp:{'0a' * 32}"}]
    assert [facts.name for facts in listed_models(rows)] == ["m:1"]


@pytest.mark.parametrize(
    ("engine", "version", "model_format", "runner"),
    [
        ("ollama", "0.34.4", "gguf", "llama-server"),
        ("ollama", "0.30.0-rc1", "gguf", "llama-server"),
        ("simulated", "0.24.0", "gguf", "older engine"),
        ("ollama", "0.32.15", "safetensors", "mlx"),
        ("ollama", "unknown", "gguf", None),
        ("ollama", "0.34.4", None, None),
        ("embedded", "b10", "gguf", "llama.cpp"),
    ],
)
def test_the_runner_follows_from_format_and_version(
    engine: str, version: str, model_format: str | None, runner: str | None
) -> None:
    assert runner_of(engine, version, model_format) == runner


@pytest.mark.parametrize(
    ("shown", "digest"),
    [("safetensors", "b"), ("gguf", "a"), ("exl3", None), ("", None)],
)
def test_of_two_models_under_one_name_the_described_one_is_taken(
    shown: str, digest: str | None
) -> None:
    """As Ollama 0.40 lists the variants of a model; a measurement must be of one of them."""
    details = {"format": "safetensors"}
    other = {"name": "m:1", "model": "m:1", "digest": "b" * 64, "details": details}
    described = {"details": {"format": shown}}
    own = WireModel(tag={"digest": "a" * 64}, shown=described, in_memory={"digest": "b" * 64})
    with wire_ollama({"m:1": own, "x:1": WireModel(tag=other)}) as server:
        engine = Ollama(f"http://{server.host}", clock=SystemClock())
        [listed] = engine.models()
        engine.load("m:1", {"num_ctx": 8})
        placement = engine.placement("m:1")
        assert placement is not None
        assert placement.digest == "b" * 64
        if digest is None:
            words = r"m:1 is 2 models: gguf a{12}, safetensors b{12}; name one .* as in m:1-mlx"
            with pytest.raises(RequestRefused, match=words):
                engine.describe("m:1")
            assert listed.unmeasurable.startswith("is 2 models")
        else:
            others = {"a", "b"} - {digest}
            for facts in (listed, engine.describe("m:1")):
                assert facts.digest == digest * 64
                assert facts.other_digests == tuple(letter * 64 for letter in others)
                assert facts.unmeasurable == ""
        del server.models["x:1"]
        assert engine.describe("m:1").digest == "a" * 64
