"""Ollama's errors by the table: (status, text) to what it means for the trial."""

from __future__ import annotations

import httpx
import pytest

from fleet.engines.ollama.failures import Place, classify, error_text, failure, translated
from fleet.errors import (
    EngineBusy,
    EngineUnreachable,
    ModelMissing,
    OutOfMemory,
    RequestRefused,
    StreamBroken,
    TransientError,
    TrialError,
)

TABLE: list[tuple[int, str, type[TrialError]]] = [
    (404, "model 'gpt-oss:20b' not found", ModelMissing),
    (404, 'model "gpt-oss:20b" not found, try pulling it first', ModelMissing),
    (404, "model '' not found", ModelMissing),
    (500, "pull model manifest: file does not exist", ModelMissing),
    (404, "404 page not found", RequestRefused),
    (405, "405 method not allowed", RequestRefused),
    (400, "model is required", RequestRefused),
    (400, "invalid model name", RequestRefused),
    (400, "raw mode does not support template, system, or context", RequestRefused),
    (400, '"tiny-llama" does not support thinking', RequestRefused),
    (400, "request (601 tokens) exceeds the available context size (256 tokens)", RequestRefused),
    (400, "the input length exceeds the context length", RequestRefused),
    (400, "the prompt is longer than the context length currently available", RequestRefused),
    (403, "cloud is disabled", RequestRefused),
    (500, 'option "num_ctx" must be of type integer', RequestRefused),
    (500, "invalid format: expected a schema", RequestRefused),
    (501, "This server does not support embeddings.", RequestRefused),
    (500, "error loading model: this model may be incompatible with your version", RequestRefused),
    (500, "llama-server process has terminated: exit status 1", RequestRefused),
    (500, "quantized V cache requires flash_attn to be enabled", RequestRefused),
    (
        503,
        "server busy, please try again.  maximum pending requests exceeded",
        EngineBusy,
    ),
    (503, "", EngineBusy),
    (
        500,
        "model requires more system memory (60.0 GiB) than is available (15.0 GiB)",
        OutOfMemory,
    ),
    (500, "memory layout cannot be allocated with num_gpu = 99", OutOfMemory),
    (500, "unable to load full model on GPU", OutOfMemory),
    (
        500,
        "llama-server reported out-of-memory during startup: cudaMalloc failed",
        OutOfMemory,
    ),
    (500, "llama-server process has terminated: signal: killed", OutOfMemory),
    (500, "llama-server process has terminated: signal: aborted", StreamBroken),
    (
        500,
        "model requires 60.1 GiB but only 43.0 GiB are available (after 1.0 GiB overhead)",
        OutOfMemory,
    ),
    (500, "mlx runner failed:  (exit: signal: killed)", OutOfMemory),
    (500, "mlx runner failed: Error: unsupported architecture: X (exit: ...)", RequestRefused),
    (
        500,
        "mlx runner failed: Error: MLX not available: failed to load MLX dynamic library "
        "(searched: [/a]) (exit: exit status 1)",
        RequestRefused,
    ),
    (
        500,
        "this model requires MLX support, but the MLX runtime is not available",
        RequestRefused,
    ),
    (
        400,
        "input length (601 tokens) exceeds the model's maximum context length (512 tokens)",
        RequestRefused,
    ),
    (200, "prediction aborted, token repeat limit reached", RequestRefused),
    (501, "structured output is unavailable", RequestRefused),
    (500, "mlx runner exited unexpectedly", StreamBroken),
    (500, "timeout waiting for mlx runner to start", TransientError),
    (
        200,
        "an error was encountered while running the model: unexpected EOF",
        StreamBroken,
    ),
    (
        500,
        "model runner has unexpectedly stopped, this may be due to resource limitations",
        StreamBroken,
    ),
    (499, "request canceled", StreamBroken),
    (200, "something new in mid-stream", StreamBroken),
    (500, "timed out waiting for llama runner to start - progress 0.99 -", TransientError),
    (500, "timed out waiting for llama-server to start", TransientError),
    (500, "something new", TransientError),
    (502, "Bad Gateway", EngineUnreachable),
    (504, "", EngineUnreachable),
    (307, "moved", RequestRefused),
]


@pytest.mark.parametrize(("status", "text", "kind"), TABLE)
def test_the_table(status: int, text: str, kind: type[TrialError]) -> None:
    assert classify(status, text) is kind


def test_the_message_inside_the_message() -> None:
    inner = (
        '{"error":{"code":400,"message":"request (601 tokens) exceeds the available context size'
        ' (256 tokens), try increasing it","type":"exceed_context_size_error"}}'
    )
    body = httpx.Response(400, json={"error": inner}).content
    assert error_text(body).startswith("request (601 tokens) exceeds")
    assert error_text(b"404 page not found\n") == "404 page not found"
    assert error_text(b'{"error": "plain"}') == "plain"
    assert error_text(b"\xff{") == "\N{REPLACEMENT CHARACTER}{"
    assert error_text(b'{"something": "else"}') == '{"something": "else"}'


def test_a_failure_says_what_was_tried_and_the_hint() -> None:
    problem = failure(404, b'{"error":"model \'x\' not found"}', "loading x", "x")
    assert str(problem) == "loading x: model 'x' not found\n  ollama pull x"
    assert failure(500, b"", "loading x").what == "loading x: status 500"


@pytest.mark.parametrize(
    "problem", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), ValueError("no JSON")]
)
def test_what_httpx_raises_names_the_address(problem: Exception) -> None:
    with (
        pytest.raises(EngineUnreachable, match="http://there:1") as raised,
        translated(Place("http://there:1")),
    ):
        raise problem
    assert raised.value.hint
