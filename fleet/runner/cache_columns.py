"""What a request's place in its trial tells of the cache it met, for the views to judge by.

An engine need not say how much of a prompt it had cached. What the trial sent before, and how
long prompts of the same length took in it, does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from statistics import median

from fleet.model.measure import RequestRecord, TrialResult

Columns = dict[str, object]

FEWEST_SIBLINGS = 3
"""Of fewer the median may be the odd one itself."""


def courses(result: TrialResult) -> Iterator[Columns]:
    """What the course of the trial adds to each request, in order."""
    load_each = result.trial.job.load == "request"
    siblings, read_ns = _sibling_medians(result.requests), _read_ns(result)
    since_load, sent = 0, Counter[Hashable]()
    for record in result.requests:
        if load_each and not record.warmup:
            since_load, sent = 0, Counter()
        yield {
            "since_load": since_load,
            "repeats_before": 0 if record.reused_tokens else sent[_prompt(record)],
            "sibling_prompt_ns": siblings.get(_kind(record)),
            **_least(record, read_ns, int(result.trial.settings.get("num_batch", 0))),
        }
        since_load += 1
        sent[_prompt(record)] += 1


def _read_ns(result: TrialResult) -> float | None:
    """How long the machine's memory needs to read the weights of one token once."""
    gb_per_s = result.fingerprint.get("memory_bandwidth_gb_s") if result.fingerprint else None
    if not isinstance(gb_per_s, (int, float)) or not gb_per_s or not result.active_bytes:
        return None
    return result.active_bytes / gb_per_s  # bytes / (GB/s) = ns


def _least(record: RequestRecord, read_ns: float | None, batch: int) -> Columns:
    """A step of decode reads the weights once, a whole batch of a prompt at least as much."""
    reply = record.reply
    if read_ns is None or not batch or not reply.output_tokens or reply.prompt_tokens is None:
        return {"least_output_ns": None, "least_prompt_ns": None}
    held = record.reused_tokens if reply.cached_tokens is None else reply.cached_tokens
    batches = max(reply.prompt_tokens - (held or 0), 0) // batch
    return {
        "least_output_ns": round((reply.output_tokens - 1) * read_ns),
        "least_prompt_ns": round(batches * read_ns),
    }


def _prompt(record: RequestRecord) -> Hashable:
    """Equal for prompts that begin alike; the nonce stands first."""
    return record.point, record.turn, record.nonce, record.prompt_tokens_asked


def _kind(record: RequestRecord) -> Hashable:
    return record.point, record.turn, record.prompt_tokens_asked, bool(record.reused_tokens)


def _sibling_medians(records: Sequence[RequestRecord]) -> dict[Hashable, int]:
    times: dict[Hashable, list[int]] = defaultdict(list)
    for record in records:
        if record.reply.prompt_ns:
            times[_kind(record)].append(record.reply.prompt_ns)
    return {
        kind: round(median(found)) for kind, found in times.items() if len(found) >= FEWEST_SIBLINGS
    }
