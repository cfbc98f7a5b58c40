"""Many small files of one month become one, in a new generation; a pack is never rewritten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fleet.errors import StoreUnusable
from fleet.identity import content_id
from fleet.store import codec, generation
from fleet.store.schema import TABLES

MOST_WAITING = 200
"""More small files than this are packed: each costs every query 0.2 ms per table."""

ORDER = ("machine", "model", "started_at", "attempt_id")
"""Rows lie in this order, so that readers can skip the row groups of other machines."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    attempt_id: str
    order: tuple[str, ...]
    month: str
    tables: dict[str, pa.Table]


def pack(store: Path, base: Path) -> int:
    """How many attempts went from files of their own into packs; to be called with the lock.

    An attempt with a file that cannot be read stays as it is.
    """
    ready = sorted(_readable(base), key=lambda attempt: attempt.order)
    months: dict[str, list[_Waiting]] = defaultdict(list)
    for attempt in ready:
        months[attempt.month].append(attempt)
    new: dict[str, dict[str, bytes]] = {table: {} for table in TABLES}
    for month, attempts in months.items():
        name = _name(month, attempts)
        for table in TABLES:
            parts = [attempt.tables[table] for attempt in attempts if table in attempt.tables]
            if parts:
                rows = pa.concat_tables(parts).combine_chunks()
                others = {other: files[name] for other, files in new.items() if name in files}
                known = others if table == "trials" else None
                new[table][name] = codec.encode(table, rows, known, statistics=True)
    if ready:
        packed = {
            Path(table, f"{attempt.attempt_id}.parquet") for attempt in ready for table in TABLES
        }
        generation.build(store, generation.after(base), base=base, without=packed, new=new)
    return len(ready)


def _readable(base: Path) -> Iterator[_Waiting]:
    waiting = {table: set(generation.waiting(base, table)) for table in TABLES}
    for attempt_id in waiting["trials"]:
        try:
            tables = {
                table: codec.read(base / table / f"{attempt_id}.parquet", table)
                for table in TABLES
                if attempt_id in waiting[table]
            }
        except StoreUnusable:
            continue
        if tables["trials"].num_rows:
            yield _waiting(attempt_id, tables)


def _waiting(attempt_id: str, tables: dict[str, pa.Table]) -> _Waiting:
    row = tables["trials"].slice(0, 1).select(ORDER).to_pylist()[0]
    started = row["started_at"]
    return _Waiting(
        attempt_id=attempt_id,
        order=tuple(str(row[name] or "") for name in ORDER),
        month=f"{started:%Y-%m}" if started else "unknown",
        tables=tables,
    )


def _name(month: str, attempts: list[_Waiting]) -> str:
    content = content_id("pack", sorted(attempt.attempt_id for attempt in attempts))
    return f"{generation.PACK_PREFIX}{month}-{content.removeprefix('pack-')[:12]}.parquet"
