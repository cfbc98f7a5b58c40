"""The machines that the advisor proposes, as a table and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.advisor.advice import Candidate, Upgrade, Wish, origin_of
from fleet.report.fit_data import amount
from fleet.report.fit_text import wrapped
from fleet.report.tables import aligned

MOST_ROWS = 24
TITLES = ("machine", "does", "fit", "tokens/s", "times", "price", "pays after")


def advice_lines(
    wish: Wish, candidates: Sequence[Candidate], upgrade: Upgrade | None, notes: Sequence[str]
) -> Iterator[str]:
    """Describe what is wanted, then each candidate in a row, then what limits them."""
    yield (
        f"{wish.shape.name}: {wish.decode:g} tokens/s with a context of {wish.setup.context}, "
        f"{wish.depth} tokens deep"
    )
    for note in notes:
        yield from wrapped(note)
    if upgrade is not None:
        yield f"  {_baseline(wish, upgrade)}"
    if not candidates:
        yield "no machine of the catalogue would do"
        return
    yield ""
    rows = [_row(candidate) for candidate in candidates[:MOST_ROWS]]
    yield from aligned(TITLES, rows, right=("times", "price"), indent="  ")
    if len(candidates) > MOST_ROWS:
        yield f"  and {len(candidates) - MOST_ROWS} more: --json lists all"
    yield ""
    limits = dict.fromkeys(
        f"{candidate.answer}: {candidate.decides}" for candidate in candidates if candidate.decides
    )
    yield from (f"  what decides, {line}" for line in limits)
    yield "  modelled, from fitted constants; yes: the slow end of the interval suffices"


def _baseline(wish: Wish, upgrade: Upgrade) -> str:
    origin = origin_of(wish, upgrade)
    return f"times: against {upgrade.box.name}, {origin.value if origin else 'unknown'}"


def _row(candidate: Candidate) -> list[str]:
    rate = candidate.rate
    speed = f"{rate.value:.0f} ({rate.low:.0f}-{rate.high:.0f})" if rate else "unknown"
    days = candidate.break_even_days
    return [
        candidate.box.name,
        candidate.answer.value,
        candidate.fit.verdict.value,
        speed,
        f"{candidate.upgrade:.1f}" if candidate.upgrade else "",
        f"{candidate.price:.0f}" if candidate.price else "",
        f"{days:.0f} days" if days else "",
    ]


def candidate_data(candidate: Candidate) -> dict[str, object]:
    """Return one candidate for --json."""
    return {
        "machine": candidate.box.name,
        "answer": candidate.answer.value,
        "fit": candidate.fit.verdict.value,
        "decode": amount(candidate.rate) if candidate.rate else None,
        "decides": candidate.decides or None,
        "times": candidate.upgrade,
        "price": candidate.price,
        "break_even_tokens": candidate.break_even_tokens,
        "break_even_days": candidate.break_even_days,
    }
