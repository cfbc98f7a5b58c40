"""fleet sql: any query over the results, in a process that can change nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options, output

EPILOG = """\b
    fleet sql "show tables"
    fleet sql "select machine, model, point, decode_tokens_per_s from cells"
    fleet sql "from requests_flagged where not valid and not warmup" --json
"""

Query = Annotated[str, typer.Argument(help="One DuckDB query over tables and views.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds the query may take.")]


def sql(
    query: Query,
    home: options.Home = None,
    store: options.Stores = None,
    timeout: Timeout = 60.0,
    json: options.Json = False,
) -> None:
    """Query the results in SQL.

    Nothing can be written, and no other file can be read.
    """
    from fleet.app import sql as app
    from fleet.report.sql_text import MOST_ROWS, table_lines

    columns, rows = app.read_sql(options.homes(home, store), query, timeout)
    if json:
        options.print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    output.emit(table_lines(columns, rows, output.columns()))
    if len(rows) > MOST_ROWS:
        output.say(f"{len(rows) - MOST_ROWS} more rows: --json prints all")
