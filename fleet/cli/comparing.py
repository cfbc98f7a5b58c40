"""fleet compare: verdicts, absolute medians with n beside every ratio."""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import options

EPILOG = """\b
    fleet compare --by machine
    fleet compare gpt-oss --by machine studio-96 studio-256
    fleet compare --by num_batch --where "model='gpt-oss:20b'" --metric ttft
    fleet compare --by memory_gb --store ./studio --store ./box
"""

By = Annotated[str, typer.Option("--by", help="The axis: machine, model, a setting, a fact.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", help="prefill, decode, ttft or load.")
]
Where = Annotated[str, typer.Option("--where", help="Only these: column=value, column=value.")]
Baseline = Annotated[str | None, typer.Option("--baseline", help="The side to compare with.")]
AllowDiff = Annotated[
    list[str] | None, typer.Option("--allow-diff", help="A field that may differ all the same.")
]
Pool = Annotated[bool, typer.Option("--pool", help="Put unlike machines on one side.")]


def compare(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="An experiment, then sides.", metavar="[EXPERIMENT] [SIDE]..."),
    ] = None,
    by: By = "machine",
    store: options.Stores = None,
    metric: Metrics = None,
    where: Where = "",
    baseline: Baseline = None,
    allow_diff: AllowDiff = None,
    pool: Pool = False,
    json: options.Json = False,
) -> None:
    """Compare sides: faster, slower, same, or not.

    Exit code 1 where a side is slower than the baseline.
    """
    from fleet.app import reading as app
    from fleet.compare import text

    asked = app.Comparing(
        by=by,
        words=tuple(words or ()),
        where=where,
        metrics=tuple(metric or ("prefill", "decode")),
        baseline=baseline,
        allow_diff=tuple(allow_diff or ()),
        pool=pool,
    )
    found = app.read_comparison(options.folders(store), asked)
    if json:
        options.print_json(text.to_json(found))
    else:
        print("\n".join(text.comparison_lines(found)))
    slower = any(line.verdict == "slower" for group in found.groups for line in group.lines)
    raise typer.Exit(1 if slower else 0)


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(compare)
