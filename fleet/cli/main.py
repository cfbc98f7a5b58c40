"""The command line: one file per command; nothing heavy is loaded before a command is chosen."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from fleet import __version__
from fleet.cli import (
    advise,
    answers,
    bisect,
    cancel,
    compare,
    config,
    coordinate,
    doctor,
    energy,
    fit,
    head,
    import_,
    join,
    leave,
    machines,
    metrics,
    noise,
    output,
    plan,
    practice,
    results,
    selftest,
    show,
    sql,
    status,
    store,
    submit,
)
from fleet.errors import FleetError

HELP = """Measure local language models on several machines and compare them honestly.

\b
    fleet submit gpt-oss:20b            a first number in minutes
    fleet submit configs/gpt-oss.yaml   the same on every machine, compared
    fleet results                       what has been measured
    fleet compare --by machine          which machine is faster, by how much
"""

COMMANDS: Mapping[str, tuple[Callable[..., None], str]] = {
    "submit": (submit.submit, submit.EPILOG),
    "plan": (plan.plan, plan.EPILOG),
    "fit": (fit.fit, fit.EPILOG),
    "advise": (advise.advise, advise.EPILOG),
    "results": (results.results, results.EPILOG),
    "show": (show.show, show.EPILOG),
    "machines": (machines.machines, machines.EPILOG),
    "compare": (compare.compare, compare.EPILOG),
    "noise": (noise.noise, noise.EPILOG),
    "bisect": (bisect.bisect, bisect.EPILOG),
    "answers": (answers.answers, answers.EPILOG),
    "sql": (sql.sql, sql.EPILOG),
    "status": (status.status, status.EPILOG),
    "cancel": (cancel.cancel, cancel.EPILOG),
    "import": (import_.import_file, import_.EPILOG),
    "metrics": (metrics.metrics, metrics.EPILOG),
    "head": (head.head, head.EPILOG),
    "join": (join.join, join.EPILOG),
    "leave": (leave.leave, leave.EPILOG),
    "practice": (practice.practice, practice.EPILOG),
    "doctor": (doctor.doctor, doctor.EPILOG),
    "selftest": (selftest.selftest, selftest.EPILOG),
}
"""The function of each command and its examples, in the order in which help lists them."""


def print_version(requested: bool) -> None:
    """Print the version and end, if this was requested."""
    if requested:
        print(__version__)
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option(
        "--version", help="Print the version and exit.", is_eager=True, callback=print_version
    ),
]


def global_options(version: Version = False) -> None:
    """Take the options that stand before a command."""


def build() -> typer.Typer:
    """Return the program with all its commands."""
    app = typer.Typer(
        cls=output.Program,
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(global_options)
    for name, (function, epilog) in COMMANDS.items():
        app.command(name, epilog=epilog)(function)
    app.command(hidden=True)(coordinate.coordinate)
    app.add_typer(energy.commands(), name="energy")
    app.add_typer(config.commands(), name="config")
    app.add_typer(store.commands(), name="store")
    return app


def main() -> None:
    """Run one command; every known failure ends with one message and its exit code."""
    output.prepare()
    try:
        output.check_arguments(sys.argv[1:])
        build()(prog_name="fleet")
    except FleetError as problem:
        sys.exit(output.end(problem))
    except OSError as problem:  # while a wrong command line was reported
        sys.exit(output.end(output.as_message(problem)))
