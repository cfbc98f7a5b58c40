"""Reads what the store knows of machines, each row as a typed one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.model.machine import FactValue
from fleet.query.moments import zoned
from fleet.query.open_store import Connection, rows
from fleet.query.typed import decode, typed_rows
from fleet.query.views import question


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredMachine:
    """One machine with its facts as last seen, as a row of `machines.sql`."""

    machine_id: str
    machine: str
    chip: str | None
    gpu: str | None
    gpu_cores: int | None
    memory_gb: int | None
    gpu_limit_mb: int | None
    gpu_memory_mb: int | None
    memory_bandwidth_gb_s: float | None
    virtual: bool | None
    hypervisor: str | None
    container: bool | None
    container_kind: str | None
    cpu_cores: int | None
    hardware_seen: int
    """Kinds of hardware under this id."""
    os: str | None
    os_version: str | None
    gpu_driver: str | None
    engine: str | None
    engine_version: str | None
    trials: int
    last_seen: str
    """In the machine's own time zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOfResults:
    """One machine of the results, as a row of `machines_of_results.sql`."""

    machine_id: str
    machine: str
    chip: str | None
    gpu: str | None
    gpu_cores: int | None
    memory_gb: int | None
    os: str | None
    os_version: str | None
    gpu_driver: str | None
    engine: str | None
    engine_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineBefore:
    """One machine that was measured by a kind of engine, as a row of `machines_before.sql`."""

    machine_id: str
    machine: str
    last_seen: str = ""
    of_experiment: bool
    of_session: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LastFingerprint:
    """What one machine was when it was last measured, as a row of `last_fingerprint.sql`."""

    recipe: int
    hardware_id: str | None
    software_id: str | None
    facts: str
    seen_at: str = ""

    def values(self) -> dict[str, FactValue]:
        """Return the value of each fact; None: it was not known."""
        return {name: fact["value"] for name, fact in json.loads(self.facts).items()}


def measured_machines(con: Connection) -> list[MeasuredMachine]:
    """Read every machine that was measured, the one seen last first."""
    machines = []
    for row in rows(con, question("machines")):
        last_seen = str(zoned(row["last_seen"], row["utc_offset_s"]))
        machines.append(decode(MeasuredMachine, {**row, "last_seen": last_seen}))
    return machines


def machines_of_results(con: Connection, experiment: str | None) -> list[MachineOfResults]:
    return typed_rows(con, MachineOfResults, question("machines_of_results"), [experiment])


def machines_before(
    con: Connection, experiment: str, engine: str, session: int
) -> list[MachineBefore]:
    """Read the machines on which trials of one kind of engine were measured."""
    parameters = [experiment, engine, session]
    return typed_rows(con, MachineBefore, question("machines_before"), parameters)


def last_fingerprints(con: Connection, machine_ids: Sequence[str]) -> dict[str, LastFingerprint]:
    """Read the last fingerprint of each machine that has one, by machine id."""
    sql = question("last_fingerprint")
    prints = {each: typed_rows(con, LastFingerprint, sql, [each]) for each in machine_ids}
    return {machine_id: own[0] for machine_id, own in prints.items() if own}
