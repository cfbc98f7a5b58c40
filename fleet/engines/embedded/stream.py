"""What llama.cpp hands to its callback, and the reply it adds up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from fleet.engines.incoming import (
    DURATION_NS,
    LONGEST_MESSAGE,
    TOKENS,
    refusal,
    text,
    whole,
)
from fleet.engines.reply_builder import Failure, ReplyBuilder
from fleet.errors import CounterImpossible, OutOfMemory, RequestRefused, StreamBroken
from fleet.model.measure import Reply
from fleet.ports import Stop
from fleet.units import NS_PER_MS

Chunk = Mapping[str, Any]

END = True
"""What a callback returns to end the answer. An exception would be swallowed and the generation
run on, so nothing may leave the callback; and nothing is parsed in it."""


@dataclass(slots=True)
class Kept:
    """Keeps an exception from leaving its block, for another thread to raise."""

    problem: BaseException | None = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> bool:
        self.problem = self.problem or problem
        return True


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Chunks in the order they came, each with its monotonic stamp in ns."""

    monotonic_ns: Callable[[], int]
    stop: Stop
    kept: Kept = field(default_factory=Kept)
    stamps: list[int] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)

    def take(self, chunk: Chunk) -> bool:
        with self.kept:
            self.stamps.append(self.monotonic_ns())
            self.chunks.append(chunk)
            return END if self.stop.is_set() else not END
        return END


@dataclass(slots=True)
class _Reading(ReplyBuilder):
    done_reason: str | None = None
    timings: Mapping[str, object] | None = None


def read_reply(arrivals: Arrivals, *, sent_ns: int, ended_ns: int, keep_text: bool) -> Reply:
    """Return the reply; `ended_ns` stands where no chunk arrived at all."""
    seen = _Reading()
    for stamp, chunk in zip(arrivals.stamps, arrivals.chunks, strict=True):
        _take(seen, stamp, chunk)
    if seen.timings is None and seen.failure is None:
        seen.failure = (StreamBroken, "the answer ended without its final record")
    counters, wrong = ({}, "") if seen.timings is None else _counters(seen.timings)
    if wrong and seen.failure is None:
        seen.failure = (CounterImpossible, wrong)
    return seen.reply(
        sent_ns=sent_ns,
        ended_ns=arrivals.stamps[-1] if arrivals.stamps else ended_ns,
        whole=seen.timings is not None,
        keep_text=keep_text,
        **counters,
        done_reason=seen.done_reason,
    )


def refused(what: str, now_ns: int) -> Reply:
    """Return a reply to a question that cannot be put to this engine."""
    return Reply(sent_ns=now_ns, ended_ns=now_ns, error=what, error_reason=RequestRefused.reason)


def _take(seen: _Reading, stamp: int, chunk: Chunk) -> None:
    if "error" in chunk:
        seen.failure = _failure(chunk["error"])
        return
    if not chunk["choices"]:
        return
    choice = chunk["choices"][0]
    delta = choice.get("delta") or {}
    thinking, answer = delta.get("reasoning_content"), delta.get("content") or choice.get("text")
    seen.take(stamp, thinking, answer)
    if "timings" in chunk:
        seen.timings, seen.done_reason = chunk["timings"], choice.get("finish_reason")


def _failure(error: object) -> Failure:
    """Return the kind of error: a wrong request has code 400, a lack of memory says so in words."""
    details = error if isinstance(error, Mapping) else {"message": error}
    message = text(str(details.get("message", "")), LONGEST_MESSAGE)
    if "memory" in message.lower():
        return OutOfMemory, message
    return (RequestRefused if details.get("code") == 400 else StreamBroken), message


def _counters(timings: Mapping[str, object]) -> tuple[dict[str, int], str]:
    """Return what llama.cpp counts, and why the numbers that are left out cannot be.

    It counts the first output token in predicted_n, and times it in prompt_ms.
    """
    counters = {
        "cached_tokens": (timings.get("cache_n"), TOKENS),
        "prompt_tokens": (timings.get("prompt_n"), TOKENS),
        "prompt_ns": (_ns(timings.get("prompt_ms")), DURATION_NS),
        "output_tokens": (timings.get("predicted_n"), TOKENS),
        "output_ns": (_ns(timings.get("predicted_ms")), DURATION_NS),
    }
    values, wrong = {}, []
    for name, (value, quantity) in counters.items():
        number = whole(value, quantity)
        if number is None:
            wrong.append(refusal(name, value, quantity))
        else:
            values[name] = number
    if "prompt_tokens" in values:
        values["prompt_tokens"] += values.get("cached_tokens", 0)
    return values, "; ".join(wrong)


def _ns(milliseconds: object) -> object:
    """As whole ns where it is a number; else as it is, to be refused by name."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)):
        return milliseconds
    nanoseconds = float(milliseconds) * NS_PER_MS
    return round(nanoseconds) if isfinite(nanoseconds) else nanoseconds
