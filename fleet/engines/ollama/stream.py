"""The timed path: stamp what arrives, and read it only when the stream has ended.

While an answer streams, nothing is done but to keep each piece with its stamp: two appends, no
parsing, nothing for the garbage collector to count. The numbers come later from `read_reply`.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.engines.incoming import (
    DURATION_NS,
    EXPIRY_UNIX_NS,
    STAMP_UNIX_NS,
    TOKENS,
    Quantity,
    json_of,
    refusal,
    text,
    whole,
)
from fleet.engines.ollama.failures import classify, error_text
from fleet.engines.reply_builder import Failure, ReplyBuilder
from fleet.errors import CounterImpossible, RequestRefused, StreamBroken
from fleet.model.measure import Reply
from fleet.units import MIB, NS_PER_S

COUNTERS: Mapping[str, tuple[str, Quantity]] = {
    "total_ns": ("total_duration", DURATION_NS),
    "load_ns": ("load_duration", DURATION_NS),
    "prompt_tokens": ("prompt_eval_count", TOKENS),
    "prompt_ns": ("prompt_eval_duration", DURATION_NS),
    "output_tokens": ("eval_count", TOKENS),
    "output_ns": ("eval_duration", DURATION_NS),
}
"""Reply field to Ollama's. Ollama leaves out zeros, so on a final record missing means 0."""
CACHED = "prompt_eval_cached_count"
"""Since Ollama 0.33.3, where it is zero too: missing means that it is not known."""

LARGEST_ANSWER_BYTES = 128 * MIB
"""In memory: three times what a model writes that fills a context of 131,072 tokens."""
PIECE_BYTES = 128
"""What a piece takes beside its bytes, with its stamp."""
LONGEST_RECORD_BYTES = 8 * MIB
"""Of one line; the longest are final records that hold all tokens of a long context."""

SHOWN_BYTES = 100
"""Of a line that cannot be read."""

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Pieces of the body in the order they came, each with its monotonic stamp in ns."""

    stamps: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    def collect(self, body: Iterable[bytes], monotonic_ns: Callable[[], int]) -> bool:
        """Keep all pieces; return False if there is more than any answer has, and leave it."""
        stamp, keep, left = self.stamps.append, self.pieces.append, LARGEST_ANSWER_BYTES
        for piece in body:
            stamp(monotonic_ns())
            keep(piece)
            left -= len(piece) + PIECE_BYTES
            if left < 0:
                return False
        return True

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines, each stamped by the piece that completed it.

        Of a line longer than any record only the beginning comes, and then nothing more.
        """
        parts, size = [b""], 0
        for stamp, piece in zip(self.stamps, self.pieces, strict=True):
            parts.append(piece)
            size += len(piece)
            if b"\n" in piece:
                *whole, rest = b"".join(parts).split(b"\n")
                yield from ((stamp, line) for line in whole if line.strip())
                parts, size = [rest], len(rest)
            if size > LONGEST_RECORD_BYTES:
                yield stamp, b"".join(parts)[:SHOWN_BYTES]
                return
        if (rest := b"".join(parts)).strip():
            yield self.stamps[-1], rest


@dataclass(slots=True)
class _Reading(ReplyBuilder):
    """And what the records of one answer have told beside their text."""

    server_first_unix_ns: int | None = None
    final: Mapping[str, object] | None = None
    final_ns: int | None = None


# parameters: what was sent, what came, and what the client saw beside it
def read_reply(
    arrivals: Arrivals,
    *,
    api: Literal["chat", "generate"],
    sent_ns: int,
    ended_ns: int,
    keep_text: bool,
    failure: Failure | None = None,
) -> Reply:
    """Return the reply that the arrivals tell of.

    `failure` and `ended_ns` are what the client saw.
    """
    seen = _Reading()
    for stamp, line in arrivals.lines():
        if seen.failure is None and seen.final is None:
            _take(seen, stamp, line, api)
    if seen.final is None and seen.failure is None:
        seen.failure = failure or (StreamBroken, "the answer ended without its final record")
    return _reply(seen, sent_ns, ended_ns, keep_text)


def _take(seen: _Reading, stamp: int, line: bytes, api: str) -> None:
    try:
        record = json_of(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        seen.failure = (
            StreamBroken,
            f"unreadable line in the answer: {text(repr(line[:SHOWN_BYTES]), 80)}",
        )
        seen.final_ns = stamp
    elif "error" in record:
        message = error_text(line)
        seen.failure, seen.final_ns = (classify(200, message), message), stamp
    elif record.get("remote_host") or record.get("remote_model"):
        seen.failure, seen.final_ns = (RequestRefused, "the answer came from the cloud"), stamp
    else:
        _take_text(seen, stamp, record, api)
        if _is_final(record):
            seen.final, seen.final_ns = record, stamp


def _is_final(record: Mapping[str, object]) -> bool:
    """Tell whether the record ends the answer.

    Some servers leave out `done`, or write it as text, and count all the same.
    """
    counted = any(key in record for key, _ in COUNTERS.values())
    return record.get("done") is True or (
        record.get("done") is not False and bool(record.get("done_reason")) and counted
    )


def _take_text(seen: _Reading, stamp: int, record: Mapping[str, object], api: str) -> None:
    holder = record.get("message") if api == "chat" else record
    if not isinstance(holder, dict):
        return
    thinking = holder.get("thinking")
    answer = holder.get("content" if api == "chat" else "response")
    if not all(words is None or isinstance(words, str) for words in (thinking, answer)):
        seen.failure = (StreamBroken, "a chunk of the answer is no text")
        seen.final_ns = stamp
        return
    if (thinking or answer) and not seen.stamps:
        seen.server_first_unix_ns = stamp_unix_ns(record.get("created_at"))
    seen.take(stamp, thinking, answer)


def _reply(seen: _Reading, sent_ns: int, ended_ns: int, keep_text: bool) -> Reply:
    final = seen.final or {}
    counters, wrong = _counters(final) if seen.final else ({}, "")
    if wrong and seen.failure is None:
        seen.failure = (CounterImpossible, wrong)
    return seen.reply(
        sent_ns=sent_ns,
        ended_ns=ended_ns if seen.final_ns is None else seen.final_ns,
        whole=seen.final is not None,
        keep_text=keep_text,
        **counters,
        done_reason=text(final.get("done_reason")) or None,
        server_first_unix_ns=seen.server_first_unix_ns,
        server_final_unix_ns=stamp_unix_ns(final.get("created_at")),
    )


def _counters(final: Mapping[str, object]) -> tuple[dict[str, int], str]:
    """Return what a final record counts, and why the numbers that are left out cannot be."""
    counters = {
        name: (key, final.get(key, 0), quantity) for name, (key, quantity) in COUNTERS.items()
    }
    counters["cached_tokens"] = (CACHED, final.get(CACHED), TOKENS)
    values: dict[str, int] = {}
    wrong: list[str] = []
    for name, (key, value, quantity) in counters.items():
        number = whole(value, quantity)
        if number is not None:
            values[name] = number
        elif value is not None:
            wrong.append(refusal(key, value, quantity))
    if values.get("cached_tokens", 0) > values.get("prompt_tokens", 0):
        del values["cached_tokens"]
        wrong.append(f"{CACHED} is more than the prompt has tokens")
    return values, "; ".join(wrong)


def stamp_unix_ns(moment: object) -> int | None:
    """Return the time of a record; None where it is none, or far from any time that can be."""
    return whole(unix_ns(moment), STAMP_UNIX_NS)


def expiry_unix_ns(moment: object) -> int | None:
    """When a model leaves memory; None where the server does not say it, or says no time."""
    return whole(unix_ns(moment), EXPIRY_UNIX_NS)


def unix_ns(moment: object) -> int | None:
    """Exact nanoseconds of an RFC 3339 time; None where it is none."""
    match = _MOMENT.fullmatch(moment) if isinstance(moment, str) else None
    if match is None:
        return None
    whole, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:  # no day has it
        return None
    if sign:
        seconds -= (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    return seconds * NS_PER_S + int((fraction or "").ljust(9, "0"))
