"""A wall meter's log as CSV: a time column, and one of power or of total energy.

Columns are found by their names: `time`, `timestamp`, `unix_s`, `unix_ms` and the like;
`power_w`, `Power (W)`, `watts`, `kW`; `energy_wh`, `energy_kwh`, `joules`. Separated by comma,
semicolon (with decimal commas) or tab. Times are ISO 8601, UTC where they name no zone, or seconds
or milliseconds since 1970.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.units import NS_PER_S

TIMES = frozenset("time timestamp datetime date unix unixs unixms unixtime epoch ts".split())
POWERS = {"power": 1.0, "powerw": 1.0, "watts": 1.0, "watt": 1.0, "w": 1.0, "apower": 1.0}
POWERS |= {"activepower": 1.0, "activepowerw": 1.0, "kw": 1000.0, "powerkw": 1000.0}
ENERGIES = {"energywh": 3600.0, "wh": 3600.0, "energykwh": 3.6e6, "kwh": 3.6e6}
ENERGIES |= {"energyj": 1.0, "energyjoules": 1.0, "joules": 1.0, "totalenergykwh": 3.6e6}
MILLISECONDS_FROM = 1e11
"""As seconds that would be the year 5138."""
LEAST_UNIX_S, MOST_UNIX_S = 1e9, 4.1e9
"""2001 and 2099: what lies outside is no time of a measurement."""
MOST_WATTS = 100_000.0


@dataclass(frozen=True, slots=True)
class MeterRow:
    unix_ns: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLog:
    """Watts, or joules in total, in order of time; `faults` are (line, column name, what)."""

    metric: str
    """wall_power_w or wall_energy_joules; empty where there is no such column."""
    rows: tuple[MeterRow, ...]
    faults: tuple[tuple[int, str, str], ...]


def parse_meter(text: str) -> MeterLog:
    """Rows with an empty value are left out: the meter said nothing then."""
    lines = text.lstrip("\ufeff").splitlines()
    separator = _separator(lines[0] if lines else "")
    table = list(csv.reader(lines, delimiter=separator)) if lines else []
    names = table[0] if table else []
    time_at = _column(names, TIMES)
    energy_at, power_at = _column(names, ENERGIES), _column(names, POWERS)
    value_at = power_at if energy_at is None else energy_at
    if time_at is None or value_at is None:
        return MeterLog(metric="", rows=(), faults=tuple(_lacking(names, time_at, value_at)))
    metric = "wall_power_w" if energy_at is None else "wall_energy_joules"
    scale = (POWERS if energy_at is None else ENERGIES)[_plain(names[value_at])]
    reading = _Reading(names[time_at], names[value_at], scale, metric, separator == ";")
    for line, row in enumerate(table[1:], start=2):
        reading.take(line, row, time_at, value_at)
    return MeterLog(metric=metric, rows=tuple(reading.rows), faults=tuple(reading.faults))


class _Reading:
    """Row by row; what is wrong is noted with its line."""

    def __init__(
        self, time_name: str, value_name: str, scale: float, metric: str, decimal_comma: bool
    ) -> None:
        self._names = time_name, value_name
        self._scale = scale
        self._metric = metric
        self._decimal_comma = decimal_comma
        self.rows: list[MeterRow] = []
        self.faults: list[tuple[int, str, str]] = []

    def take(self, line: int, row: Sequence[str], time_at: int, value_at: int) -> None:
        if not any(cell.strip() for cell in row):
            return
        if len(row) <= max(time_at, value_at):
            self.faults.append((line, "", f"only {len(row)} columns"))
            return
        time_name, value_name = self._names
        unix_ns = unix_ns_of(row[time_at])
        if unix_ns is None:
            self.faults.append((line, time_name, f"{row[time_at]!r} is no time"))
            return
        if self.rows and unix_ns <= self.rows[-1].unix_ns:
            self.faults.append((line, time_name, f"{row[time_at]!r} is not after the row before"))
            return
        if not row[value_at].strip():
            return
        value = self._value(row[value_at])
        if isinstance(value, str):
            self.faults.append((line, value_name, value))
        else:
            self.rows.append(MeterRow(unix_ns, value))

    def _value(self, text: str) -> float | str:
        """The value, or what is wrong with it."""
        try:
            number = float(text.replace(",", ".") if self._decimal_comma else text)
        except ValueError:
            return f"{text!r} is no number"
        value = number * self._scale
        if not math.isfinite(value) or value < 0:
            return f"{text!r} cannot be"
        if self._metric == "wall_power_w" and value > MOST_WATTS:
            return f"{text!r} is more than {MOST_WATTS:.0f} W"
        return value


def unix_ns_of(text: str) -> int | None:
    """None where it is no time."""
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        number = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    seconds = number / 1000 if abs(number) >= MILLISECONDS_FROM else number
    return round(seconds * NS_PER_S) if LEAST_UNIX_S <= seconds <= MOST_UNIX_S else None


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


def _plain(name: str) -> str:
    """`Power (W)` is powerw."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _column(names: Sequence[str], known: Iterable[str]) -> int | None:
    wanted = set(known)
    return next((at for at, name in enumerate(names) if _plain(name) in wanted), None)


def _lacking(
    names: Sequence[str], time_at: int | None, value_at: int | None
) -> Iterable[tuple[int, str, str]]:
    there = ", ".join(names) or "nothing"
    if time_at is None:
        yield 1, "", f"no column of times, such as time or unix_s (there is: {there})"
    if value_at is None:
        yield 1, "", f"no column such as power_w or energy_wh (there is: {there})"
