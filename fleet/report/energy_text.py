"""What cells cost in joules, and what became of a wall meter's log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.folders import with_home
from fleet.report.tables import Column, fitted
from fleet.units import show_count, show_number

if TYPE_CHECKING:
    from fleet.app.energy import MeterReport
    from fleet.query.energy import EnergyOfCell

MOST_SPANS = 10
COLUMNS = (
    Column(title="machine", shared=True),
    Column(title="model", shared=True),
    Column(title="test"),
    Column(title="scope"),
    Column(title="J/token", right=True),
    Column(title="tokens/J", right=True, rank=3),
    Column(title="beyond-idle", right=True, rank=4),
    Column(title="prefill", right=True, rank=2),
    Column(title="decode", right=True, rank=1),
    Column(title="mean", right=True, rank=6),
    Column(title="idle", right=True, rank=7),
    Column(title="trials", right=True, rank=5, shared=True),
    Column(title="not-valid", shared=True),
    Column(title="source", rank=8, shared=True),
)
NO_ENERGY = "no energy: no machine reported its power while it was measured"


def energy_lines(rows: Sequence[EnergyOfCell], width: int | None) -> list[str]:
    """Return a table with a row for each cell and scope."""
    return fitted(COLUMNS, list(map(_cells, rows)), width) if rows else [NO_ENERGY]


def meter_lines(report: MeterReport, home: Path) -> Iterator[str]:
    """Describe what became of each row of a log."""
    yield (
        f"stored: {show_count(report.readings, 'reading')} of {report.metric} "
        f"for {show_count(report.trials, 'trial')} of {report.machine}"
    )
    left_out = [
        (report.outside, "outside every trial that the log covers"),
        (report.without_value, "without a value"),
    ]
    for numbers, why in left_out:
        if numbers:
            yield f"left out: {show_count(len(numbers), 'row')} {why}: {spans(numbers)}"
    if report.thin:
        few = ", ".join(report.thin[:MOST_SPANS])
        yield f"no energy for {show_count(len(report.thin), 'trial')} with one row each: {few}"
    yield f"{show_count(report.rows, 'row')} in the log: {report.stored} stored"
    if report.zone:
        yield f"its times name no zone and were read as {report.zone} (another: --zone local)"
    yield f"next:  {with_home('fleet energy show', home)}"


def spans(lines: Sequence[int]) -> str:
    """Write numbers in order as `lines 2 to 9, 12`."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    words = [f"{first} to {last}" if last > first else str(first) for first, last in runs]
    more = [f"and {len(words) - MOST_SPANS} more spans"] if len(words) > MOST_SPANS else []
    return f"{'line' if len(lines) == 1 else 'lines'} {', '.join([*words[:MOST_SPANS], *more])}"


def _cells(row: EnergyOfCell) -> tuple[str, ...]:
    return (
        row.machine,
        row.model,
        row.point,
        row.scope,
        _number(row.joules_per_token),
        _number(row.tokens_per_joule),
        _number(row.net_joules_per_token),
        _number(row.prefill_joules_per_token),
        _number(row.decode_joules_per_token),
        _number(row.mean_w, " W"),
        _number(row.idle_w, " W"),
        str(row.trials),
        row.invalid or "",
        row.source or "",
    )


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{show_number(value)}{unit}"
