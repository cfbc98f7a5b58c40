"""Columns by which the views judge what a request found in the engine's prompt cache.

An engine need not report how much of a prompt it had cached. The earlier requests of the trial, and
the times of its prompts of equal length, show it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from fleet.model.measure import RequestRecord, TrialResult
from fleet.model.runners import MLX_BATCH, MLX_FORMAT

Columns = dict[str, object]

FEWEST_SIBLINGS = 3
"""Fewer prompts of one length give no median: it could be the outlier itself."""


def cache_columns(result: TrialResult) -> Iterator[Columns]:
    """Yield the columns of each request, in order."""
    load_each = result.trial.job.load == "request"
    siblings, read_ns = _sibling_medians(result.requests), _read_ns(result)
    steps = _Steps.of(result)
    since_load, sent = 0, Counter[Hashable]()
    prompts = {_turn(record): record.reply.prompt_tokens for record in result.requests}
    for record in result.requests:
        if load_each and not record.warmup:
            since_load, sent = 0, Counter()
        yield {
            "since_load": since_load,
            "repeats_before": 0 if record.reused_tokens else sent[_prompt(record)],
            "sibling_prompt_ns": siblings.get(_kind(record)),
            "history_tokens": prompts.get(_turn(record, before=1)) if record.turn else None,
            **_least(record, read_ns, steps),
        }
        since_load += 1
        sent[_prompt(record)] += 1


def _read_ns(result: TrialResult) -> float | None:
    """Return how long the memory takes to read the weights of one token once."""
    gb_per_s = result.fingerprint.get("memory_bandwidth_gb_s") if result.fingerprint else None
    if not isinstance(gb_per_s, (int, float)) or not gb_per_s or not result.active_bytes:
        return None
    return result.active_bytes / gb_per_s  # bytes / (GB/s) = ns


@dataclass(frozen=True, slots=True)
class _Steps:
    """How often the engine of a trial reads the weights, by what its clocks hold.

    llama.cpp times the first output token with the prompt, MLX the last prompt token with the
    output. With drafts, one read gives several tokens: nobody tells how many reads there were.
    """

    batch: int
    mlx: bool
    drafts: bool

    @classmethod
    def of(cls, result: TrialResult) -> _Steps:
        mlx = result.model_format == MLX_FORMAT
        batch = MLX_BATCH if mlx else int(result.trial.settings.get("num_batch", 0))
        return cls(batch, mlx, result.drafts == "yes" or (mlx and result.drafts != "no"))

    def of_output(self, tokens: int) -> int | None:
        return None if self.drafts else tokens - (not self.mlx)

    def of_prompt(self, tokens: int) -> int:
        return max(tokens - self.mlx, 0) // self.batch


def _least(record: RequestRecord, read_ns: float | None, steps: _Steps) -> Columns:
    """Return the least times: a decode step reads the weights once, a prompt batch no less."""
    reply = record.reply
    if read_ns is None or not steps.batch or not reply.output_tokens or reply.prompt_tokens is None:
        return {"least_output_ns": None, "least_prompt_ns": None}
    cached = record.reused_tokens if reply.cached_tokens is None else reply.cached_tokens
    reads = steps.of_output(reply.output_tokens)
    batches = steps.of_prompt(reply.prompt_tokens - (cached or 0))
    return {
        "least_output_ns": None if reads is None else round(reads * read_ns),
        "least_prompt_ns": round(batches * read_ns),
    }


def _prompt(record: RequestRecord) -> Hashable:
    """Return a key that is equal for prompts that begin alike; the nonce comes first."""
    return record.point, record.turn, record.nonce, record.prompt_tokens_asked


def _turn(record: RequestRecord, *, before: int = 0) -> Hashable:
    """Return a key of a turn, or of one before it: the turns of one conversation share a nonce."""
    return record.warmup, record.stream, record.nonce, (record.turn or 0) - before


def _kind(record: RequestRecord) -> Hashable:
    return record.point, record.turn, record.prompt_tokens_asked, bool(record.reused_tokens)


def _sibling_medians(records: Sequence[RequestRecord]) -> dict[Hashable, int]:
    times: dict[Hashable, list[int]] = defaultdict(list)
    for record in records:
        if record.reply.prompt_ns:
            times[_kind(record)].append(record.reply.prompt_ns)
    return {
        kind: round(median(siblings))
        for kind, siblings in times.items()
        if len(siblings) >= FEWEST_SIBLINGS
    }
