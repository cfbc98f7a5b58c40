"""What Ollama's errors mean: (status, text) to a kind of TrialError.

The texts are those of Ollama 0.11 to 0.34, of the llama-server inside it, and of its MLX runner. A
runner that died or a stall may go well next time; what the request or the model file says will not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from fleet.engines.incoming import LONGEST_MESSAGE, json_of, text
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

BY_TEXT: tuple[tuple[re.Pattern[str], type[TrialError]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (
            r"requires more system memory|memory layout cannot be allocated"
            r"|unable to load full model on GPU|out[- ]of[- ]memory|cannot allocate memory"
            r"|failed to allocate|has terminated: signal: killed"
            r"|model requires .* but only .* (?:is|are) available"
            r"|mlx runner failed.*signal: killed",
            OutOfMemory,
        ),
        (
            r"model may be incompatible|has terminated: exit status|unsupported architecture"
            r"|MLX not available|requires MLX support|exceeds the model's maximum context"
            r"|token repeat limit reached",
            RequestRefused,
        ),
        (r"\bmodel ['\"].*['\"] not found|file does not exist|try pulling it first", ModelMissing),
        (r"server busy|maximum pending requests exceeded", EngineBusy),
        (
            r"error was encountered while running the model|unexpectedly stopped|unexpected EOF"
            r"|has terminated|connection reset|broken pipe|mlx runner exited unexpectedly",
            StreamBroken,
        ),
        (r"timed out waiting for ll?ama|timeout waiting for mlx runner", TransientError),
        (r"^option \"|^invalid (format|option)|requires flash_attn", RequestRefused),
    )
)
BY_STATUS: dict[int, type[TrialError]] = {
    408: EngineBusy,
    429: EngineBusy,
    499: StreamBroken,
    501: RequestRefused,
    502: EngineUnreachable,
    503: EngineBusy,
    504: EngineUnreachable,
}
MENDS: dict[type[TrialError], str] = {
    EngineBusy: "wait until nothing else uses this Ollama",
    OutOfMemory: "a smaller num_ctx or num_gpu (for MLX a smaller model), or a machine with more "
    "memory",
}


def classify(status: int, message: str) -> type[TrialError]:
    """Return the kind of error; `status` 200 stands for an error line inside a stream."""
    for pattern, kind in BY_TEXT:
        if pattern.search(message):
            return kind
    if status in BY_STATUS:
        return BY_STATUS[status]
    if status == 200:
        return StreamBroken
    return RequestRefused if 300 <= status < 500 else TransientError


def error_text(body: bytes | str) -> str:
    """Return the message in an error body; llama-server's own JSON may sit inside as text."""
    message = body.decode(errors="replace") if isinstance(body, bytes) else body
    for _ in range(3):
        inner = _inner_message(message)
        if inner is None:
            break
        message = inner
    return text(message, LONGEST_MESSAGE)


def _inner_message(message: str) -> str | None:
    try:
        value = json_of(message)
    except ValueError:
        return None
    for key in ("error", "message"):
        while isinstance(value, dict) and key in value:
            value = value[key]
    return value if isinstance(value, str) else None


def failure(status: int, body: bytes | str, doing: str, model: str = "") -> TrialError:
    """Return the error to raise; `doing` is what was tried, in words."""
    message = error_text(body) or f"status {status}"
    kind = classify(status, message)
    hint = f"ollama pull {model}" if kind is ModelMissing and model else MENDS.get(kind, "")
    return kind(f"{doing}: {message}", hint)


@dataclass(frozen=True, slots=True)
class Place:
    """The address of an Ollama, and what its user types where none answers there."""

    base_url: str
    start: str = "ollama serve"
    named_by: str = "engine.host, or OLLAMA_HOST"
    """What gives the address."""


def unreachable(place: Place, problem: object) -> EngineUnreachable:
    why = text(str(problem)) or type(problem).__name__
    return EngineUnreachable(
        f"no Ollama answers at {place.base_url}: {why}",
        f"start it with: {place.start}   (another address: {place.named_by})",
    )


def not_an_ollama(place: Place, why: str) -> EngineUnreachable:
    return EngineUnreachable(
        f"what answers at {place.base_url} does not speak as an Ollama does: {text(why)}",
        f"the address of an Ollama is given by {place.named_by}",
    )


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Turn what httpx and JSON raise into errors of fleet; for calls outside the timed path."""
    try:
        yield
    except (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError) as problem:
        raise unreachable(place, problem) from problem
    except ValueError as problem:
        raise not_an_ollama(place, str(problem) or "no JSON") from problem
