"""fleet sql: any question to the results, in a process that can change nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from fleet.cli import options, output
from fleet.report.tables import Column, fitted, middle_cut
from fleet.units import show_count

EPILOG = """\b
    fleet sql "show tables"
    fleet sql "select machine, model, point, decode_tokens_per_s from cells"
    fleet sql "from requests_flagged where not valid and not warmup" --json
"""

MOST_ROWS = 200
PARTS, LEAST_LETTERS = 3, 16
"""A value may take so great a part of the width, and always so many letters."""
WIDER = "name the columns you want, or --json prints all"


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
    output.emit(answer_lines(columns, rows, output.columns()))
    if len(rows) > MOST_ROWS:
        output.say(f"{len(rows) - MOST_ROWS} more rows: --json prints all")


def answer_lines(
    columns: Sequence[str], rows: Sequence[Sequence[object]], width: int | None
) -> list[str]:
    """The columns that fit, from the first on; long values are cut in their middle."""
    if not rows:
        return ["no rows"]
    most = sys.maxsize if width is None else max(width // PARTS, LEAST_LETTERS)
    texts = [list(map(_text, row)) for row in rows[:MOST_ROWS]]
    cut = sum(len(text) > most for row in texts for text in row)
    shown = [[middle_cut(text, most) for text in row] for row in texts]
    heads = [
        Column(title=name, rank=at, right=_are_numbers(rows, at)) for at, name in enumerate(columns)
    ]
    lines = fitted(heads, shown, width, wider=WIDER)
    return [*lines, f"cut: {show_count(cut, 'long value')} (--json prints all)"] if cut else lines


def _text(value: object) -> str:
    """Of a fraction six digits: all of them stand in the JSON."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1e5 else f"{value:.6g}"
    return "" if value is None else str(value)


def _are_numbers(rows: Sequence[Sequence[object]], at: int) -> bool:
    values = [row[at] for row in rows if row[at] is not None]
    return bool(values) and all(isinstance(value, (int, float)) for value in values)


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(sql)
