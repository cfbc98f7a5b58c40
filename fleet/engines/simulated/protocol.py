"""Ollama's JSON: what it tells of models, and the lines of an answer."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping

from fleet.engines.simulated.machine import Loaded
from fleet.engines.simulated.question import Question, is_gpt_oss
from fleet.engines.simulated.schedule import Schedule
from fleet.model.script import ScriptedModel
from fleet.prompts import WORDS
from fleet.units import NS_PER_S

MODIFIED_AT = "2026-01-01T00:00:00Z"
FOREVER = "2318-01-01T00:00:00Z"
CONTEXT_LENGTH = 131_072
LAYERS = 24
THINKING_SHARE = 4
"""One token in so many is thinking, where the model thinks."""


def tag(name: str, model: ScriptedModel) -> dict[str, object]:
    return {
        "name": name,
        "model": name,
        "modified_at": MODIFIED_AT,
        "size": model.size_bytes,
        "digest": digest(name, model),
        "details": details(name, model),
    }


def running(name: str, loaded: Loaded) -> dict[str, object]:
    size = loaded.model.size_bytes
    return {
        "name": name,
        "model": name,
        "size": size,
        "digest": digest(name, loaded.model),
        "details": details(name, loaded.model),
        "expires_at": FOREVER,
        "size_vram": round(size * (1 - (0 if loaded.model.on_mlx else loaded.model.cpu_share))),
        "context_length": loaded.context,
    }


def resident(expire_unix_ns: Mapping[str, int]) -> list[dict[str, object]]:
    """Models of others: each with the moment at which it goes."""
    return [
        {"name": name, "model": name, "expires_at": created_at(moment_ns)}
        for name, moment_ns in expire_unix_ns.items()
    ]


def shown(name: str, model: ScriptedModel) -> dict[str, object]:
    family, half = _family(name), model.size_bytes // 2
    return {
        "modelfile": f"FROM {name}\n",
        "details": details(name, model),
        "model_info": {
            "general.architecture": family,
            "general.parameter_count": half,
            f"{family}.context_length": CONTEXT_LENGTH,
            f"{family}.block_count": LAYERS,
        },
        "tensors": _tensors(model, half),
        "capabilities": ["completion", *(["thinking"] if is_gpt_oss(name) else [])],
        "modified_at": MODIFIED_AT,
    }


def _tensors(model: ScriptedModel, weights: int) -> list[dict[str, object]]:
    """Two bytes for each weight; a draft head is a tensor more."""
    if not model.on_mlx:
        return [{"name": "token_embd.weight", "type": "F16", "shape": [weights]}]
    names = ["model.layers.0.mlp.down_proj.weight"]
    names += ["mtp.fc.weight"] if model.tokens_per_round > 1 else []
    return [{"name": name, "type": "BF16", "shape": [weights]} for name in names]


def details(name: str, model: ScriptedModel) -> dict[str, object]:
    family = _family(name)
    usual = "nvfp4" if model.on_mlx else "MXFP4" if is_gpt_oss(name) else "F16"
    return {
        "parent_model": "",
        "format": model.format,
        "family": family,
        "families": [family],
        "parameter_size": "",
        "quantization_level": model.quantization or usual,
    }


def digest(name: str, model: ScriptedModel) -> str:
    return model.digest or hashlib.sha256(f"simulated {name}".encode()).hexdigest()


def _family(name: str) -> str:
    return "gptoss" if is_gpt_oss(name) else "llama"


def created_at(unix_ns: int) -> str:
    """RFC 3339 as Go writes it: up to nanoseconds, no zeros at the end."""
    seconds, fraction = divmod(unix_ns, NS_PER_S)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole}.{digits}Z" if digits else f"{whole}Z"


class Lines:
    """The lines of one answer, made beforehand as far as they can be.

    Each carries the time it was written twice: `created_at` from the wall clock, as the real
    server has it, and `x_mono_ns` from the monotonic clock, for tests of a client's stamps.
    """

    def __init__(self, question: Question, tokens: int, *, unasked: bool) -> None:
        self.question = question
        self._thinking = tokens // THINKING_SHARE if question.thinks or unasked else 0
        self.written_ns: list[int] = []
        """When each token was written, as its line says it."""
        self._start = b'{"model":%s,"created_at":"' % json.dumps(question.model).encode()
        self._bodies = {
            thinking: [self._body(f" {word}", thinking) for word in WORDS]
            for thinking in (False, True)
        }

    def token(self, number: int) -> bytes:
        body = self._bodies[number < self._thinking][number % len(WORDS)]
        now_ns = time.monotonic_ns()
        self.written_ns.append(now_ns)
        return self._line(body, b"false", b"", now_ns)

    def last(self, schedule: Schedule, total_ns: int) -> bytes:
        return self._final(schedule, total_ns, self._body("", False))

    def whole(self, schedule: Schedule, total_ns: int) -> bytes:
        """Return the one object of an answer that is not streamed."""
        words = [f" {WORDS[number % len(WORDS)]}" for number in range(len(schedule.due_ns))]
        thinking, answer = words[: self._thinking], words[self._thinking :]
        return self._final(schedule, total_ns, self._text("".join(answer), "".join(thinking)))

    def _final(self, schedule: Schedule, total_ns: int, body: bytes) -> bytes:
        record = {"done_reason": schedule.done_reason, **schedule.counters(total_ns)}
        more = b"," + json.dumps(record)[1:-1].encode()
        return self._line(body, b"true", more, time.monotonic_ns())

    def _line(self, body: bytes, done: bytes, more: bytes, now_ns: int) -> bytes:
        return b'%s%s",%s,"done":%s%s,"x_mono_ns":%d}\n' % (
            self._start,
            created_at(time.time_ns()).encode(),
            body,
            done,
            more,
            now_ns,
        )

    def _body(self, word: str, thinking: bool) -> bytes:
        return self._text("", word) if thinking else self._text(word, "")

    def _text(self, answer: str, thinking: str) -> bytes:
        extra: Mapping[str, str] = {"thinking": thinking} if thinking else {}
        if self.question.api == "generate":
            return json.dumps({"response": answer, **extra})[1:-1].encode()
        message = {"role": "assistant", "content": answer, **extra}
        return json.dumps({"message": message})[1:-1].encode()


def idle_answer(question: Question) -> dict[str, object]:
    """To an empty prompt: the model was only loaded or unloaded."""
    chat = question.api == "chat"
    text: dict[str, object] = (
        {"message": {"role": "assistant", "content": ""}} if chat else {"response": ""}
    )
    return {
        "model": question.model,
        "created_at": created_at(time.time_ns()),
        **text,
        "done": True,
        "done_reason": "unload" if question.unload else "load",
    }
