"""Energy: what cells cost, and the log of a wall meter put beside the trials it ran through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleet.app.homes import Home
from fleet.app.interrupts import interruptible
from fleet.compare.energy import energy_of_cells
from fleet.compare.reader import WITH_READINGS, Row, open_store, rows
from fleet.compare.results import check_experiment
from fleet.compare.views import question
from fleet.errors import ConfigError, Mistake, UnknownName, UserError, nearest
from fleet.identity import content_id
from fleet.readers.wall_meter import MeterLog, MeterRow, parse_meter
from fleet.units import NS_PER_S, show_count
from fleet.wiring import results_folder


@interruptible()
def read_energy(homes: Sequence[Path], experiment: str | None) -> list[Row]:
    """One row per cell, point and scope."""
    folders = [results_folder(home) for home in homes]
    with closing(open_store(folders, WITH_READINGS, views=("trials",))) as con:
        if experiment is not None:
            check_experiment(con, experiment)
        return energy_of_cells(con, experiment)


def import_meter(home: Path, file: Path, *, machine: str, shift_s: float) -> list[str]:
    """What was stored, a line each. The log of the same file again changes nothing.

    `shift_s` is added to the meter's times. Raises UserError where it covers no trial, or one that
    has the log of another meter.
    """
    log = _log(file)
    shifted = [MeterRow(row.unix_ns + round(shift_s * NS_PER_S), row.value) for row in log.rows]
    name = content_id("wall", [machine, log.metric, [[r.unix_ns, r.value] for r in shifted]])
    source = f"wall meter {file.name} {name[-6:]}"
    trials = _trials(home, machine)
    covered = [trial for trial in trials if _inside(trial, shifted)]
    if not covered:
        raise _covers_none(machine, trials, shifted)
    _check_meters(covered, source, file)
    readings = [row for trial in covered for row in _rows(trial, shifted, log.metric, source)]
    Home(home).store.add_readings(name, readings)
    return [
        f"stored: {show_count(len(readings), 'reading')} of {log.metric} "
        f"for {show_count(len(covered), 'trial')} of {machine}",
        "next:  fleet energy show",
    ]


def _log(file: Path) -> MeterLog:
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as problem:
        raise UserError(
            f"{file} cannot be read: {problem.strerror}", "name a CSV file of a wall meter"
        ) from problem
    log = parse_meter(text)
    if log.faults:
        raise ConfigError(
            tuple(
                Mistake(file=str(file), line=line, column=1, field=column, what=what)
                for line, column, what in log.faults
            )
        )
    if len(log.rows) < 2:
        raise UserError(f"{file}: {show_count(len(log.rows), 'row')}: no log of a meter")
    return log


def _trials(home: Path, machine: str) -> list[Any]:
    """Those of one machine, in order of time. Raises UnknownName."""
    with closing(open_store([results_folder(home)], WITH_READINGS)) as con:
        found = rows(con, question("metered_trials"), [machine])
        names = "select distinct machine from trials where not coalesce(imported, false)"
        there = [str(row["machine"]) for row in rows(con, names)]
    if not found:
        near = nearest(machine, there)
        meant = f" (did you mean {near}?)" if near else ""
        raise UnknownName(f"{machine}: no trial of such a machine{meant}", "fleet machines")
    return found


def _inside(trial: Any, log: Sequence[MeterRow]) -> bool:
    """At least two rows of the log lie in it."""
    begin_ns, end_ns = int(trial["zero_unix_ns"]), int(trial["end_unix_ns"])
    return sum(begin_ns <= row.unix_ns <= end_ns for row in log) >= 2


def _rows(
    trial: Any, log: Sequence[MeterRow], metric: str, source: str
) -> Iterable[dict[str, object]]:
    """The rows in the trial, and the one before and after, which its edges lie between."""
    begin_ns, end_ns = trial["zero_unix_ns"], trial["end_unix_ns"]
    for number, row in enumerate(log):
        before = log[max(number - 1, 0)].unix_ns
        after = log[min(number + 1, len(log) - 1)].unix_ns
        if before <= end_ns and after >= begin_ns:
            yield {
                "attempt_id": trial["attempt_id"],
                "offset_ns": row.unix_ns - begin_ns,
                "metric": metric,
                "source": source,
                "value": row.value,
                "submission_id": trial["submission_id"],
            }


def _check_meters(covered: Sequence[Any], source: str, file: Path) -> None:
    """Two logs over one trial would be two truths."""
    for trial in covered:
        if trial["meter"] not in (None, source):
            raise UserError(
                f"{file}: {trial['trial_id']} has readings of {trial['meter']} already",
                "leave out the rows of that time",
            )


def _covers_none(machine: str, trials: Sequence[Any], log: Sequence[MeterRow]) -> UserError:
    span = f"{_time(log[0].unix_ns)} to {_time(log[-1].unix_ns)}"
    ran = f"{_time(trials[0]['zero_unix_ns'])} to {_time(trials[-1]['end_unix_ns'])}"
    return UserError(
        f"the log covers {span}; no trial of {machine} lies in it (they ran {ran}; all times UTC)",
        "where the meter's clock is off, move it: --shift SECONDS",
    )


def _time(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
