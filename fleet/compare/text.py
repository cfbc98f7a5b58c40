"""Answers as plain lines and as JSON values; colour and live views are the command line's."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

from fleet.compare.left_out_text import not_compared_lines
from fleet.compare.outcome import Comparison, Group, Line
from fleet.compare.results import ResultRow
from fleet.compare.tables import aligned, escape, markdown
from fleet.model.likeness import (
    ENERGY_ESTIMATE,
    ENERGY_SCOPE,
    FACTS,
    SHOWN_AXES,
    standing,
)
from fleet.units import NS_PER_MS, show_number

ID_LETTERS = 14
"""`trial-` and eight digits: `fleet show` takes the beginning of an id."""


NAMED_BY_THEMSELVES = ("machine", "model", "job", "date")
"""Axes whose values need no word before them, as `num_batch 8` does."""


def comparison_lines(comparison: Comparison) -> list[str]:
    """A paragraph per group; an absolute median with n stands beside every ratio."""
    shared = _shared([group.settings for group in comparison.groups])
    lines: list[str] = []
    for group in comparison.groups:
        lines += [*([""] if lines else []), _headline(group, comparison.by, shared)]
        lines += _sides(group)
        lines += [f"  {control}" for control in group.controls]
    footer = _footer(comparison, shared)
    return [*lines, *([""] if footer else []), *footer]


def _sides(group: Group) -> Iterator[str]:
    """A row for each side, and below it what may explain its ratio."""
    sides = group.lines[1:]
    rows = aligned((), [_cells(line, group.unit) for line in sides], indent="  ")
    for line, row in zip(sides, rows, strict=True):
        yield row
        if words := _explained(line):
            yield f"    {words}"


COMPARISON_TITLES = ("", "median", "ratio", "95 % interval", "n", "verdict", "", "read by")


def comparison_markdown(comparison: Comparison) -> list[str]:
    """The same as tables to paste: one for each group, the baseline in its first row."""
    shared = _shared([group.settings for group in comparison.groups])
    lines: list[str] = []
    for group in comparison.groups:
        lines += [f"**{escape(_subject(group, shared))}**", ""]
        rows = [[*_cells(line, group.unit), line.source] for line in group.lines]
        rows[0][5] = "baseline"
        for row, line in zip(rows, group.lines, strict=True):
            row[6] = "; ".join(filter(None, (row[6], _explained(line))))
        rows = [[*row[:4], row[4].removeprefix("n "), *row[5:]] for row in rows]
        rows = [list(map(escape, row)) for row in rows]
        lines += [*markdown(COMPARISON_TITLES, rows), ""]
        lines += [part for each in group.controls for part in (escape(str(each)), "")]
    lines += [f"{escape(line)}  " for line in _footer(comparison, shared)]
    return lines


def classes(axis: str) -> dict[str, str]:
    """The published table for one axis: the class of each fact."""
    return {fact: standing(fact, axis) for fact in FACTS}


def class_lines(axis: str) -> list[str]:
    return aligned((f"by {axis}", "class"), list(classes(axis).items()))


def class_page() -> str:
    """The published table for the main axes: docs/likeness.md."""
    titles = ("Fact", *(f"by `{axis}`" for axis in SHOWN_AXES))
    rows = [(f"`{fact}`", *(standing(fact, axis) for axis in SHOWN_AXES)) for fact in FACTS]
    return "\n".join([*CLASS_PAGE, *markdown(titles, rows), ""])


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
    footer += _settings_of_all(shared)
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


RESULT_TITLES = (
    *("session", "machine", "model", "test", "settings", "prefill", "decode", "burst"),
    *("sustained", "together", "first token", "J/token", "trials", "spread", "flags", "state"),
    "id",
)


def results_lines(found: Sequence[ResultRow]) -> list[str]:
    """One line per cell and point, then what was left out."""
    if not found:
        return ["no results yet: fleet submit MODEL"]
    shared = _shared([row.settings for row in found if row.settings])
    sessions = len({row.session for row in found}) > 1
    scopes = sorted({scope for row in found for scope in row.joules_per_token})
    lines = aligned(
        RESULT_TITLES,
        [
            (str(row.session) if sessions else "", *_result_cells(row, shared, len(scopes) > 1))
            for row in found
        ],
        right=RESULT_TITLES[5:14],
    )
    of_scope = f", J/token of {scopes[0]}" if len(scopes) == 1 else ""
    lines += [f"rates in tokens/s{of_scope}, medians over trials", *_settings_of_all(shared)]
    left_out = Counter[str]()
    for row in found:
        left_out.update(row.left_out)
    if left_out:
        total = ", ".join(
            f"{count} {flags.replace(' ', ' and ')}" for flags, count in sorted(left_out.items())
        )
        lines.append(f"requests left out: {total}")
    return lines


def _shared(settings: Sequence[str]) -> list[str]:
    """Settings that all have in common: said once, below."""
    each = [text.split() for text in settings]
    return [part for part in each[0] if all(part in parts for parts in each)] if each else []


def _settings_of_all(shared: Sequence[str]) -> list[str]:
    return [f"settings of all: {' '.join(shared)}"] if shared else []


def _apart_from(settings: str, shared: Sequence[str]) -> str:
    return " ".join(part for part in settings.split() if part not in shared)


def to_json(value: object) -> object:
    """Dataclasses, times and mappings as JSON knows them; infinite and NaN become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
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


def _headline(group: Group, by: str, shared: Sequence[str]) -> str:
    baseline = group.baseline
    facts = [_value(baseline, group.unit), f"n {baseline.trials}"]
    facts += [f"by {baseline.source}"] if baseline.source else []
    facts += _reasons(baseline, group.unit)
    side = baseline.side if by in NAMED_BY_THEMSELVES else f"{by} {baseline.side}"
    return f"{_subject(group, shared)}, against {side} ({', '.join(facts)})"


def _subject(group: Group, shared: Sequence[str]) -> str:
    scope = f" of {group.scope}" if group.scope else ""
    metric = f"{group.metric}{scope}{' (sustained)' if group.sustained else ''}"
    work = [group.model, group.point or group.job, metric, _apart_from(group.settings, shared)]
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


def _result_cells(row: ResultRow, shared: Sequence[str], with_scope: bool) -> list[str]:
    first_ns = row.server_first_token_ns if row.first_token_ns is None else row.first_token_ns
    return [
        row.machine,
        row.model,
        row.test,
        _apart_from(row.settings, shared),
        _rate(row.prefill_tokens_per_s, row.naive_prefill_tokens_per_s, row.prefill_note),
        _rate(row.decode_tokens_per_s, row.naive_decode_tokens_per_s, row.decode_note),
        *(_of_heat(row) or ("", "")),
        "" if row.throughput_tokens_per_s is None else show_number(row.throughput_tokens_per_s),
        "-" if first_ns is None else f"{show_number(first_ns / NS_PER_MS)} ms",
        _energy(row, with_scope),
        str(row.trials),
        "" if row.spread_percent is None else f"{row.spread_percent:.1f} %",
        " ".join(filter(None, (row.flags, "imported" if row.imported else ""))),
        row.state,
        row.id[:ID_LETTERS],
    ]


def _energy(row: ResultRow, with_scope: bool) -> str:
    """`3.21`, with more than one scope among the cells `3.21 gpu_board, 5.4 wall`."""
    told = [
        f"{show_number(joules)}{f' {scope}' if with_scope else ''}"
        for scope, joules in sorted(row.joules_per_token.items())
    ]
    return ", ".join(told)


def _of_heat(row: ResultRow) -> tuple[str, str] | None:
    """Burst and sustained decode of a cell that throttled."""
    burst, sustained = row.burst_decode_tokens_per_s, row.sustained_decode_tokens_per_s
    if "throttled" not in row.flags.split() or burst is None or sustained is None:
        return None
    return show_number(burst), show_number(sustained)


def _rate(rate: float | None, naive: float | None, note: str) -> str:
    """Where the cache is unknown the naive rate is better than nothing, if it is called so."""
    if rate is not None:
        return show_number(rate)
    if naive is not None and note == "cache state unknown":
        return f"{show_number(naive)} naive"
    return note.removesuffix(" for a rate") or "-"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
