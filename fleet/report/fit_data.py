"""The advisor's reports as data for --json; sizes in bytes, rates in tokens per second."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.advisor.amounts import Amount
from fleet.advisor.limits import Limit
from fleet.advisor.report import Line, Report
from fleet.advisor.speed import Rate


def as_data(report: Report) -> dict[str, object]:
    """Return the whole report of one model on one machine."""
    return {
        "model": report.shape.name,
        "architecture": report.shape.architecture,
        "quantization": report.shape.quantization or None,
        "machine": report.box.name if report.box else None,
        "notes": [*report.shape.notes, *(report.box.notes if report.box else ())],
        "setup": {
            "runner": report.setup.runner.value,
            "slots": report.setup.slots,
            "cache_type": report.setup.cache_type,
            "flash_attention": report.setup.flash_attention,
        },
        "limits": [{"label": limit.label, "bytes": amount(limit.bytes)} for limit in report.limits],
        "contexts": [_line_data(line, report.limits) for line in report.lines],
        "largest_context": dict(
            zip([limit.label for limit in report.limits], report.largest, strict=False)
        ),
        "smallest_wired_limit_mib": report.wired.mib if report.wired else None,
        "wired_limit_allowed": report.wired.allowed if report.wired else None,
        "decode": rate_data(report.short),
        "prefill": rate_data(report.prefill),
        "where_it_does_not_fit": report.outcome.what if report.outcome else None,
        "partly_on_cpu": rate_data(report.partly),
        "would_fit": report.smaller.quantization if report.smaller else None,
    }


def _line_data(line: Line, limits: Sequence[Limit]) -> dict[str, object]:
    return {
        "context": line.context,
        "need": amount(line.need.gpu),
        "host": amount(line.need.host),
        "parts": {part.name: amount(part.bytes) for part in line.need.parts},
        "verdicts": [
            {
                "limit": limit.label,
                "verdict": fit.verdict.value,
                "spare": amount(fit.spare) if fit.spare else None,
                "decides": fit.decides or None,
            }
            for limit, fit in zip(limits, line.fits, strict=True)
        ],
        "decode": rate_data(line.rate),
    }


def amount(size: Amount) -> dict[str, object]:
    """Return a size or a rate with its interval and how certain it is."""
    return {
        "value": round(size.value, 3),
        "low": round(size.low, 3),
        "high": round(size.high, 3),
        "certainty": size.certainty.value,
    }


def rate_data(rate: Rate | None) -> dict[str, object] | None:
    """Return a rate with its interval and its ceiling."""
    if rate is None:
        return None
    return {**amount(rate.expected), "ceiling": round(rate.ceiling, 3)}
