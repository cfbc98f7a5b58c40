"""fleet energy: what answers cost in joules, and the log of a wall meter."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output
from fleet.report.tables import Column, fitted
from fleet.units import show_count, show_number

if TYPE_CHECKING:
    from fleet.app.energy import MeterReport
    from fleet.query.energy import EnergyOfCell

SHOW_EPILOG = """\b
    fleet energy show               all cells whose energy was read
    fleet energy show wired-limit   those of one experiment
"""
IMPORT_EPILOG = """\b
    fleet energy import plug.csv --machine studio-96
    fleet energy import plug.csv --machine studio-96 --shift -2.5 --zone local
"""
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
NO_ENERGY = "no energy: no machine told its power while it was measured"


def show(
    experiment: options.Experiment = None,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show what each cell costs in energy.

    J/token is all that a request used over the tokens it wrote; prefill and decode are joules per
    token of their own. Only values of one scope can be compared.
    """
    from fleet.app import energy as app
    from fleet.report.comparison_text import to_json

    found = app.read_energy(options.folders(store), experiment)
    if json:
        options.print_json(to_json(found))
        return
    if not found:
        output.emit([NO_ENERGY])
        return
    output.emit(fitted(COLUMNS, list(map(_cells, found)), output.columns()))


def import_meter(
    file: Annotated[Path, typer.Argument(help="CSV with a column of times and one of power.")],
    machine: Annotated[str, typer.Option("--machine", help="Name of the machine it measured.")],
    shift: Annotated[
        float, typer.Option("--shift", help="Seconds to add to the meter's times.")
    ] = 0.0,
    zone: Annotated[
        str,
        typer.Option("--zone", help="Of times that name none: UTC, local, +02:00, Europe/Berlin."),
    ] = "UTC",
    store: options.Store = None,
    json: options.Json = False,
) -> None:
    """Put the log of a wall meter beside the trials that ran meanwhile.

    Columns are found by name: time or unix_s; power_w, kW, energy_wh or energy_kwh. A log with a
    line that cannot be read is refused with the number of each such line.
    """
    from fleet.app import energy as app
    from fleet.cli import request as typed

    request = app.MeterRequest(file=file, machine=machine, shift_s=shift, zone=zone)
    report = app.import_meter(typed.home(store), request)
    if json:
        options.print_json(dataclasses.asdict(report))
        return
    output.emit(meter_lines(report))


def meter_lines(report: MeterReport) -> Iterator[str]:
    yield (
        f"stored: {show_count(report.readings, 'reading')} of {report.metric} "
        f"for {show_count(report.trials, 'trial')} of {report.machine}"
    )
    left_out = [
        (report.outside, "beside no trial that was covered"),
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
    yield "next:  fleet energy show"


def spans(lines: Sequence[int]) -> str:
    """Writes numbers in order as `lines 2 to 9, 12`."""
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


def add(app: typer.Typer) -> None:
    room = typer.Typer(help="Joules: what answers cost.", epilog=SHOW_EPILOG, no_args_is_help=True)
    room.callback()(lambda: None)
    room.command(epilog=SHOW_EPILOG)(show)
    room.command("import", epilog=IMPORT_EPILOG)(import_meter)
    app.add_typer(room, name="energy")
