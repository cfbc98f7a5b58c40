"""What the self-test found: a table of accuracies, a table of flags, and the verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fleet.report.tables import aligned
from fleet.units import show_span

if TYPE_CHECKING:
    from fleet.app.selftest import SelftestReport
    from fleet.app.selftest_checks import Accuracy, FlagCount

BUSY = (
    "other programs keep this machine busy, so engine and client are late, and are flagged "
    "rightly; run it again when they have ended"
)


def report_lines(report: SelftestReport) -> list[str]:
    """Return both tables, then the verdict."""
    accuracy = aligned(
        ("metric", "speed", "n", "reported", "true", "error", "allowed", "ok"),
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
    all_right = "everything" if report.ok else "not everything"
    verdict = f"{all_right} is reported as it happened"
    busy = [BUSY] if report.load > report.cores and not report.ok else []
    return [*accuracy, "", *flags, "", clean, f"{took}, {load}: {verdict}", *busy]


def report_data(report: SelftestReport) -> dict[str, object]:
    """Return the report for --json."""
    return {**asdict(report), "ok": report.ok}


def _accuracy_cells(accuracy: Accuracy) -> tuple[str, ...]:
    return (
        accuracy.metric,
        f"{accuracy.tokens_per_s:,}/s",
        str(accuracy.requests),
        _value(accuracy.reported, accuracy.unit),
        _value(accuracy.true, accuracy.unit),
        _error(accuracy.error, accuracy),
        _error(accuracy.allowed, accuracy),
        _yes(accuracy.ok),
    )


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "not reported"
    return f"{value:,.3f} ms" if unit == "ms" else f"{value:,.2f}"


def _error(value: float | None, accuracy: Accuracy) -> str:
    if value is None:
        return ""
    return f"{100 * value:.3f} %" if accuracy.relative else f"{value:.3f} {accuracy.unit}"


def _flag_cells(flag: FlagCount) -> tuple[str, ...]:
    return (
        flag.fault,
        flag.flag,
        f"{flag.raised} of {flag.injected}",
        " ".join(flag.others),
        str(flag.elsewhere),
        _yes(flag.ok),
    )


def _yes(ok: bool) -> str:
    return "yes" if ok else "NO"
