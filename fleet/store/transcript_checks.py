"""Whether the figures of one turn can all be true. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

from fleet.store.transcript_figures import TOTAL, Figure
from fleet.store.written_numbers import Number
from fleet.units import NS_PER_MS, NS_PER_S

SLACK_NS = 5 * NS_PER_MS
"""The parts of a turn and the whole of it are timed by two programs, so they may differ."""
SLACK = Decimal("0.001")
"""The same for a rate, as a share of it."""


def contradiction(figures: Mapping[str, Figure]) -> str:
    """Says why the figures cannot all be true; empty where rounding explains what differs."""
    for figure in figures.values():
        if figure.impossible:
            return f"{figure.text} (line {figure.line}): {figure.impossible}"
    return next(_contradictions(figures), "")


def _contradictions(figures: Mapping[str, Figure]) -> Iterator[str]:
    prompt, cached = figures.get("prompt eval count"), figures.get("prompt eval cached")
    cached_tokens = (cached.value or 0) if cached else 0
    if prompt and cached and cached_tokens > (prompt.value or 0):
        yield f"{cached.text}, but {prompt.text}"
    if prompt:
        # Since 0.33.3 Ollama's rate counts what was not cached; before, it counted all.
        tokens = prompt.value or 0
        yield from _rates(figures, "prompt eval", {tokens, tokens - cached_tokens})
    if output := figures.get("eval count"):
        yield from _rates(figures, "eval", {output.value or 0})
    yield from _sums(figures)


def _rates(figures: Mapping[str, Figure], name: str, tokens: Collection[int]) -> Iterator[str]:
    """Names a rate that is not tokens over time for any of the counts that it may be of."""
    time, rate = figures.get(f"{name} duration"), figures.get(f"{name} rate")
    if time is None or rate is None or not time.value:
        return
    if not any(
        _is_rate(count, time.meanings[0], each) for count in tokens for each in rate.meanings
    ):
        of = figures[f"{name} count"].text
        yield f"{rate.text}, but {of} in {time.text.partition(':')[2].strip()}"


def _is_rate(tokens: int, time: Number, rate: Number) -> bool:
    least_s = max(time.value - time.rounding, Decimal(1)) / NS_PER_S
    most_s = (time.value + time.rounding) / NS_PER_S
    least = (rate.value - rate.rounding) * (1 - SLACK)
    most = (rate.value + rate.rounding) * (1 + SLACK)
    return tokens / most_s <= most and least <= tokens / least_s


def _sums(figures: Mapping[str, Figure]) -> Iterator[str]:
    names = ("load duration", "prompt eval duration", "eval duration")
    parts = [figures[name].meanings[0] for name in names if name in figures]
    total = figures[TOTAL].meanings[0]
    rounding = total.rounding + sum(part.rounding for part in parts)
    if sum(part.value for part in parts) > total.value + rounding + SLACK_NS:
        named = " + ".join(name for name in names if name in figures)
        yield f"{named} is more than {figures[TOTAL].text}"
