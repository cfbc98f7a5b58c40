"""Writes a comparison as plain lines, as Markdown and as JSON values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime

from fleet.comparability import (
    ENERGY_ESTIMATE,
    ENERGY_SCOPE,
    FACTS,
    SHOWN_AXES,
    standing,
)
from fleet.compare.result import Comparison, Group, Line
from fleet.report.left_out_text import not_compared_lines
from fleet.report.results_text import apart_from, settings_of_all, shared_parts
from fleet.report.results_text import results_lines as results_lines
from fleet.report.tables import aligned, escape, markdown
from fleet.terminal import cells, figures_wrapped
from fleet.units import show_number

ALSO_DIFFERS, FLAGGED = "also differs: ", "flagged "

NAMED_BY_THEMSELVES = ("machine", "model", "job", "date")
"""Axes whose values need no word before them, as `num_batch 8` does."""


def comparison_lines(comparison: Comparison, width: int | None = None) -> list[str]:
    """Write a paragraph per group; an absolute median with n stands beside every ratio.

    `width`: columns of the terminal; None: no line is broken.
    """
    shared = shared_parts([group.settings for group in comparison.groups])
    once = _said_once(comparison)
    lines: list[str] = []
    for group in comparison.groups:
        headline = _headline(group, comparison.axis, shared, once)
        lines += [*([""] if lines else []), *_broken(headline, width)]
        lines += _sides(group, once, width)
        for control in group.controls:
            lines += _broken(f"  {control}", width)
    footer = [part for line in _footer(comparison, shared) for part in _broken(line, width)]
    return [*lines, *([""] if footer else []), *footer]


def _broken(line: str, width: int | None) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())] + "  "
    return [line] if width is None else figures_wrapped(line, width, indent)


def _said_once(comparison: Comparison) -> tuple[str, ...]:
    """Return labels and differences that every line shares: the footer says them once."""
    reasons = [line.reasons for line in comparison.sides()]
    if len(reasons) < 2:
        return ()
    same = set(reasons[0]).intersection(*reasons[1:])
    return tuple(reason for reason in reasons[0] if reason in same and _is_of_sides(reason))


def _is_of_sides(reason: str) -> bool:
    return reason.startswith((ALSO_DIFFERS, FLAGGED))


def _sides(group: Group, once: Collection[str], width: int | None) -> Iterator[str]:
    """Yield a row for each side, its reasons behind it or below, and what may explain it."""
    sides = group.lines[1:]
    figures = [_cells(line, group.unit)[:-1] for line in sides]
    rows = aligned((), figures, indent="  ")
    names = [""] * len(rows)
    if width is not None and max(map(cells, rows)) > width:
        names = [line.side for line in sides]
        rows = aligned((), [row[1:] for row in figures], indent="    ")
    for line, name, row in zip(sides, names, rows, strict=True):
        if name:
            yield from _broken(f"  {name}", width)
        reasons = "; ".join(r for r in _reasons(line, group.unit) if r not in once)
        whole = f"{row}  {reasons}" if reasons else row
        if width is None or cells(whole) <= width:
            yield whole
        else:
            yield from (row, *figures_wrapped(f"    {reasons}", width))
        if words := _explained(line):
            yield from _broken(f"    {words}", width)


COMPARISON_TITLES = ("", "median", "ratio", "95 % interval", "n", "verdict", "", "read by")


def comparison_markdown(comparison: Comparison) -> list[str]:
    """Write tables to paste: one for each group, the baseline in its first row."""
    shared = shared_parts([group.settings for group in comparison.groups])
    once = _said_once(comparison)
    lines: list[str] = []
    for group in comparison.groups:
        rows = [_markdown_row(line, group.unit, once) for line in group.lines]
        rows[0][5] = "baseline"
        lines += [f"**{escape(_subject(group, shared))}**", ""]
        lines += [*markdown(COMPARISON_TITLES, [list(map(escape, row)) for row in rows]), ""]
        lines += [part for each in group.controls for part in (escape(str(each)), "")]
    lines += [f"{escape(line)}  " for line in _footer(comparison, shared)]
    return lines


def _markdown_row(line: Line, unit: str, once: Collection[str]) -> list[str]:
    side, value, ratio, interval, n, verdict, _ = _cells(line, unit)
    reasons = [reason for reason in _reasons(line, unit) if reason not in once]
    words = "; ".join(filter(None, (*reasons, _explained(line))))
    return [side, value, ratio, interval, n.removeprefix("n "), verdict, words, line.source]


def classes(axis: str) -> dict[str, str]:
    """Return the published table for one axis: the class of each fact."""
    return {fact: standing(fact, axis) for fact in FACTS}


def class_lines(axis: str) -> list[str]:
    return aligned((f"by {axis}", "class"), list(classes(axis).items()))


def class_page() -> str:
    """Write the published table for the main axes: docs/comparability.md."""
    head = ("Fact", *(f"by `{axis}`" for axis in SHOWN_AXES))
    rows = [(f"`{fact}`", *(standing(fact, axis) for axis in SHOWN_AXES)) for fact in FACTS]
    return "\n".join([*CLASS_PAGE, *markdown(head, rows), ""])


CLASS_PAGE = (
    "# What may differ between two sides",
    "",
    "Made by `fleet compare --classes --format markdown`; `fleet compare --by AXIS --classes` "
    "prints any axis. Implied: it differs because the axis does. Listed: the comparison stands, "
    "and says so. Refused: not compared, unless with `--allow-diff FACT`. Token counts count only "
    "for what depends on them, and lengths within 10 % are alike; what begins with `energy` only "
    "for the metrics of energy. `fleet plan` applies the same table to the machines as found.",
    "",
)


AT_THE_PLUG = (
    "what a wall meter tells of whole machines can be compared: "
    "fleet energy import LOG --machine MACHINE"
)


OF_THE_FAMILY = "each interval is of one comparison; the verdicts hold for all {} together (Holm)"


def _footer(comparison: Comparison, shared: Sequence[str]) -> list[str]:
    footer = [*comparison.footer]
    if comparison.refused:
        allowed = " ".join(f"--allow-diff {fact}" for fact in comparison.refused)
        footer.append(f"refused: unlike things (to compare them all the same: {allowed})")
    if {ENERGY_SCOPE, ENERGY_ESTIMATE} & set(comparison.refused):
        footer.append(AT_THE_PLUG)
    footer += [f"{reason} (in every line)" for reason in _said_once(comparison)]
    footer += settings_of_all(shared)
    if comparison.family > 1:
        footer.append(OF_THE_FAMILY.format(comparison.family))
    if comparison.requests_left_out:
        footer.append(f"left out: {_count(comparison.requests_left_out, 'request')}")
    if comparison.kept_apart:
        apart = ", ".join(
            f"{_count(trials, 'trial')} of {reason}"
            for reason, trials in comparison.kept_apart.items()
        )
        footer.append(f"kept apart: {apart}")
    return [*footer, *not_compared_lines(comparison.left_out)]


def to_json(value: object) -> object:
    """Turn dataclasses, times and mappings into what JSON knows; infinite and NaN become null.

    A field whose key has another name than the field says so in its metadata.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.metadata.get("json", f.name): to_json(getattr(value, f.name))
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((to_json(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _headline(group: Group, axis: str, shared: Sequence[str], once: Collection[str]) -> str:
    baseline = group.baseline
    facts = [_value(baseline, group.unit), f"n {baseline.trials}"]
    facts += [f"by {baseline.source}"] if baseline.source else []
    facts += [reason for reason in _reasons(baseline, group.unit) if reason not in once]
    side = baseline.side if axis in NAMED_BY_THEMSELVES else f"{axis} {baseline.side}"
    return f"{_subject(group, shared)}, against {side} ({', '.join(facts)})"


def _subject(group: Group, shared: Sequence[str]) -> str:
    scope = f" of {group.scope}" if group.scope else ""
    metric = f"{group.metric}{scope}{' (sustained)' if group.sustained else ''}"
    work = [group.model, group.point or group.job, metric, apart_from(group.settings, shared)]
    place = [f"on {group.machine}"] if group.machine else []
    return ", ".join(part for part in (*work, *place) if part)


def _cells(line: Line, unit: str) -> list[str]:
    estimate = line.estimate
    return [
        line.side,
        _value(line, unit),
        "" if line.ratio is None else f"{line.ratio:.3g} x",
        f"{estimate.low:.3g} to {estimate.high:.3g}" if estimate else "",
        f"n {line.trials}",
        line.verdict or "",
        "; ".join(_reasons(line, unit)),
    ]


def _reasons(line: Line, unit: str) -> list[str]:
    if not line.throttled:
        return list(line.reasons)
    heat = f"throttled {line.throttled} of {line.trials}"
    if line.burst is not None and line.sustained is not None:
        speeds = f"burst {show_number(line.burst)}, sustained {show_number(line.sustained)} {unit}"
        heat = f"{heat}: {speeds}"
    return [heat, *line.reasons]


def _explained(line: Line) -> str:
    return "" if line.explanation is None else line.explanation.words


def _value(line: Line, unit: str) -> str:
    if line.value is None:
        return "-"
    return f"{show_number(line.value)} {unit}" + (" naive" if line.naive else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
