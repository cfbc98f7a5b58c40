"""fleet compare: verdicts, with absolute medians and n beside every ratio."""

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

Exit code 1 if a side is slower or takes more energy (--fail-if), 2 if nothing could be judged.
"""

MOST_SAME_PERCENT = 50.0


class ComparisonFormat(StrEnum):
    """How a comparison is printed."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


class FailIf(StrEnum):
    """Which verdicts end with exit code 1."""

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

FAILING_BY_DEFAULT = (FailIf.SLOWER, FailIf.MORE)

Words = Annotated[
    list[str] | None,
    typer.Argument(help="An experiment, then its sides; all of them by default.", metavar="NAME"),
]
By = Annotated[
    str, typer.Option("--by", help="Axis to compare by: machine, model, date, a setting or a fact.")
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", help="prefill, decode, ttft, load, throughput, energy ..."),
]
Where = Annotated[
    str, typer.Option("--where", help="Only trials with these values: column=value, column=value.")
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="The side to compare with; otherwise the first one."),
]
AllowDiff = Annotated[
    list[str] | None,
    typer.Option("--allow-diff", help="Compare although this fact differs; may be repeated."),
]
Pool = Annotated[bool, typer.Option("--pool", help="Pool unlike machines on one side.")]
SameWithin = Annotated[
    float,
    typer.Option(
        "--same-within",
        min=0.1,
        max=MOST_SAME_PERCENT,
        help="Per cent: sides are the same if the whole interval lies within.",
    ),
]
Failing = Annotated[
    list[FailIf] | None,
    typer.Option(
        "--fail-if", help="Verdict that ends with exit code 1; otherwise slower and more."
    ),
]
Formats = Annotated[ComparisonFormat, typer.Option("--format", help="text, markdown or json.")]
Classes = Annotated[
    bool, typer.Option("--classes", help="Print which facts may differ on this axis.")
]


# parameters: each is an option of the command
def compare(
    words: Words = None,
    by: By = "machine",
    home: options.Home = None,
    store: options.Stores = None,
    metric: Metrics = None,
    where: Where = "",
    baseline: Baseline = None,
    allow_diff: AllowDiff = None,
    pool: Pool = False,
    same_within: SameWithin = 5.0,
    fail_if: Failing = None,
    format: Formats = ComparisonFormat.TEXT,
    classes: Classes = False,
    json: options.Json = False,
) -> None:
    """Compare sides: faster, slower, same, or not resolved."""
    from fleet.app import compare as app
    from fleet.compare.request import ComparisonRequest
    from fleet.folders import with_home

    form = ComparisonFormat.JSON if json else format
    if classes:
        _print_classes(by, form)
        return
    homes = options.homes(home, store)
    request = ComparisonRequest(
        axis=by,
        where=where,
        metrics=tuple(metric or ("prefill", "decode")),
        baseline=baseline,
        allow_diff=tuple(allow_diff or ()),
        pool=pool,
        same_within=same_within / 100,
    )
    comparison = app.read_comparison(homes, words or [], request)
    _print(comparison, form)
    _check_judged(comparison, with_home("fleet results", *homes))
    failing = frozenset[str]().union(*(FAILING[each] for each in fail_if or FAILING_BY_DEFAULT))
    raise typer.Exit(1 if comparison.words() & failing else 0)


def _print(comparison: Comparison, form: ComparisonFormat) -> None:
    from fleet.report import comparison_text as text

    if form is ComparisonFormat.JSON:
        options.print_json(text.to_json(comparison))
    elif form is ComparisonFormat.MARKDOWN:
        output.emit_data(text.comparison_markdown(comparison))
    else:
        output.emit(text.comparison_lines(comparison, output.columns()), verdicts=True)


def _print_classes(by: str, form: ComparisonFormat) -> None:
    from fleet.comparability import check_axis
    from fleet.report import comparison_text as text

    axis = check_axis(by)
    if form is ComparisonFormat.JSON:
        options.print_json(text.classes(axis))
    elif form is ComparisonFormat.MARKDOWN:
        print(text.class_page(), end="")
    else:
        output.emit(text.class_lines(axis))


def _check_judged(comparison: Comparison, results: str) -> None:
    """Raise UserError if no side got a verdict; `results`: the command that lists the cells."""
    from fleet.compare.designs import NEEDED
    from fleet.errors import UserError

    judged = [line for line in comparison.sides() if line.verdict != "not comparable"]
    if judged and all(line.too_few for line in judged):
        raise UserError("too few trials for any verdict", NEEDED)
    if judged:
        return
    if not comparison.refused:
        raise UserError("nothing is comparable, for the reasons above", results)
    allowed = " ".join(f"--allow-diff {fact}" for fact in comparison.refused)
    raise UserError(
        f"nothing is comparable: {', '.join(comparison.refused)} differ",
        f"{shlex.join(['fleet', *sys.argv[1:]])} {allowed}, which says what differs beside each",
    )
