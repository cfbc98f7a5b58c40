"""Reads what was measured in energy: of one attempt, of every cell. The arithmetic is in SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import duckdb

from fleet.metrics.energy_dictionary import SCOPES
from fleet.names import natural
from fleet.query.open_store import RAW, Row, add_views, rows
from fleet.query.typed import typed_rows
from fleet.query.views import literal, question

READINGS = [f"{scope}_{what}" for scope in SCOPES for what in ("energy_joules", "power_w")]
"""Metrics of readings that an energy is computed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyOfCell:
    """What one cell and point costs in energy of one scope, as a row of `energy_of_cells.sql`."""

    experiment: str | None
    session: int | None
    machine: str
    model: str
    job: str
    point: str
    settings: str | None
    scope: str
    source: str | None
    method: str | None
    valid: bool
    invalid: str | None
    trials: int
    joules_per_token: float | None
    tokens_per_joule: float | None
    prefill_joules_per_token: float | None
    decode_joules_per_token: float | None
    net_joules_per_token: float | None
    mean_w: float | None
    idle_w: float | None
    greatest_gap_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredTrial:
    """When one trial ran, and whose meter was read then, as a row of `metered_trials.sql`."""

    attempt_id: str
    submission_id: str | None
    trial_id: str
    zero_unix_ns: int
    end_unix_ns: int
    utc_offset_s: int | None
    meter: str | None


def metered_trials(con: duckdb.DuckDBPyConnection, machine: str) -> list[MeteredTrial]:
    """Read the trials of one machine, in order of time."""
    return typed_rows(con, MeteredTrial, question("metered_trials"), [machine])


def energy_of_attempt(
    con: duckdb.DuckDBPyConnection, attempt_id: object, folder: object
) -> list[Row]:
    """Read the view `energy`; empty where no energy was read. `con` has the readings open."""
    add_views(con, "energy")
    query = "select * exclude (folder, energy_version) from energy where attempt_id = ?"
    return rows(con, f"{query} and folder = ?", [attempt_id, folder])


def tells_energy(metrics: Iterable[str]) -> bool:
    """Return whether any of these readings is of energy or power."""
    return any(metric in READINGS for metric in metrics)


def energy_of_cells(con: duckdb.DuckDBPyConnection, experiment: str | None) -> list[EnergyOfCell]:
    """Read one row per cell, point and scope: 64 before 512, and 20b before 120b."""
    bind_energy(con, experiment)
    cells = typed_rows(con, EnergyOfCell, question("energy_of_cells"), [experiment])
    names = ("experiment", "session", "machine", "model", "job", "point", "settings", "scope")
    return sorted(cells, key=lambda row: [natural(getattr(row, name)) for name in names])


def energy_of_results(con: duckdb.DuckDBPyConnection, experiment: str) -> list[Row]:
    """Read one row per row of `cells` and scope; empty where no energy was read."""
    if not _is_read(con):
        return []
    bind_energy(con, experiment)
    return rows(con, question("energy_of_results"), [experiment])


def _is_read(con: duckdb.DuckDBPyConnection) -> bool:
    """Return whether any trial has energy; false too where `con` has not the readings open."""
    metrics = ", ".join(map(literal, READINGS))
    return bool(rows(con, f"select 1 from raw_readings where metric in ({metrics}) limit 1"))


def bind_energy(con: duckdb.DuckDBPyConnection, experiment: str | None) -> None:
    """Add the views of energy, of one experiment over its readings alone.

    All readings of a large store take seconds.
    """
    add_views(con, "energy", readings=RAW["readings"] if experiment is None else _of(experiment))


def _of(experiment: str) -> str:
    own = f"select attempt_id, folder from raw_trials where experiment = {literal(experiment)}"
    return f"(from raw_readings semi join ({own}) using (attempt_id, folder))"
