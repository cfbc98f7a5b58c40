"""What became of each figure in a file of transcripts."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet.compare.designs import LEAST_TRIALS
from fleet.folders import with_home
from fleet.report.next_text import step_lines
from fleet.units import show_count, show_text

if TYPE_CHECKING:
    from fleet.app.import_ import ImportReport, Stored

MOST_SHOWN = 50


def report_lines(report: ImportReport) -> Iterator[str]:
    """Describe each turn that was stored, what was not stored, and the sum of figures."""
    contents = report.file.contents
    for stored in report.stored:
        yield _stored_line(stored, report.request.keep_text)
    for turn, first in report.file.repeats:
        yield f"stored once: line {turn.line} has the same figures as line {first.line}"
    refused = [
        f"refused: line {turn.line}{f' ({turn.model})' if turn.model else ''}: {turn.why}; "
        f"none of its {turn.figures} figures is stored"
        for turn in contents.refused
    ]
    unread = [f"not read: line {each.line}: {each.text}   ({each.why})" for each in contents.unread]
    yield from _bounded([*refused, *unread])
    yield from _notes(report)
    yield _sum(report)


def next_lines(report: ImportReport, home: Path) -> list[str]:
    """Propose a comparison of models if two of them have enough trials of one prompt."""
    name = shlex.quote(report.request.experiment)
    trials = Counter((stored.trial.job, stored.trial.model) for stored in report.stored)
    judged = Counter(job for (job, _), count in trials.items() if count >= LEAST_TRIALS)
    steps = [f"fleet results {name}"] if trials else []
    steps += [f"fleet compare {name} --by model"] if any(n > 1 for n in judged.values()) else []
    return step_lines([with_home(step, home) for step in steps])


def _stored_line(stored: Stored, keep_text: bool) -> str:
    trial, turn = stored.trial, stored.trial.transcript
    words = [
        f"{'stored' if stored.new else 'stored before'}: {trial.model}",
        trial.job,
        _output(turn.output_tokens),
        f"on {trial.began.date()}" if turn.date is not None else "",
    ]
    if keep_text and not stored.kept_text:
        words.append("its text was stored before" if turn.answer else "no text found")
    elif stored.kept_text:
        words.append("with its text")
    return "  ".join(filter(None, words))


def _output(tokens: int | None) -> str:
    return "no eval count" if tokens is None else show_count(tokens, "output token")


def _notes(report: ImportReport) -> Iterator[str]:
    """Tell what a reader must know of the rows that are stored."""
    request = report.request
    for unclear in report.file.contents.unclear_dates:
        yield (
            f"line {unclear.line}: {show_text(unclear.text)} is an ambiguous day, so the day of "
            f"--date is used, {request.date}"
        )
    if request.models and not any(turn.model is None for turn in report.file.contents.transcripts):
        yield f"--model {request.models[0]} was not needed: commands in the file name every model"
    if any(not stored.new for stored in report.stored):
        yield "what was stored before keeps the day and the source of its first import"


def _sum(report: ImportReport) -> str:
    contents = report.file.contents
    refused = sum(turn.figures for turn in contents.refused)
    parts = [f"{_figures_read(report)} read"]
    parts += [f"{refused} refused"] if refused else []
    parts += [f"{len(contents.unread)} not read"] if contents.unread else []
    return f"{show_count(contents.printed, 'figure')} printed: {', '.join(parts)}"


def _figures_read(report: ImportReport) -> int:
    return sum(turn.figures for turn in report.file.contents.transcripts)


def _bounded(lines: list[str]) -> Iterator[str]:
    yield from lines[:MOST_SHOWN]
    if len(lines) > MOST_SHOWN:
        yield f"and {len(lines) - MOST_SHOWN} more lines like these: --json lists all"


def report_data(report: ImportReport) -> dict[str, Any]:
    """Return the report for --json."""
    contents = report.file.contents
    return {
        "file": str(report.request.file),
        "experiment": report.request.experiment,
        "machine": report.request.machine,
        "stored": [_stored_data(stored) for stored in report.stored],
        "repeats": [
            {"line": turn.line, "same_as_line": first.line} for turn, first in report.file.repeats
        ],
        "refused": [
            {"line": turn.line, "model": turn.model, "why": turn.why, "figures": turn.figures}
            for turn in contents.refused
        ],
        "unread": [
            {"line": each.line, "text": each.text, "why": each.why} for each in contents.unread
        ],
        "notes": list(_notes(report)),
        "figures_printed": contents.printed,
        "figures_read": _figures_read(report),
        "figures_refused": sum(turn.figures for turn in contents.refused),
        "figures_unread": len(contents.unread),
    }


def _stored_data(stored: Stored) -> dict[str, Any]:
    trial, turn = stored.trial, stored.trial.transcript
    return {
        "line": turn.line,
        "new": stored.new,
        "attempt_id": trial.attempt_id,
        "model": trial.model,
        "job": trial.job,
        "began": trial.began.isoformat(),
        "turn": turn.turn,
        "figures": turn.figures,
        "total_ns": turn.total_ns,
        "load_ns": turn.load_ns,
        "prompt_tokens": turn.prompt_tokens,
        "cached_tokens": turn.cached_tokens,
        "prompt_ns": turn.prompt_ns,
        "output_tokens": turn.output_tokens,
        "output_ns": turn.output_ns,
        "kept_text": stored.kept_text,
    }
