"""fleet selftest: what is reported, held against what an engine of known timing did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.app.selftest import Report
    from fleet.app.selftest_checks import Accuracy, Raised

EPILOG = """\b
    fleet selftest
    fleet selftest --full
    fleet selftest --json
"""

BUSY = (
    "other programs keep this machine busy: engine and client are late, and rightly flagged so; "
    "run it again when they have ended"
)

Full = Annotated[
    bool,
    typer.Option("--full", help="2 000 tokens at each speed, 10 000 clean requests: 20 minutes."),
]


def selftest(full: Full = False, json: options.Json = False) -> None:
    """Prove on this machine that fleet reports what happened.

    A simulated engine of known timing is measured as any other; what is then reported is held
    against the moments at which the engine wrote each token, and each fault injected into it
    against the flags. Takes a minute. Exit code 1 where anything is off.
    """
    from fleet.app import selftest as app
    from fleet.app.selftest_stages import FULL, QUICK

    report = app.selftest(output.say, FULL if full else QUICK)
    if json:
        from fleet.report import comparison_text as text

        options.print_json({**_dict(text.to_json(report)), "ok": report.ok})
    else:
        output.emit(report_lines(report))
    raise typer.Exit(0 if report.ok else 1)


def report_lines(report: Report) -> list[str]:
    from fleet.report.tables import aligned
    from fleet.units import show_span

    accuracy = aligned(
        ("metric", "runner", "speed", "n", "reported", "true", "error", "allowed", "ok"),
        [_accuracy_cells(each) for each in report.accuracy],
        right=("speed", "n", "reported", "true", "error", "allowed"),
    )
    flags = aligned(
        ("fault", "flag", "raised", "other flags", "elsewhere", "ok"),
        [_flag_cells(each) for each in report.flags],
        right=("raised", "elsewhere"),
    )
    clean = f"{report.clean_requests:,} requests without a fault: {report.clean_flagged:,} flagged"
    took = f"{report.requests:,} requests in {show_span(report.seconds)}"
    load = f"load {report.load:.1f} on {report.cores} cores"
    verdict = "all as it happened" if report.ok else "not all is reported as it happened"
    busy = [BUSY] if report.load > report.cores and not report.ok else []
    return [*accuracy, "", *flags, "", clean, f"{took}, {load}: {verdict}", *busy]


def _accuracy_cells(each: Accuracy) -> tuple[str, ...]:
    return (
        each.metric,
        each.runner,
        f"{each.tokens_per_s:,}/s",
        str(each.requests),
        _value(each.reported, each.unit),
        _value(each.true, each.unit),
        _error(each.error, each),
        _error(each.allowed, each),
        _yes(each.ok),
    )


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "not reported"
    return f"{value:,.3f} ms" if unit == "ms" else f"{value:,.2f}"


def _error(value: float | None, each: Accuracy) -> str:
    if value is None:
        return ""
    return f"{100 * value:.3f} %" if each.relative else f"{value:.3f} {each.unit}"


def _flag_cells(each: Raised) -> tuple[str, ...]:
    raised = f"{each.raised} of {each.injected}"
    return (
        each.fault,
        each.flag,
        raised,
        " ".join(each.others),
        str(each.elsewhere),
        _yes(each.ok),
    )


def _yes(ok: bool) -> str:
    return "yes" if ok else "NO"


def _dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(selftest)
