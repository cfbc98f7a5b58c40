"""fleet compare: verdicts, absolute medians with n beside every ratio."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.compare.result import Comparison

EPILOG = """\b
    fleet compare --by machine
    fleet compare gpt-oss --by machine studio-96 studio-256
    fleet compare --by num_batch --where "model='gpt-oss:20b'" --metric ttft
    fleet compare --by machine --metric energy
    fleet compare --by memory_gb --store ./studio --store ./box
    fleet compare --by date 2026-11-01 2026-11-20 --allow-diff digest
    fleet compare --by date 2026-10 2026-11-01..2026-11-15
    fleet compare --by machine --format markdown
    fleet compare --by engine_version --fail-if different
    fleet compare --by model --classes

Exit code 1 where a side is slower or takes more energy (--fail-if), 2 where nothing could be
judged.
"""

MOST_SAME_PERCENT = 50.0


class Format(StrEnum):
    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


class FailIf(StrEnum):
    SLOWER = "slower"
    MORE = "more"
    DIFFERENT = "different"
    NOT_RESOLVED = "not-resolved"
    NEVER = "never"


FAILING: dict[FailIf, frozenset[str]] = {
    FailIf.SLOWER: frozenset({"slower"}),
    FailIf.MORE: frozenset({"more"}),
    FailIf.DIFFERENT: frozenset({"slower", "faster", "more", "less"}),
    FailIf.NOT_RESOLVED: frozenset({"not resolved", "not comparable"}),
    FailIf.NEVER: frozenset(),
}

FAILING_ELSE = (FailIf.SLOWER, FailIf.MORE)

By = Annotated[str, typer.Option("--by", help="The axis: machine, model, date, a setting, a fact.")]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="prefill, decode, ttft, load, throughput, energy ..."),
]
Where = Annotated[str, typer.Option("--where", help="Only these: column=value, column=value.")]
Baseline = Annotated[
    str | None, typer.Option("--baseline", help="The side to compare with; else the first named.")
]
AllowDiff = Annotated[
    list[str] | None, typer.Option("--allow-diff", help="A fact that may differ all the same.")
]
Pool = Annotated[bool, typer.Option("--pool", help="Put unlike machines on one side.")]
SameWithin = Annotated[
    float,
    typer.Option(
        "--same-within",
        min=0.1,
        max=MOST_SAME_PERCENT,
        help="Per cent: same is what lies within it, interval and all.",
    ),
]
Failing = Annotated[
    list[FailIf] | None,
    typer.Option("--fail-if", help="When to end with exit code 1; else slower and more."),
]
Formats = Annotated[Format, typer.Option("--format", help="text, markdown or json.")]
Classes = Annotated[
    bool, typer.Option("--classes", help="Print what this axis implies, lists, refuses.")
]


def compare(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="An experiment, then its sides; all without them.", metavar="NAME"),
    ] = None,
    by: By = "machine",
    store: options.Stores = None,
    metric: Metrics = None,
    where: Where = "",
    baseline: Baseline = None,
    allow_diff: AllowDiff = None,
    pool: Pool = False,
    same_within: SameWithin = 5.0,
    fail_if: Failing = None,
    format: Formats = Format.TEXT,
    classes: Classes = False,
    json: options.Json = False,
) -> None:
    """Compare sides: faster, slower, same, or not; of energy: less or more."""
    from fleet.app import compare as app
    from fleet.compare.request import ComparisonRequest

    form = Format.JSON if json else format
    if classes:
        _print_classes(by, form)
        return
    request = ComparisonRequest(
        axis=by,
        where=where,
        metrics=tuple(metric or ("prefill", "decode")),
        baseline=baseline,
        allow_diff=tuple(allow_diff or ()),
        pool=pool,
        same_within=same_within / 100,
    )
    found = app.read_comparison(options.folders(store), words or [], request)
    _print(found, form)
    _check_judged(found)
    failing = frozenset[str]().union(*(FAILING[each] for each in fail_if or FAILING_ELSE))
    raise typer.Exit(1 if found.words() & failing else 0)


def _print(found: Comparison, form: Format) -> None:
    from fleet.report import comparison_text as text

    if form is Format.JSON:
        options.print_json(text.to_json(found))
    elif form is Format.MARKDOWN:
        output.emit_data(text.comparison_markdown(found))
    else:
        output.emit(text.comparison_lines(found, output.columns()), verdicts=True)


def _print_classes(by: str, form: Format) -> None:
    from fleet.comparability import check_axis
    from fleet.report import comparison_text as text

    axis = check_axis(by)
    if form is Format.JSON:
        options.print_json(text.classes(axis))
    elif form is Format.MARKDOWN:
        print(text.class_page(), end="")
    else:
        output.emit(text.class_lines(axis))


def _check_judged(found: Comparison) -> None:
    """Where no side got a verdict for want of trials, or all were refused, that is an error."""
    from fleet.compare.designs import NEEDED
    from fleet.errors import UserError

    judged = [line for line in found.sides() if line.verdict != "not comparable"]
    if judged and all(line.too_few for line in judged):
        raise UserError("too few trials for any verdict", NEEDED)
    if judged:
        return
    if not found.refused:
        raise UserError("nothing is comparable, for the reasons above", "fleet results")
    allowed = " ".join(f"--allow-diff {fact}" for fact in found.refused)
    raise UserError(
        f"nothing is comparable: {', '.join(found.refused)} differ",
        f"{shlex.join(['fleet', *sys.argv[1:]])} {allowed}, which says what differs beside each",
    )


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(compare)
