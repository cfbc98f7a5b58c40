"""fleet energy: what answers cost in joules, and the log of a wall meter."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from fleet.cli import options, output

SHOW_EPILOG = """\b
    fleet energy show               all cells whose energy was measured
    fleet energy show wired-limit   those of one experiment
"""
IMPORT_EPILOG = """\b
    fleet energy import plug.csv --machine studio-96
    fleet energy import plug.csv --machine studio-96 --shift -2.5 --zone local
"""

File = Annotated[Path, typer.Argument(help="CSV with a column of times and one of power.")]
Machine = Annotated[str, typer.Option("--machine", help="Name of the machine it measured.")]
Shift = Annotated[float, typer.Option("--shift", help="Seconds to add to the meter's times.")]
Zone = Annotated[
    str,
    typer.Option("--zone", help="Zone of times without one: UTC, local, +02:00, Europe/Berlin."),
]


def show(
    experiment: options.Experiment = None,
    home: options.Home = None,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """Show what each cell costs in energy.

    J/token is the energy of a request divided by the tokens it wrote; prefill and decode are
    joules per token of their own. Only values of one scope can be compared.
    """
    from fleet.app import energy as app
    from fleet.report.comparison_text import to_json
    from fleet.report.energy_text import energy_lines

    rows = app.read_energy(options.homes(home, store), experiment)
    if json:
        options.print_json(to_json(rows))
    else:
        output.emit(energy_lines(rows, output.columns()))


# parameters: each is an option of the command
def import_meter(
    file: File,
    machine: Machine,
    shift: Shift = 0.0,
    zone: Zone = "UTC",
    home: options.Home = None,
    json: options.Json = False,
) -> None:
    """Store the log of a wall meter with the trials it covers.

    Columns are found by name: time or unix_s; power_w, kW, energy_wh or energy_kwh. A log with a
    line that cannot be read is refused with the number of each such line.
    """
    from fleet.app import energy as app
    from fleet.folders import home_folder
    from fleet.report.energy_text import meter_lines

    folder = home_folder(home)
    request = app.MeterRequest(file=file, machine=machine, shift_s=shift, zone=zone)
    report = app.import_meter(folder, request)
    if json:
        options.print_json(dataclasses.asdict(report))
    else:
        output.emit(meter_lines(report, folder))


def commands() -> typer.Typer:
    """Return the commands of this group."""
    group = typer.Typer(
        help="Show what answers cost in joules.", epilog=SHOW_EPILOG, no_args_is_help=True
    )
    group.callback()(lambda: None)
    group.command(epilog=SHOW_EPILOG)(show)
    group.command("import", epilog=IMPORT_EPILOG)(import_meter)
    return group
