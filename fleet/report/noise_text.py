"""What a noise run says of each machine, as text and as data."""

from __future__ import annotations

from dataclasses import asdict

from fleet.compare.noise_report import NoiseLine, NoiseReport
from fleet.report.tables import aligned
from fleet.stats.noise_floor import LEAST_TRIALS
from fleet.units import show_count

USUAL_REPEATS = 5
"""Repeats of an experiment for which the visible difference is given."""
TITLES = ("machine", "metric", "noise", "95 % interval", "b against a", "95 % interval", "n")

DISTRUST = "its two sides differ although nothing does: this machine cannot be trusted yet"
NO_REASON = (
    "the trials show no order and no drift: another program may have run meanwhile; "
    "measure again with more --repeats"
)
BY_CHANCE = (
    "its interval misses 1, as one in 20 does by chance; among all of this run, that is no alarm"
)
IN_THE_LINE = ("n", "why", "settings")
"""Fields of a floor that the data of a line leaves out, since the line has them already."""


def report_lines(report: NoiseReport) -> list[str]:
    """Return a row for each machine and metric, the notes, and what the floors mean."""
    notes = [(line, note(line)) for line in report.lines]
    return [
        f"{report.model}  {report.job}: run to run, and side b against side a of the same cell",
        *aligned(TITLES, [_cells(line) for line in report.lines], right=("noise", "n")),
        *(f"{line.machine}, {line.metric}: {text}" for line, text in notes if text),
        *_meaning(report),
    ]


def report_data(report: NoiseReport) -> dict[str, object]:
    """Return the report for --json: shares, not per cent."""
    return {**asdict(report), "lines": [_line_data(line) for line in report.lines]}


def _line_data(line: NoiseLine) -> dict[str, object]:
    data = asdict(line)
    floor = data.pop("floor") or {}
    floor = {name: value for name, value in floor.items() if name not in IN_THE_LINE}
    return {**data, "note": note(line), **floor}


def note(line: NoiseLine) -> str:
    """Say what is missing or doubtful; empty if nothing is."""
    floor = line.floor
    if floor is None:
        return _missing(line)
    if not line.trusted:
        return f"{DISTRUST}; {floor.why or NO_REASON}"
    return "" if floor.ratio_low <= 1 <= floor.ratio_high else BY_CHANCE


def _missing(line: NoiseLine) -> str:
    if not line.trials:
        tokens = "512 prompt" if line.metric == "prefill" else "128 output"
        return f"no trial has a rate: the job needs {tokens} tokens, and valid requests"
    return f"{show_count(line.trials, 'trial')}, {LEAST_TRIALS} are needed: submit the same again"


def _cells(line: NoiseLine) -> tuple[str, ...]:
    floor = line.floor
    if floor is None:
        return line.machine, line.metric, "-", "", "", "", str(line.trials)
    return (
        line.machine,
        line.metric,
        f"{100 * floor.sd_log:.2f} %",
        f"{100 * floor.low:.2f} to {100 * floor.high:.2f} %",
        f"{floor.ratio:.4f} x",
        f"{floor.ratio_low:.4f} to {floor.ratio_high:.4f}",
        str(floor.n),
    )


def _meaning(report: NoiseReport) -> list[str]:
    words = [
        f"{line.machine} {100 * line.floor.could_see(USUAL_REPEATS):.1f} %"
        for line in report.lines
        if line.metric == "decode" and line.floor is not None
    ]
    if not words:
        return []
    return [
        f"with {USUAL_REPEATS} repeats a side, a difference in decode is seen in 80 % of cases "
        f"from: {', '.join(words)}"
    ]
