"""What was measured costs in energy: of one attempt, of every cell. The arithmetic is in SQL."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from fleet.metrics.energy_dictionary import SCOPES
from fleet.names import natural
from fleet.query.open_store import RAW, Row, add_views, rows
from fleet.query.views import literal, question

KINDS = ("energy_joules", "power_w")
METRICS = [f"{scope}_{what}" for scope in SCOPES for what in KINDS]


def energy_of_attempt(
    con: duckdb.DuckDBPyConnection, attempt_id: object, folder: object
) -> list[Row]:
    """Rows of the view `energy`; none where no energy was read. `con` has the readings open."""
    add_views(con, "energy")
    query = "select * exclude (folder, energy_version) from energy where attempt_id = ?"
    return rows(con, f"{query} and folder = ?", [attempt_id, folder])


def tells_energy(readings: Sequence[Row]) -> bool:
    """Whether any of these readings is of energy or power."""
    return any(row["metric"] in METRICS for row in readings)


def energy_of_cells(con: duckdb.DuckDBPyConnection, experiment: str | None) -> list[Row]:
    """One row per cell, point and scope: 64 before 512, and 20b before 120b."""
    bind_energy(con, experiment)
    found = rows(con, question("energy_of_cells"), [experiment])
    names = ("experiment", "session", "machine", "model", "job", "point", "settings", "scope")
    return sorted(found, key=lambda row: [natural(row[name]) for name in names])


def energy_of_results(con: duckdb.DuckDBPyConnection, experiment: str) -> list[Row]:
    """One row per row of `cells` and scope; none where no energy was read."""
    if not _is_read(con):
        return []
    bind_energy(con, experiment)
    return rows(con, question("energy_of_results"), [experiment])


def _is_read(con: duckdb.DuckDBPyConnection) -> bool:
    """Of any trial; false too where `con` has not the readings open."""
    metrics = ", ".join(map(literal, METRICS))
    return bool(rows(con, f"select 1 from raw_readings where metric in ({metrics}) limit 1"))


def bind_energy(con: duckdb.DuckDBPyConnection, experiment: str | None) -> None:
    """The views of energy. Of a large store all readings take seconds, so of one experiment no
    others are looked at."""
    add_views(con, "energy", readings=RAW["readings"] if experiment is None else _of(experiment))


def _of(experiment: str) -> str:
    own = f"select attempt_id, folder from raw_trials where experiment = {literal(experiment)}"
    return f"(from raw_readings semi join ({own}) using (attempt_id, folder))"
