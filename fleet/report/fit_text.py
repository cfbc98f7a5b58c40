"""The advisor's reports as text of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from fleet.advisor.amounts import Amount
from fleet.advisor.fit import Fit, Verdict
from fleet.advisor.limits import Limit
from fleet.advisor.machines_kind import Box
from fleet.advisor.report import Line, Report, raised_limit_mib
from fleet.advisor.setup import Runner, Setup
from fleet.advisor.speed import Rate
from fleet.report.tables import aligned
from fleet.units import GIB, MIB, show_bytes

CHART_COLUMNS = 48
WIDTH = 80


def fit_lines(reports: Sequence[Report], *, chart: bool) -> list[str]:
    """Describe one or two reports in full, more of them in one table."""
    if len(reports) > 2 and not chart:
        return grid_lines(reports)
    lines: list[str] = []
    for report in reports:
        lines += [*([""] if lines else []), *report_lines(report, chart=chart)]
    return lines


def report_lines(report: Report, *, chart: bool = False) -> list[str]:
    """Describe one model on one machine."""
    box = report.box
    where = f" on {box.name}" if box else ""
    lines = [f"{report.shape.name}{_quantization(report)}{where}"]
    notes = (*(box.notes if box else ()), *report.shape.notes)
    lines += [line for note in notes for line in wrapped(note)]
    lines += ["", *_table(report), ""]
    if chart and report.limits:
        lines += [*_chart(report), ""]
    return lines + [line for sentence in _sentences(report) for line in wrapped(sentence)]


def wrapped(sentence: str) -> list[str]:
    """Wrap a sentence at 80 columns; continued lines are indented further."""
    return textwrap.wrap(
        sentence, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False
    )


def _quantization(report: Report) -> str:
    return f" {report.shape.quantization}" if report.shape.quantization else ""


def _table(report: Report) -> list[str]:
    titles = ["context", "weights", "KV", "rest", "need"]
    titles += [_short(limit) for limit in report.limits]
    titles += ["tokens/s"]
    rows = [_row(line) for line in report.lines]
    return aligned(titles, rows, right=titles[:5], indent="  ")


def _row(line: Line) -> list[str]:
    demand = line.need
    weights, cache = demand.part("weights"), demand.part("KV cache")
    rest = demand.gpu.value - weights.value - cache.value
    cells = [str(line.context), *(_gib(part.value) for part in (weights, cache)), _gib(rest)]
    return [*cells, gib(demand.gpu), *map(_verdict, line.fits), _at(line)]


def _at(line: Line) -> str:
    if line.rate is None or (line.fits and all(f.verdict is Verdict.NO for f in line.fits)):
        return ""
    return rate_words(line.rate)


def _short(limit: Limit) -> str:
    """Return the title of a column: `macOS <= 15`."""
    if limit.label.startswith("macOS 15"):
        return "macOS <= 15"
    if limit.label.startswith("macOS"):
        return limit.label[:12]
    return "GPU memory" if "memory" in limit.label or "firmware" in limit.label else "limit"


def _verdict(fit: Fit) -> str:
    """`fits +11.7`, `no -3.4`."""
    word = "no" if fit.verdict is Verdict.NO else fit.verdict.value
    return word if fit.spare is None else f"{word} {fit.spare.value / GIB:+.1f}"


def gib(amount: Amount) -> str:
    """Write `61.2`, or `58-66` if the ends of the interval are more than 2 % apart."""
    if amount.high - amount.low > 0.02 * max(amount.value, 1):
        return f"{amount.low / GIB:.1f}-{amount.high / GIB:.1f}"
    return _gib(amount.value)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}"


def rate_words(rate: Rate) -> str:
    """Write `69 (53-82)`: the expected rate and its 90 % interval."""
    expected = rate.expected
    return f"{_number(expected.value)} ({_number(expected.low)}-{_number(expected.high)})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _chart(report: Report) -> Iterator[str]:
    """Draw a bar for each context, and one for each limit."""
    most = max(
        *(line.need.gpu.value for line in report.lines),
        *(limit.bytes.value for limit in report.limits),
    )
    yield "  memory need against context, GiB"
    for line in report.lines:
        yield _bar(str(line.context), line.need.gpu.value, most, "#")
    for limit in report.limits:
        yield _bar(_short(limit), limit.bytes.value, most, "-")


def _bar(label: str, size: float, most: float, letter: str) -> str:
    length = max(round(CHART_COLUMNS * size / most), 1)
    return f"  {label[:12]:>12}  {letter * length} {_gib(size)}"


def _sentences(report: Report) -> Iterator[str]:
    yield f"in GiB, + to spare, - missing; {_certainties(report)}"
    yield from _limits(report)
    yield from _contexts(report)
    yield from _wired(report)
    yield from _speed(report)
    yield from _then(report)
    yield _assumed(report.setup, report)


def _certainties(report: Report) -> str:
    first = report.lines[0].need
    words = [
        f"{name} {first.part(part).certainty.value}"
        for name, part in (("weights", "weights"), ("KV", "KV cache"), ("buffer", "compute buffer"))
    ]
    return ", ".join(words)


def _limits(report: Report) -> Iterator[str]:
    for limit in report.limits:
        sure = "" if limit.bytes.high == limit.bytes.low else ", modelled"
        yield f"GPU limit, {limit.label}: {limit.bytes.value / MIB:.0f} MiB{sure}"


def _contexts(report: Report) -> Iterator[str]:
    for at, (limit, context) in enumerate(zip(report.limits, report.largest, strict=False)):
        if context is None:
            maybe = any(line.fits[at].verdict is Verdict.MAYBE for line in report.lines)
            yield f"largest context, {limit.label}: none {'for certain' if maybe else 'fits'}"
        elif context == report.shape.trained_context:
            yield f"largest context, {limit.label}: {context}, the longest that it was trained for"
        else:
            yield f"largest context, {limit.label}: {context}"


def _wired(report: Report) -> Iterator[str]:
    """Tell which wired limit a Mac would need, and what a higher one changes."""
    if report.wired is None or report.box is None:
        return
    wired, last = report.wired, report.lines[-1].context
    yield f"smallest wired limit for {last}: {wired.mib} MiB" + (
        "" if wired.allowed else f", but above {wired.highest_mib} the system lacks its 8 GiB"
    )
    if not wired.allowed:
        yield "it needs more memory, not a higher limit"
        return
    yield from _raised(report, report.box)


def _raised(report: Report, box: Box) -> Iterator[str]:
    raised = raised_limit_mib(box)
    if raised is None or len(report.limits) < 2:
        return
    changes = [raised - limit.bytes.value / MIB for limit in report.limits]
    words = " and ".join(
        f"{'adds' if change >= 0 else 'takes'} {abs(change) / 1024:.1f} GiB under {limit.label}"
        for change, limit in zip(changes, report.limits, strict=True)
    )
    yield f"iogpu.wired_limit_mb={raised} {words}"
    if report.fits_everywhere:
        yield "which changes nothing here: the model fits by default"
    elif report.outcome is not None and report.wired and raised >= report.wired.mib:
        yield f"which makes room for {report.lines[-1].context} tokens"


def _speed(report: Report) -> Iterator[str]:
    if report.short is None:
        return
    short = report.short
    yield (
        f"decode, empty context: {rate_words(short)} tokens/s, modelled; "
        f"the memory allows {short.ceiling:.0f}"
    )
    if short.with_drafts is not None:
        high = short.with_drafts.high
        yield f"faster with its draft head, up to {high:.0f}: it depends on the text"
    if report.prefill is not None:
        yield f"prompt of 2048 tokens: {rate_words(report.prefill)} tokens/s, modelled"


def _then(report: Report) -> Iterator[str]:
    if report.outcome is None:
        return
    yield f"where it does not fit: {report.outcome.what}"
    if report.outcome.signal:
        yield f"  symptom: {report.outcome.signal}"
    if report.partly is not None:
        yield f"  then about {rate_words(report.partly)} tokens/s, modelled"
    if report.smaller is not None:
        smaller = report.smaller
        size = show_bytes(smaller.weights.text_bytes)
        yield f"would fit there: {smaller.name} {smaller.quantization} ({size})"
    else:
        yield "no smaller quantization of it fits there"


def _assumed(setup: Setup, report: Report) -> str:
    if setup.runner is Runner.MLX:
        return (
            "assumed: MLX, one slot, the whole context used, no draft head; the prefix cache adds "
            "up to 8 GiB later; speed by the constants of llama.cpp, so the interval is wider"
        )
    flash = {True: "flash attention on", False: "flash attention off", None: "flash unknown"}
    engine = {True: "a current engine", False: "an old engine", None: "an unknown engine"}
    slots = "1 slot" if setup.slots == 1 else f"{setup.slots} slots"
    words = (flash[setup.flash_attention], f"{setup.cache_type} cache", slots)
    return f"assumed: {', '.join(words)}, {engine[setup.current]}"


def grid_lines(reports: Sequence[Report]) -> list[str]:
    """Describe many models on many machines, a line for each context."""
    titles = ["model", "machine", "context", "need", "verdict", "tokens/s"]
    rows = [_cell(report, line) for report in reports for line in report.lines]
    lines = aligned(titles, rows, right=("context", "need"))
    notes = [f"{r.box.name}: {note}" for r in reports if r.box for note in r.box.notes]
    lines += ["", "GiB; the verdict is under the lowest limit that the machine may have"]
    return lines + list(dict.fromkeys(notes))


def _cell(report: Report, line: Line) -> list[str]:
    lowest = min(line.fits, key=lambda fit: fit.spare.value if fit.spare else 0.0, default=None)
    machine = (report.box.called or report.box.name) if report.box else ""
    rate = "" if line.rate is None or lowest is None else f"{line.rate.expected.value:.0f}"
    if lowest is not None and lowest.verdict is Verdict.NO:
        rate = ""
    verdict = _verdict(lowest) if lowest else ""
    need = _gib(line.need.gpu.value)
    return [report.shape.name[:24], machine[:24], str(line.context), need, verdict, rate]
