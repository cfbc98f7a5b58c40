"""Power curves whose energy is known exactly, and trials that were read while they ran."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from fleet.query import views
from fleet.query.open_store import rows
from fleet.store.schema import TABLES
from tests.builders_compare import TRIAL, Row, S, request
from tests.builders_flow import Fleet


@dataclass(frozen=True)
class Curve:
    """Watts from each time on, in seconds; the first time is 0."""

    times_s: Sequence[float]
    watts: Sequence[float]

    def at(self, time_s: float) -> float:
        return self.watts[bisect.bisect_right(self.times_s, time_s) - 1]

    def joules(self, begin_s: float, end_s: float) -> float:
        edges = [begin_s, *(t for t in self.times_s if begin_s < t < end_s), end_s]
        return sum(self.at(a) * (b - a) for a, b in pairwise(edges))

    def variation(self, begin_s: float, end_s: float) -> float:
        """Sum of all steps between."""
        inside = [self.at(begin_s), *self._between(begin_s, end_s)]
        return sum(abs(b - a) for a, b in pairwise(inside))

    def _between(self, begin_s: float, end_s: float) -> Iterable[float]:
        return (
            watts
            for time_s, watts in zip(self.times_s, self.watts, strict=True)
            if begin_s < time_s <= end_s
        )


@dataclass(frozen=True)
class Ramps:
    """Watts that change evenly from each time to the next; each piece begins and ends where it
    likes. The last one goes on as it ends."""

    times_s: Sequence[float]
    watts: Sequence[tuple[float, float]]

    def at(self, time_s: float) -> float:
        number = bisect.bisect_right(self.times_s, time_s) - 1
        begin, end = self.watts[number]
        if number + 1 == len(self.times_s):
            return end
        piece_s = self.times_s[number + 1] - self.times_s[number]
        return begin + (end - begin) * (time_s - self.times_s[number]) / piece_s

    def joules(self, begin_s: float, end_s: float) -> float:
        edges = [begin_s, *(t for t in self.times_s if begin_s < t < end_s), end_s]
        return sum(self.at((a + b) / 2) * (b - a) for a, b in pairwise(edges))


def counter(curve: Curve | Ramps, times_s: Iterable[float], scope: str = "gpu_board") -> list[Row]:
    """Readings of a counter that stood at 1000 J when the trial began."""
    return [reading(f"{scope}_energy_joules", t, 1000 + curve.joules(0, t)) for t in times_s]


def power(curve: Curve | Ramps, times_s: Iterable[float], scope: str = "gpu_board") -> list[Row]:
    return [reading(f"{scope}_power_w", t, curve.at(t)) for t in times_s]


def reading(metric: str, time_s: float, value: float | None, source: str = "meter") -> Row:
    return {"offset_ns": round(time_s * S), "metric": metric, "source": source, "value": value}


def every(period_s: float, until_s: float, first_s: float = 0.0) -> list[float]:
    return [first_s + n * period_s for n in range(int((until_s - first_s) / period_s) + 1)]


def asked(sent_s: float, first_s: float, ended_s: float, **columns: Any) -> Row:
    """A valid request with these stamps; 200 tokens out of 1000 unless said otherwise."""
    stamps = {
        "sent_ns": round(sent_s * S),
        "first_chunk_ns": round(first_s * S),
        "last_chunk_ns": round(ended_s * S),
        "ended_ns": round(ended_s * S),
        "prompt_duration_ns": round((first_s - sent_s) * S),
        "output_duration_ns": round((ended_s - first_s) * S),
    }
    return {**request(output=200), **stamps, "point": "chat", **columns}


def plug(fleet: Fleet, name: str, watts: float, file: str = "plug.csv") -> Path:
    """The log of a meter that said the same for all trials of a machine, five times a second."""
    query = f"""select min(zero_unix_ns) as begin_ns, max(zero_unix_ns + duration_ns) as end_ns
        from trials where machine = '{name}'"""
    [row] = fleet.rows(query)
    begin_s, lasts_s = row["begin_ns"] / 1e9 - 1, (row["end_ns"] - row["begin_ns"]) / 1e9 + 2
    times = [begin_s + n / 5 for n in range(int(lasts_s * 5))]
    lines = [f"{datetime.fromtimestamp(t, UTC).isoformat()},{watts}" for t in times]
    path = fleet.folder / file
    path.write_text("\n".join(["time,power_w", *lines]) + "\n")
    return path


class EnergyStore:
    """The views over tables in memory: cheap enough for many examples."""

    def __init__(self) -> None:
        self.con = duckdb.connect(config={"threads": 1})
        for table, schema in TABLES.items():
            self.con.register("empty", schema.empty_table())
            self.con.execute(f"create table raw_{table} as select *, 0 as folder from empty")
            self.con.unregister("empty")
        self.con.execute(views.fill_views({table: f"raw_{table}" for table in TABLES}))
        self.con.execute("create temp table roots (root varchar)")

    def clear(self) -> None:
        for table in TABLES:
            self.con.execute(f"truncate raw_{table}")

    def trial(
        self, name: str, requests: Sequence[Row], readings: Sequence[Row], **columns: Any
    ) -> str:
        attempt = f"trial-{name}-0"
        trial = {**TRIAL, "trial_id": f"trial-{name}", "attempt_id": attempt, **columns}
        self._insert("trials", [trial])
        own = [{**r, "attempt_id": attempt, "request": n} for n, r in enumerate(requests)]
        self._insert("requests", own)
        self._insert("readings", [{**r, "attempt_id": attempt} for r in readings])
        return attempt

    def of(self, view: str, attempt: str, **equal: object) -> list[dict[str, Any]]:
        clause = "".join(f" and {name} = ?" for name in equal)
        query = f"select * from {view} where attempt_id = ?{clause} order by all"
        return rows(self.con, query, [attempt, *equal.values()])

    def _insert(self, table: str, data: Sequence[Row]) -> None:
        self.con.register("new", pa.Table.from_pylist(list(data), schema=TABLES[table]))
        self.con.execute(f"insert into raw_{table} select *, 0 from new")
        self.con.unregister("new")
