"""Energy: what cells cost, and the log of a wall meter stored with the trials it covers."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.app.home import Home
from fleet.app.interrupts import interruptible
from fleet.clock import in_local_zone
from fleet.errors import ConfigError, Mistake, UnknownName, UserError, nearest
from fleet.folders import results_folder, results_folders, with_home
from fleet.identity import content_id
from fleet.query.energy import EnergyOfCell, MeteredTrial, energy_of_cells, metered_trials
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.results import check_experiment
from fleet.readers.wall_meter import MeterLog, MeterRow, Zoned, parse_meter
from fleet.store.text_files import read_text
from fleet.units import NS_PER_S, show_count

LEAST_ROWS = 2
"""Rows within a trial that an energy needs."""
MOST_FAULTS = 20
MOST_SHIFT_S = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRequest:
    """The request of `fleet energy import`."""

    file: Path
    machine: str
    shift_s: float = 0.0
    """Added to the meter's times."""
    zone: str = "UTC"
    """Zone of times that name none."""


@interruptible()
def read_energy(homes: Sequence[Path], experiment: str | None) -> list[EnergyOfCell]:
    """Return a row for each cell, point and scope."""
    with closing(open_store(results_folders(homes), WITH_READINGS, views=("trials",))) as con:
        if experiment is not None:
            check_experiment(con, experiment)
        return energy_of_cells(con, experiment)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReport:
    """What became of each row of a log: `rows` is `stored`, `outside` and `without_value`."""

    machine: str
    metric: str
    readings: int
    trials: int
    rows: int
    stored: int
    """Rows that were stored as a reading, of one trial or of two."""
    outside: tuple[int, ...]
    """Lines of the rows that lie in no trial, and next to none."""
    without_value: tuple[int, ...]
    """Lines without a value."""
    thin: tuple[str, ...]
    """Trials with fewer rows than an energy needs."""
    zone: str
    """Zone of the times that name none; empty if all name one."""


def import_meter(home: Path, request: MeterRequest) -> MeterReport:
    """Store the log with its trials; the same log again changes nothing.

    Raises UserError if it covers no trial, or one that has the log of another meter.
    """
    log = _log(request.file, zone_of(request.zone))
    shift_ns = round(_seconds(request.shift_s) * NS_PER_S)
    shifted = [replace(row, unix_ns=row.unix_ns + shift_ns) for row in log.rows]
    values = [[row.unix_ns, row.value] for row in shifted]
    name = content_id("wall", [request.machine, log.metric, values])
    source = f"wall meter {request.file.name} {name[-6:]}"
    trials = _trials(home, request.machine)
    times = [row.unix_ns for row in shifted]
    within = [(trial, len(_within(trial, times))) for trial in trials]
    covered = [trial for trial, rows in within if rows >= LEAST_ROWS]
    if not covered:
        raise _covers_none(request, trials, times, log.names_no_zone)
    _check_meters(covered, source, request.file)
    places = [(trial, _beside(trial, times)) for trial in covered]
    readings = [
        _reading(trial, shifted[place], log.metric, source)
        for trial, beside in places
        for place in beside
    ]
    Home(home).store.add_readings(name, readings)
    stored = set[int]().union(*(beside for _, beside in places))
    return MeterReport(
        machine=request.machine,
        metric=log.metric,
        readings=len(readings),
        trials=len(covered),
        rows=len(shifted) + len(log.without_value),
        stored=len(stored),
        outside=tuple(row.line for place, row in enumerate(shifted) if place not in stored),
        without_value=log.without_value,
        thin=tuple(trial.trial_id for trial, rows in within if 0 < rows < LEAST_ROWS),
        zone=request.zone if log.names_no_zone else "",
    )


def zone_of(text: str) -> Zoned:
    """Read UTC, `local` for this computer's zone, `+02:00`, or a name such as Europe/Berlin.

    Raises UserError.
    """
    if text.casefold() == "local":
        return in_local_zone
    zone: tzinfo
    try:
        zone = UTC if text.upper() in ("UTC", "Z") else _offset(text) or ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise UserError(
            f"--zone {text!r} is not a time zone", "write --zone local, +02:00 or Europe/Berlin"
        ) from None
    return lambda written: written.replace(tzinfo=zone)


def _offset(text: str) -> timezone | None:
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None:
        return None
    span = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(span if match[1] == "+" else -span)


def _seconds(shift_s: float) -> float:
    if not abs(shift_s) <= MOST_SHIFT_S:
        raise UserError(f"--shift {shift_s}: no clock is off by that much", "write --shift SECONDS")
    return shift_s


def _log(file: Path, zoned: Zoned) -> MeterLog:
    log = parse_meter(read_text(file, "a CSV file of a wall meter"), zoned)
    if log.faults:
        shown = [_mistake(file, *fault) for fault in log.faults[:MOST_FAULTS]]
        if (more := len(log.faults) - MOST_FAULTS) > 0:
            line = log.faults[MOST_FAULTS][0]
            shown.append(_mistake(file, line, "", f"and {show_count(more, 'more line')} from here"))
        raise ConfigError(tuple(shown))
    if len(log.rows) < LEAST_ROWS:
        raise UserError(f"{file}: {show_count(len(log.rows), 'row')}, which is no log of a meter")
    return log


def _mistake(file: Path, line: int, column: str, what: str) -> Mistake:
    return Mistake(file=str(file), line=line, column=1, field=column, what=what)


def _trials(home: Path, machine: str) -> list[MeteredTrial]:
    """Return the trials of one machine, in order of time; raise UnknownName if there are none."""
    with closing(open_store([results_folder(home)], WITH_READINGS)) as con:
        trials = metered_trials(con, machine)
        names = "select distinct machine from trials where not coalesce(imported, false)"
        machines = [str(row["machine"]) for row in rows(con, names)]
    if not trials:
        suggestion = nearest(machine, machines)
        hint = f" (did you mean {suggestion}?)" if suggestion else ""
        what = f"{machine}: no trial of such a machine{hint}"
        raise UnknownName(what, with_home("fleet machines", home))
    return trials


def _within(trial: MeteredTrial, times: Sequence[int]) -> range:
    """Return the positions of the rows that lie in the trial."""
    begin = bisect_left(times, trial.zero_unix_ns)
    return range(begin, bisect_right(times, trial.end_unix_ns))


def _beside(trial: MeteredTrial, times: Sequence[int]) -> range:
    """Include the row before and the row after, between which the trial's edges lie."""
    within = _within(trial, times)
    return range(max(within.start - 1, 0), min(within.stop + 1, len(times)))


def _reading(trial: MeteredTrial, row: MeterRow, metric: str, source: str) -> dict[str, object]:
    return {
        "attempt_id": trial.attempt_id,
        "offset_ns": row.unix_ns - trial.zero_unix_ns,
        "metric": metric,
        "source": source,
        "value": row.value,
        "submission_id": trial.submission_id,
    }


def _check_meters(covered: Sequence[MeteredTrial], source: str, file: Path) -> None:
    """Raise UserError for a second log of one trial, which would contradict the first."""
    for trial in covered:
        if trial.meter not in (None, source):
            raise UserError(
                f"{file}: {trial.trial_id} has readings of {trial.meter} already",
                "remove the rows of that time",
            )


def _covers_none(
    request: MeterRequest, trials: Sequence[MeteredTrial], times: Sequence[int], names_no_zone: bool
) -> UserError:
    span = f"{_time(times[0])} to {_time(times[-1])}"
    ran = f"{_time(trials[0].zero_unix_ns)} to {_time(trials[-1].end_unix_ns)}"
    what = (
        f"the log covers {span}; no trial of {request.machine} lies in it "
        f"(they ran {ran}; all times UTC)"
    )
    clock = "if the meter's clock is off, move it: --shift SECONDS"
    if not names_no_zone:
        return UserError(what, clock)
    return UserError(
        f"{what}; its own times name no zone and were read as {request.zone}",
        f"name their zone: --zone {_other_zone(request.zone, trials[-1].utc_offset_s)}; {clock}",
    )


def _other_zone(zone: str, offset_s: int | None) -> str:
    """Propose the machine's zone if it is known and not UTC, else this computer's."""
    if offset_s and zone.upper() == "UTC":
        hours, minutes = divmod(abs(offset_s) // 60, 60)
        return f"{'+' if offset_s > 0 else '-'}{hours:02d}:{minutes:02d}"
    return "local" if zone != "local" else "UTC"


def _time(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
