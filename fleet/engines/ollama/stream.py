"""The timed path: stamp what arrives, and read it only when the stream has ended.

While an answer streams, nothing is done but to keep each piece with its stamp: two appends, no
parsing, nothing for the garbage collector to count. The numbers come later from `read_reply`.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.engines.heard import Failure, Heard
from fleet.engines.ollama.failures import classify, error_text
from fleet.errors import RequestRefused, StreamBroken
from fleet.model.measure import Reply
from fleet.units import NS_PER_S

COUNTERS = {
    "total_ns": "total_duration",
    "load_ns": "load_duration",
    "prompt_tokens": "prompt_eval_count",
    "prompt_ns": "prompt_eval_duration",
    "output_tokens": "eval_count",
    "output_ns": "eval_duration",
}
"""Reply field to Ollama's. Ollama leaves out zeros, so on a final record missing means 0."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))")


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Pieces of the body in the order they came, each with its monotonic stamp in ns."""

    stamps: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)

    def collect(self, body: Iterable[bytes], monotonic_ns: Callable[[], int]) -> None:
        stamp, keep = self.stamps.append, self.pieces.append
        for piece in body:
            stamp(monotonic_ns())
            keep(piece)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Whole lines, each stamped by the piece that completed it."""
        rest = b""
        for stamp, piece in zip(self.stamps, self.pieces, strict=True):
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield stamp, line
        if rest.strip():
            yield self.stamps[-1], rest


@dataclass(slots=True)
class _Reading(Heard):
    """And what the records of one answer have told beside their text."""

    server_first_unix_ns: int | None = None
    final: Mapping[str, object] | None = None
    final_ns: int | None = None


def read_reply(
    arrivals: Arrivals,
    *,
    api: Literal["chat", "generate"],
    sent_ns: int,
    ended_ns: int,
    keep_text: bool,
    failure: Failure | None = None,
) -> Reply:
    """The reply that the arrivals tell of; `failure` and `ended_ns` are what the client saw."""
    seen = _Reading()
    for stamp, line in arrivals.lines():
        if seen.failure is None and seen.final is None:
            _take(seen, stamp, line, api)
    if seen.final is None and seen.failure is None:
        seen.failure = failure or (StreamBroken, "the answer ended without its final record")
    return _reply(seen, sent_ns, ended_ns, keep_text)


def _take(seen: _Reading, stamp: int, line: bytes, api: str) -> None:
    try:
        record = json.loads(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        seen.failure = (StreamBroken, f"unreadable line in the answer: {line[:80]!r}")
        seen.final_ns = stamp
    elif "error" in record:
        text = error_text(line)
        seen.failure, seen.final_ns = (classify(200, text), text), stamp
    elif record.get("remote_host") or record.get("remote_model"):
        seen.failure, seen.final_ns = (RequestRefused, "the answer came from the cloud"), stamp
    else:
        _take_text(seen, stamp, record, api)
        if record.get("done") is True:
            seen.final, seen.final_ns = record, stamp


def _take_text(seen: _Reading, stamp: int, record: Mapping[str, object], api: str) -> None:
    holder = record.get("message") if api == "chat" else record
    if not isinstance(holder, dict):
        return
    thinking, answer = (
        holder.get("thinking"),
        holder.get("content" if api == "chat" else "response"),
    )
    if (thinking or answer) and not seen.stamps:
        seen.server_first_unix_ns = unix_ns(record.get("created_at"))
    seen.take(stamp, thinking, answer)


def _reply(seen: _Reading, sent_ns: int, ended_ns: int, keep_text: bool) -> Reply:
    final = seen.final
    return seen.reply(
        sent_ns=sent_ns,
        ended_ns=ended_ns if seen.final_ns is None else seen.final_ns,
        whole=final is not None,
        keep_text=keep_text,
        **_counters(final),
        done_reason=_text(final, "done_reason"),
        server_first_unix_ns=seen.server_first_unix_ns,
        server_final_unix_ns=unix_ns(final.get("created_at")) if final else None,
    )


def _counters(final: Mapping[str, object] | None) -> dict[str, int]:
    """Nothing without a final record: an absent counter is then unknown, not zero."""
    if final is None:
        return {}
    values = {name: final.get(key, 0) for name, key in COUNTERS.items()}
    return {name: value for name, value in values.items() if isinstance(value, int)}


def _text(record: Mapping[str, object] | None, key: str) -> str | None:
    value = record.get(key) if record else None
    return value if isinstance(value, str) else None


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
