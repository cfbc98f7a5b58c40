"""How fast a model would run on a machine: the ceiling, and what is expected with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fleet.advisor.amounts import Amount, modelled
from fleet.advisor.constants_decode import DECODE
from fleet.advisor.constants_prefill import PREFILL
from fleet.advisor.decode import decode_ceiling_seconds, decode_seconds
from fleet.advisor.prefill import prefill_ceiling_seconds, prefill_seconds
from fleet.advisor.shape import ModelShape
from fleet.advisor.work import DecodeWork, Muscle, PrefillWork, decode_work, prefill_work

UNSURE_SHAPE = 1.5
"""The interval of a model whose shape is partly guessed is so much wider, as a factor; and of one
that MLX runs, since llama.cpp and Ollama's GGUF engine fitted the constants."""
DRAFTS_MOST = 3.0
"""Tokens that one pass writes at most on average with a draft head, as reports have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Tokens per second: what the hardware allows, and what is expected."""

    expected: Amount
    ceiling: float
    per_token_bytes: float = 0.0
    with_drafts: Amount | None = None
    """A model with a draft head writes more than one token in a pass; how many depends on the
    text, so this is no more than a range."""

    def share_of_ceiling(self, measured: float) -> float:
        return measured / self.ceiling


def decode_rate(
    shape: ModelShape, muscle: Muscle, depth: int = 0, cache_type: str = "f16"
) -> Rate | None:
    """Tokens written per second after `depth` others; None where the experts used are unknown."""
    work = decode_work(shape, depth, cache_type)
    if work is None:
        return None
    rate = rate_of(work, muscle)
    expected = rate.expected
    if shape.notes or shape.format == "safetensors":
        expected = _widened(expected, rate.ceiling)
    drafts = None
    if shape.weights.draft_bytes:
        drafts = modelled(expected.value, 0.9 * expected.low, DRAFTS_MOST * expected.high)
    return Rate(
        expected=expected,
        ceiling=rate.ceiling,
        per_token_bytes=work.weight_bytes + work.cache_bytes,
        with_drafts=drafts,
    )


def rate_of(work: DecodeWork, muscle: Muscle) -> Rate:
    """Return the decode rate for this work."""
    constants = DECODE[muscle.speed_class]
    rate = 1 / decode_seconds(work, muscle, constants)
    ceiling = 1 / decode_ceiling_seconds(work, muscle)
    expected = _interval(rate, constants.low, constants.high, ceiling)
    return Rate(expected=expected, ceiling=ceiling)


def prefill_rate(
    shape: ModelShape, muscle: Muscle, tokens: int = 512, depth: int = 0, batch: int = 512
) -> Rate | None:
    """Prompt tokens read per second; None where the experts used are unknown."""
    work = prefill_work(shape, tokens, depth, batch)
    if work is None or not work.parameters:
        return None
    rate = prefill_rate_of(work, muscle)
    if not shape.notes and shape.format == "gguf":
        return rate
    return Rate(expected=_widened(rate.expected, math.inf), ceiling=rate.ceiling)


def prefill_rate_of(work: PrefillWork, muscle: Muscle) -> Rate:
    """Return the prefill rate for this work."""
    constants = PREFILL[muscle.speed_class]
    rate = work.tokens / prefill_seconds(work, muscle, constants)
    ceiling = work.tokens / prefill_ceiling_seconds(work, muscle)
    return Rate(expected=_interval(rate, constants.low, constants.high, math.inf), ceiling=ceiling)


def _interval(rate: float, low: float, high: float, ceiling: float) -> Amount:
    """`low` and `high` are of the time, so the slow end of the rate comes from `high`."""
    fast = min(rate * math.exp(-low), max(ceiling, rate))
    return modelled(rate, rate * math.exp(-high), fast)


def _widened(rate: Amount, ceiling: float) -> Amount:
    high = min(rate.high * UNSURE_SHAPE, max(ceiling, rate.value))
    return modelled(rate.value, rate.low / UNSURE_SHAPE, high)
