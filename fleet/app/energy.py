"""Energy: what cells cost, and the log of a wall meter put beside the trials it ran through."""

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
from fleet.folders import results_folder
from fleet.identity import content_id
from fleet.query.energy import EnergyOfCell, MeteredTrial, energy_of_cells, metered_trials
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.results import check_experiment
from fleet.readers.wall_meter import MeterLog, MeterRow, Zoned, parse_meter
from fleet.store.text_files import read_text
from fleet.units import NS_PER_S, show_count

LEAST_ROWS = 2
"""Within a trial, for it to have an energy."""
MOST_FAULTS = 20
MOST_SHIFT_S = 10 * 366 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterRequest:
    """What the user asks of `fleet energy import`."""

    file: Path
    machine: str
    shift_s: float = 0.0
    """Added to the meter's times."""
    zone: str = "UTC"
    """Of times that name none."""


@interruptible()
def read_energy(homes: Sequence[Path], experiment: str | None) -> list[EnergyOfCell]:
    """One row per cell, point and scope."""
    folders = [results_folder(home) for home in homes]
    with closing(open_store(folders, WITH_READINGS, views=("trials",))) as con:
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
    """Rows of which a reading was stored, with one trial or with two."""
    outside: tuple[int, ...]
    """Lines of those that lie in no trial, and beside none."""
    without_value: tuple[int, ...]
    """Lines on which the meter said nothing."""
    thin: tuple[str, ...]
    """Trials that have a row of the log, but not the two that an energy needs."""
    zone: str
    """Of the times that name none; empty where all name one."""


def import_meter(home: Path, request: MeterRequest) -> MeterReport:
    """Stores the log beside the trials; the same log again changes nothing.

    Raises UserError where it covers no trial, or one that has the log of another meter.
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
    """Reads UTC, `local` for this computer's zone, `+02:00`, or a name such as Europe/Berlin.

    Raises UserError.
    """
    if text.casefold() == "local":
        return in_local_zone
    zone: tzinfo
    try:
        zone = UTC if text.upper() in ("UTC", "Z") else _offset(text) or ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise UserError(
            f"--zone {text!r} is no time zone", "write --zone local, +02:00 or Europe/Berlin"
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
        raise UserError(
            f"--shift {shift_s}: a clock is not off by so much", "write --shift SECONDS"
        )
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
        raise UserError(f"{file}: {show_count(len(log.rows), 'row')}: no log of a meter")
    return log


def _mistake(file: Path, line: int, column: str, what: str) -> Mistake:
    return Mistake(file=str(file), line=line, column=1, field=column, what=what)


def _trials(home: Path, machine: str) -> list[MeteredTrial]:
    """Those of one machine, in order of time. Raises UnknownName."""
    with closing(open_store([results_folder(home)], WITH_READINGS)) as con:
        found = metered_trials(con, machine)
        names = "select distinct machine from trials where not coalesce(imported, false)"
        there = [str(row["machine"]) for row in rows(con, names)]
    if not found:
        near = nearest(machine, there)
        meant = f" (did you mean {near}?)" if near else ""
        raise UnknownName(f"{machine}: no trial of such a machine{meant}", "fleet machines")
    return found


def _within(trial: MeteredTrial, times: Sequence[int]) -> range:
    """Returns the places of the rows that lie in the trial."""
    begin = bisect_left(times, trial.zero_unix_ns)
    return range(begin, bisect_right(times, trial.end_unix_ns))


def _beside(trial: MeteredTrial, times: Sequence[int]) -> range:
    """Returns them with the row before and the row after: the trial's edges lie between."""
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
    """Two logs over one trial would be two truths."""
    for trial in covered:
        if trial.meter not in (None, source):
            raise UserError(
                f"{file}: {trial.trial_id} has readings of {trial.meter} already",
                "leave out the rows of that time",
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
    clock = "where the meter's clock is off, move it: --shift SECONDS"
    if not names_no_zone:
        return UserError(what, clock)
    return UserError(
        f"{what}; its own times name no zone and were read as {request.zone}",
        f"say their zone: --zone {_other_zone(request.zone, trials[-1].utc_offset_s)}; {clock}",
    )


def _other_zone(zone: str, offset_s: int | None) -> str:
    """Proposes the machine's zone where it is known and not UTC, else this computer's."""
    if offset_s and zone.upper() == "UTC":
        hours, minutes = divmod(abs(offset_s) // 60, 60)
        return f"{'+' if offset_s > 0 else '-'}{hours:02d}:{minutes:02d}"
    return "local" if zone != "local" else "UTC"


def _time(unix_ns: int) -> str:
    return f"{datetime.fromtimestamp(unix_ns / NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
