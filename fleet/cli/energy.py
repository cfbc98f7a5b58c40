"""fleet energy: what answers cost in joules, and the log of a wall meter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fleet.cli import options, output
from fleet.compare.tables import Column, fitted
from fleet.units import show_number

SHOW_EPILOG = """\b
    fleet energy show               all cells whose energy was read
    fleet energy show wired-limit   those of one experiment
"""
IMPORT_EPILOG = """\b
    fleet energy import plug.csv --machine studio-96
    fleet energy import plug.csv --machine studio-96 --shift -2.5
"""
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
    from fleet.app import metering as app

    found = app.read_energy(options.folders(store), experiment)
    if json:
        options.print_json(found)
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
    store: options.Store = None,
) -> None:
    """Put the log of a wall meter beside the trials that ran meanwhile.

    Columns are found by name: time or unix_s; power_w, kW, energy_wh or energy_kwh.
    """
    from fleet.app import metering as app
    from fleet.cli import asking

    for line in app.import_meter(asking.home(store), file, machine=machine, shift_s=shift):
        output.emit([line])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(row["machine"]),
        str(row["model"]),
        str(row["point"]),
        str(row["scope"]),
        _number(row["joules_per_token"]),
        _number(row["tokens_per_joule"]),
        _number(row["net_joules_per_token"]),
        _number(row["prefill_joules_per_token"]),
        _number(row["decode_joules_per_token"]),
        _number(row["mean_w"], " W"),
        _number(row["idle_w"], " W"),
        str(row["trials"]),
        str(row["invalid"] or ""),
        str(row["source"]),
    )


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{show_number(value)}{unit}"


def add(app: typer.Typer) -> None:
    room = typer.Typer(help="Joules: what answers cost.", no_args_is_help=True)
    room.callback()(lambda: None)
    room.command(epilog=SHOW_EPILOG)(show)
    room.command("import", epilog=IMPORT_EPILOG)(import_meter)
    app.add_typer(room, name="energy")
