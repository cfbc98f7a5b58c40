"""Reads the speeds of one trial through the views as soon as it is stored, for the live line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.model.measure import TrialResult
from fleet.names import natural
from fleet.query.open_store import Connection, open_empty, rows, take_attempt
from fleet.query.views import question
from fleet.units import show_count, show_number

VIEWS = ("trial_points", "requests_flagged")
MOST_SHOWN = 3
QUESTION = "speeds_of_attempt"


class TrialSpeeds:
    """The speeds of one trial after the other; the views are bound once, at the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._con: Connection | None = None

    def words(self, result: TrialResult) -> str:
        """Return `pp512 3 585  tg128 1 581 tokens/s`: the same medians as in `fleet results`.

        Empty where no point has a rate. What the views left out is named. Raises StoreUnusable.
        """
        points = self._points(result)
        points.sort(key=lambda point: natural(point["point"]))
        rates = list(filter(None, map(_rate, points)))
        shown = [*rates[:MOST_SHOWN], *_more(len(rates))]
        speeds = f"{'  '.join(shown)} tokens/s" if rates else ""
        return "   ".join(filter(None, (speeds, *_left_out(points))))

    def close(self) -> None:
        """Close the views."""
        if self._con is not None:
            self._con.close()

    def _points(self, result: TrialResult) -> list[dict[str, Any]]:
        """Read the points of an attempt; another submission's may have its name already."""
        self._con = self._con or _prepared()
        beside = f"{result.attempt_id}-of-{result.submission_id or 'unknown'}"
        for name in (beside, result.attempt_id):
            if take_attempt(self._con, self._folder, name):
                return rows(self._con, f"execute {QUESTION}")
        return []


def _prepared() -> Connection:
    """Open the views with their question planned once: planning takes as long as answering."""
    con = open_empty(VIEWS)
    rows(con, f"prepare {QUESTION} as {question(QUESTION)}")
    return con


def _rate(point: dict[str, Any]) -> str:
    """Return decode where the point writes, else prefill; of several streams their throughput."""
    rate = point["throughput_tokens_per_s"] or point["decode_tokens_per_s"]
    rate = rate or point["prefill_tokens_per_s"]
    if rate is None:
        return ""
    name = "" if point["point"] == point["job"] else f"{point['point']} "
    return f"{name}{show_number(rate)}"


def _more(rates: int) -> Iterator[str]:
    if rates > MOST_SHOWN:
        yield f"and {rates - MOST_SHOWN} more"


def _left_out(points: list[dict[str, Any]]) -> Iterator[str]:
    count = sum(point["left_out"] for point in points)
    if count:
        flags = sorted({flag for p in points for flag in (p["invalid"] or "").split()})
        yield f"{show_count(count, 'request')} left out: {' '.join(flags)}"
