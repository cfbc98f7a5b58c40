"""A wall meter's log as CSV: a time column, and one of power or of total energy.

Columns are found by their names: `time`, `timestamp`, `unix_s`, `unix_ms` and the like;
`power_w`, `Power (W)`, `watts`, `kW`; `energy_wh`, `energy_kwh`, `joules`. Separated by comma,
semicolon (with decimal commas) or tab. Times are ISO 8601, or seconds or milliseconds since 1970;
the caller says in which zone times are that name none.

Each line is a row of its own: a quotation mark that is never closed spoils its own line and no
other. Every line with anything on it becomes a row, a row without a value, or a fault. A row with
more cells than the head is a fault: a comma within a number has parted it, so its columns moved.
Above the head may stand empty lines, comments behind `#` and the `sep=;` of a spreadsheet.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.units import NS_PER_S, show_text

Zoned = Callable[[datetime], datetime]
"""Gives a time its zone; its `fold` is 1 for the second of two that a clock shows in autumn."""

TIMES = frozenset("time timestamp datetime date unix unixs unixms unixtime epoch ts".split())
POWERS = {"power": 1.0, "powerw": 1.0, "watts": 1.0, "watt": 1.0, "w": 1.0, "apower": 1.0}
POWERS |= {"activepower": 1.0, "activepowerw": 1.0, "kw": 1000.0, "powerkw": 1000.0}
ENERGIES = {"energywh": 3600.0, "wh": 3600.0, "energykwh": 3.6e6, "kwh": 3.6e6}
ENERGIES |= {"energyj": 1.0, "energyjoules": 1.0, "joules": 1.0, "totalenergykwh": 3.6e6}
MILLISECONDS_FROM = 1e11
"""As seconds that would be the year 5138."""
LEAST_UNIX_S, MOST_UNIX_S = 1e9, 4.1e9
"""2001 and 2099: what lies outside is no time of a measurement."""
MOST = {"wall_power_w": (100_000.0, "100000 W"), "wall_energy_joules": (1e14, "1e14 J")}
"""More than any socket gives, and what a meter counts in three years of it."""


LONGEST_CELL = 131_072
"""Letters: what the standard library reads as one."""
LONGEST_SHOWN = 40
MOST_COLUMNS = 1000
"""Of which time and value are looked for."""


@dataclass(frozen=True, slots=True)
class MeterRow:
    unix_ns: int
    value: float
    line: int = 0
    """In its file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterLog:
    """Watts, or joules in total, in order of time; `faults` are (line, column name, what)."""

    metric: str
    """wall_power_w or wall_energy_joules; empty where there is no such column."""
    rows: tuple[MeterRow, ...]
    faults: tuple[tuple[int, str, str], ...]
    without_value: tuple[int, ...] = ()
    """Lines on which the meter said nothing."""
    names_no_zone: bool = False
    """Some time in it is of the zone that the caller said."""


def in_utc(written: datetime) -> datetime:
    return written.replace(tzinfo=UTC)


def parse_meter(text: str, zoned: Zoned = in_utc) -> MeterLog:
    """Every row of the log, and every line that is none, with the reason."""
    lines = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head_at = _head_at(lines)
    separator = _separator(lines[head_at])
    head = _cells(lines[head_at], separator) or []
    names = [show_text(name, LONGEST_SHOWN) for name in head[:MOST_COLUMNS]]
    time_at = _column(names, TIMES)
    energy_at, power_at = _column(names, ENERGIES), _column(names, POWERS)
    value_at = power_at if energy_at is None else energy_at
    if time_at is None or value_at is None:
        return MeterLog(metric="", rows=(), faults=tuple(_lacking(names, head_at + 1)))
    metric = "wall_power_w" if energy_at is None else "wall_energy_joules"
    columns = _Columns(
        time_at=time_at,
        value_at=value_at,
        names=names,
        count=len(head),
        scale=(POWERS if energy_at is None else ENERGIES)[_plain(names[value_at])],
        most=MOST[metric],
        decimal_comma=separator == ";",
    )
    reader = _Reader(columns, zoned)
    for number, line in enumerate(lines[head_at + 1 :], start=head_at + 2):
        if line.strip():
            reader.take(number, _cells(line, separator))
    return MeterLog(
        metric=metric,
        rows=tuple(reader.rows),
        faults=tuple(reader.faults),
        without_value=tuple(reader.without_value),
        names_no_zone=reader.names_no_zone,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Where time and value stand in a row, and what the value is."""

    time_at: int
    value_at: int
    names: Sequence[str]
    count: int
    """Of the head."""
    scale: float
    most: tuple[float, str]
    decimal_comma: bool

    def value(self, text: str) -> float | str:
        """Watts or joules, or what is wrong."""
        try:
            number = float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError:
            return f"{_shown(text)} is no number"
        value, (most, in_words) = number * self.scale, self.most
        if not math.isfinite(value) or value < 0:
            return f"{_shown(text)} cannot be"
        return f"{_shown(text)} is more than {in_words}" if value > most else value


class _Reader:
    """Row by row; what is wrong is noted with its line."""

    def __init__(self, columns: _Columns, zoned: Zoned) -> None:
        self._columns = columns
        self._zoned = zoned
        self.rows: list[MeterRow] = []
        self.faults: list[tuple[int, str, str]] = []
        self.without_value: list[int] = []
        self.names_no_zone = False

    def take(self, line: int, cells: Sequence[str] | None) -> None:
        columns = self._columns
        if cells is None:
            self.faults.append((line, "", f"a cell of more than {LONGEST_CELL:,} characters"))
        elif not any(cell.strip() for cell in cells):
            self.without_value.append(line)
        elif len(cells) <= max(columns.time_at, columns.value_at):
            self.faults.append((line, "", f"only {len(cells)} columns"))
        elif any(cell.strip() for cell in cells[columns.count :]):
            self.faults.append(
                (line, "", f"{len(cells)} columns, and the head has {columns.count}")
            )
        else:
            self._take_row(line, cells[columns.time_at], cells[columns.value_at])

    def _take_row(self, line: int, time: str, written: str) -> None:
        names, columns = self._columns.names, self._columns
        unix_ns = self._unix_ns(time)
        if unix_ns is None:
            self.faults.append((line, names[columns.time_at], f"{_shown(time)} is no time"))
        elif self.rows and unix_ns <= self.rows[-1].unix_ns:
            what = f"{_shown(time)} is not after the row before"
            self.faults.append((line, names[columns.time_at], what))
        elif not written.strip():
            self.without_value.append(line)
        else:
            value = columns.value(written)
            if isinstance(value, str):
                self.faults.append((line, names[columns.value_at], value))
            else:
                self.rows.append(MeterRow(unix_ns, value, line))

    def _unix_ns(self, text: str) -> int | None:
        """Of two moments that a clock shows alike, the one that goes on after the row before."""
        last = self.rows[-1].unix_ns if self.rows else 0
        first = unix_ns_of(text, self._in_zone)
        if first is None or first > last:
            return first
        return unix_ns_of(text, lambda written: self._in_zone(written.replace(fold=1)))

    def _in_zone(self, written: datetime) -> datetime:
        self.names_no_zone = True
        return self._zoned(written)


def unix_ns_of(text: str, zoned: Zoned = in_utc) -> int | None:
    """None where it is no time."""
    seconds = _number(text.strip())
    if seconds is None:
        try:
            moment = datetime.fromisoformat(text.strip())
            aware = moment if moment.tzinfo else zoned(moment)
            seconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        except (ValueError, OverflowError, OSError):
            return None
    seconds = seconds / 1000 if abs(seconds) >= MILLISECONDS_FROM else seconds
    return round(seconds * NS_PER_S) if LEAST_UNIX_S <= seconds <= MOST_UNIX_S else None


def _shown(text: str) -> str:
    return repr(show_text(text, LONGEST_SHOWN))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _cells(line: str, separator: str) -> list[str] | None:
    """None where one of them is longer than any that a meter writes."""
    if '"' not in line and len(line) <= LONGEST_CELL:
        return line.split(separator)
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return None


def _head_at(lines: Sequence[str]) -> int:
    """Return the index of the first line that is neither empty nor a comment, else 0."""
    above = ("#", "sep=", '"sep=')
    return next(
        (
            at
            for at, line in enumerate(lines)
            if line.strip() and not line.lower().startswith(above)
        ),
        0,
    )


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


def _plain(name: str) -> str:
    """`Power (W)` is powerw."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _column(names: Sequence[str], known: Iterable[str]) -> int | None:
    wanted = set(known)
    return next((at for at, name in enumerate(names) if _plain(name) in wanted), None)


def _lacking(names: Sequence[str], line: int) -> Iterable[tuple[int, str, str]]:
    columns = show_text(", ".join(names)) or "nothing"
    if _column(names, TIMES) is None:
        yield line, "", f"no column of times, such as time or unix_s (there is: {columns})"
    if _column(names, [*ENERGIES, *POWERS]) is None:
        yield line, "", f"no column such as power_w or energy_wh (there is: {columns})"
