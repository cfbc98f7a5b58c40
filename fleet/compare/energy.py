"""What was measured costs in energy: of one attempt, of every cell. The arithmetic is in SQL."""

from __future__ import annotations

import duckdb

from fleet.compare.reader import Row, rows
from fleet.compare.views import question


def energy_of_attempt(con: duckdb.DuckDBPyConnection, attempt_id: object) -> list[Row]:
    """Rows of the view `energy`; none where no energy was read. `con` has the readings open."""
    query = "select * exclude (folder, energy_version) from energy where attempt_id = ?"
    return rows(con, query, [attempt_id])


def energy_of_cells(con: duckdb.DuckDBPyConnection, experiment: str | None) -> list[Row]:
    return rows(con, question("energy_of_cells"), [experiment])
