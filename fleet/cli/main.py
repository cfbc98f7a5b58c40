"""The command line: one file per command, nothing heavy before a command is chosen."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fleet import __version__
from fleet.cli import (
    advise,
    answers,
    cluster,
    doctor,
    energy,
    fit,
    metrics,
    noise,
    output,
    reading,
    selftest,
    watching,
)
from fleet.cli import compare as comparing
from fleet.cli import config as configuration
from fleet.cli import import_ as importing
from fleet.cli import plan as planning
from fleet.cli import sql as querying
from fleet.cli import submit as submitting
from fleet.errors import FleetError

HELP = """Measure local language models on several machines and compare them honestly.

\b
    fleet submit gpt-oss:20b            a first number in minutes
    fleet submit configs/gpt-oss.yaml   the same on every machine, compared
    fleet results                       what has been measured
    fleet compare --by machine          which machine is faster, and how sure
"""


def print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and end.", is_eager=True, callback=print_version
    ),
]


def options_of_all(version: Version = False) -> None: ...


def build() -> typer.Typer:
    app = typer.Typer(
        cls=output.Program,
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options_of_all)
    for room in (
        submitting,
        planning,
        fit,
        advise,
        reading,
        comparing,
        noise,
        answers,
        querying,
        watching,
        importing,
        energy,
        metrics,
        configuration,
        cluster,
        doctor,
        selftest,
    ):
        room.add(app)
    return app


def main() -> None:
    """Run one command; every known failure ends in one message and its exit code."""
    output.prepare()
    try:
        output.check_arguments(sys.argv[1:])
        build()()
    except FleetError as problem:
        sys.exit(output.end(problem))
    except OSError as problem:  # while a wrong command line was being told
        sys.exit(output.end(output.as_message(problem)))
