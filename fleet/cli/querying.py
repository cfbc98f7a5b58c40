"""fleet sql: any question to the results, in a process that can change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options
from fleet.compare.tables import aligned

EPILOG = """\b
    fleet sql "show tables"
    fleet sql "select machine, model, point, decode_tokens_per_s from cells"
    fleet sql "from requests_flagged where not valid" --json
"""

MOST_ROWS = 200


def sql(
    query: Annotated[str, typer.Argument(help="One DuckDB query over tables and views.")],
    store: options.Stores = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds it may take.")
    ] = 60.0,
    json: options.Json = False,
) -> None:
    """Ask the results in SQL.

    Nothing can be written and no other file be read.
    """
    from fleet.app import reading as app

    columns, rows = app.read_sql(options.folders(store), query, timeout)
    if json:
        options.print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    shown = [["" if value is None else str(value) for value in row] for row in rows[:MOST_ROWS]]
    for line in aligned(columns, shown) if shown else ["no rows"]:
        print(line)
    if len(rows) > MOST_ROWS:
        typer.echo(f"{len(rows) - MOST_ROWS} more rows: --json prints all", err=True)


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(sql)
