"""fleet metrics: what each number and each flag means."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options

EPILOG = """\b
    fleet metrics                          what each number and flag means
    fleet metrics --markdown               as a page of tables
"""


def metrics(
    markdown: Annotated[bool, typer.Option("--markdown", help="As a page of tables.")] = False,
    json: options.Json = False,
) -> None:
    """Show the metric dictionary: each number, each flag, and how they are computed."""
    from dataclasses import asdict

    from fleet.compare import dictionary

    if json:
        options.print_json(
            {
                "version": dictionary.VERSION,
                "metrics": [asdict(entry) for entry in dictionary.METRICS],
                "flags": [asdict(flag) for flag in dictionary.FLAGS],
            }
        )
    elif markdown:
        print(dictionary.markdown(), end="")
    else:
        print("\n".join(dictionary.lines()))


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(metrics)
