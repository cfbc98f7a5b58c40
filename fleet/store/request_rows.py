"""One request as a row of its table: the client's stamps and the engine's own counters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fleet.model.job import Think
from fleet.model.measure import RequestRecord
from fleet.store.codec import Row

LEAST_ROUND_US = 1_000
"""Chunks closer than this are of one round."""

MAX_GAP_US = 2**31 - 1
"""A longer gap does not fit its column, and is null there."""

OF_RECORD = (
    *("point", "warmup", "prompt_tokens_asked", "depth_tokens", "output_tokens_asked", "seed"),
    *("nonce", "concurrency", "stream", "turn", "due_ns", "reused_tokens", "most_output_ns"),
)
OF_REPLY = (
    *("sent_ns", "first_chunk_ns", "first_thinking_ns", "first_answer_ns"),
    *("last_chunk_ns", "ended_ns", "chunks", "prompt_tokens", "cached_tokens"),
    *("output_tokens", "done_reason", "server_first_unix_ns", "server_final_unix_ns"),
    *("output_sha256", "error", "error_reason"),
)
"""Columns with the name of their field, of the record and of its reply."""
DURATIONS = ("total", "load", "prompt", "output")
"""`total_ns` of a reply is the column `total_duration_ns`, and so are the others."""


def request_row(attempt_id: str, api: str, record: RequestRecord) -> Row:
    """Return the row of one request; the trial's own columns are added elsewhere."""
    reply = record.reply
    return {
        "attempt_id": attempt_id,
        "request": record.index,
        "api": api,
        "think": think_word(record.think),
        **{name: getattr(record, name) for name in OF_RECORD},
        **{name: getattr(reply, name) for name in OF_REPLY},
        **{f"{name}_duration_ns": getattr(reply, f"{name}_ns") for name in DURATIONS},
        "chunk_gaps_us": [gap if gap <= MAX_GAP_US else None for gap in reply.chunk_gaps_us],
        **_gaps(reply.chunk_gaps_us),
        **_rounds(reply.chunks, reply.chunk_gaps_us),
    }


def _rounds(chunks: int, gaps_us: Sequence[int]) -> Row:
    """Count the rounds of drafts: tokens of one round come together, the next ones a step later."""
    between = sorted(gap for gap in gaps_us if gap > LEAST_ROUND_US)
    return {
        "rounds": len(between) + 1 if chunks else None,
        "round_p50_us": _quantile(between, 0.5),
    }


def _gaps(gaps_us: Sequence[int]) -> Row:
    """Return sums over the first and the last third, and quantiles by nearest rank."""
    third, ordered = len(gaps_us) // 3, sorted(gaps_us)
    return {
        "first_third_us": sum(gaps_us[:third]) if third else None,
        "last_third_us": sum(gaps_us[-third:]) if third else None,
        "gap_p50_us": _quantile(ordered, 0.5),
        "gap_p90_us": _quantile(ordered, 0.9),
        "gap_p99_us": _quantile(ordered, 0.99),
        "gap_most_us": ordered[-1] if ordered else None,
    }


def _quantile(ordered: Sequence[int], share: float) -> int | None:
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def think_word(think: Think | None) -> str | None:
    """Return thinking as a word: `true`, `false`, or a level such as `high`."""
    return str(think).lower() if isinstance(think, bool) else think
