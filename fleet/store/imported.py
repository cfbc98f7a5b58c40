"""Measurements that others made, as rows of our tables: marked, and without client clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fleet import __version__
from fleet.clock import in_local_zone
from fleet.errors import UserError
from fleet.identity import canonical_json, content_id
from fleet.model.trial import attempt_id
from fleet.store.codec import Row, Rows
from fleet.store.imported_models import ModelNames, models_of
from fleet.store.rows import blank, started_at
from fleet.store.text_files import read_text
from fleet.store.transcript_figures import TABLE
from fleet.store.transcripts import Contents, Transcript, Unread, read_contents
from fleet.store.written_dates import HeadingDate, check_date
from fleet.units import MIB, NS_PER_S

MOST_BYTES = 16 * MIB
"""Of a file: a hundred thousand turns."""
MOST_SLUG_WORDS = 6
MOST_REASONS = 10

TOKENS_PER_WORD, TEMPLATE_TOKENS = 10, 256
"""More than any tokenizer makes of a word, and any template adds."""

WANTED = "a text file with transcripts of `ollama run --verbose`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What the user says of the figures in a file; the dates have a zone."""

    machine: str
    source: str
    date: datetime
    """The day of those that no heading gives a day."""
    now: datetime
    experiment: str = "imported"
    models: ModelNames = field(default_factory=ModelNames)

    @property
    def machine_id(self) -> str:
        return content_id("machine", {"imported": self.machine})


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One trial ready for `ParquetStore.write_rows(attempt_id, rows)`."""

    attempt_id: str
    model: str
    job: str
    began: datetime
    transcript: Transcript
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """All of one file: what is ready for the store, and what is not, with the reason."""

    trials: tuple[Imported, ...]
    repeats: tuple[tuple[Transcript, Transcript], ...]
    """Turns with the same figures as one before them, and that one: one trial."""
    contents: Contents


def read_file(
    path: Path, origin: Origin, known_jobs: Mapping[str, str] | None = None
) -> ImportedFile:
    """Every turn of every `ollama run --verbose` transcript in a text file, as one trial each.

    `known_jobs` maps a prompt to its job's name. The ids come from the figures, so the same file
    gives the same ids. Raises UserError, also where the file holds nothing that can be stored.
    """
    contents = read_contents(read_text(path, WANTED, MOST_BYTES))
    if not contents.transcripts:
        raise _nothing(path, contents)
    models = models_of(path, contents.transcripts, origin.models)
    begins = [_began(path, turn.date, origin) for turn in contents.transcripts]
    names = {_spaced(prompt): name for prompt, name in (known_jobs or {}).items()}
    trials: dict[str, Imported] = {}
    repeats: list[tuple[Transcript, Transcript]] = []
    blocks = Counter[tuple[str, str]]()
    for turn, model, began in zip(contents.transcripts, models, begins, strict=True):
        job = job_name(turn.prompt, names)
        cell = _Cell(model, job, began, block=blocks[model, job], position=len(trials))
        trial = _imported(origin, turn, cell)
        if trial.attempt_id in trials:
            repeats.append((turn, trials[trial.attempt_id].transcript))
            continue
        blocks[model, job] += 1
        trials[trial.attempt_id] = trial
    return ImportedFile(trials=tuple(trials.values()), repeats=tuple(repeats), contents=contents)


def job_name(prompt: str | None, known_jobs: Mapping[str, str]) -> str:
    """Name the job: the known job's name, else the prompt's first words and a mark of all of it."""
    if prompt is None:
        return "imported"
    if name := known_jobs.get(_spaced(prompt)):
        return name
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    mark = content_id("prompt", _spaced(prompt)).removeprefix("prompt-")[:4]
    return "-".join([*(words[:MOST_SLUG_WORDS] or ["imported"]), mark])


def answer_rows(trial: Imported) -> list[Row]:
    """Return the kept text of its answer; none where the file does not show where it begins."""
    turn = trial.transcript
    if turn.answer is None and turn.thinking is None:
        return []
    kept = {"answer": turn.answer, "thinking": turn.thinking}
    return [{**blank("answers"), "attempt_id": trial.attempt_id, "request": 0, **kept}]


def _nothing(path: Path, contents: Contents) -> UserError:
    """Why no turn of the file can be stored, figure by figure."""
    reasons = [f"line {turn.line}: refused: {turn.why}" for turn in contents.refused]
    reasons += [f"line {unread.line}: {unread.text}: {unread.why}" for unread in contents.unread]
    if not reasons:
        return UserError(
            f"{path}: no transcript of `ollama run --verbose` in it "
            "(looked for `total duration: 1m2.2s` with the lines `eval count:` and others below)",
            "make one: ollama run MODEL --verbose PROMPT 2>&1 | tee FILE",
        )
    more = len(reasons) - MOST_REASONS
    lines = [*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])]
    return UserError("\n  ".join([_summary(path, contents), *lines]), _remedy(contents.unread))


def _summary(path: Path, contents: Contents) -> str:
    tables = [unread.line for unread in contents.unread if unread.why == TABLE]
    if contents.refused:
        return f"{path}: nothing was stored: the figures of its transcripts cannot be"
    if len(tables) == len(contents.unread):
        return f"{path}:{tables[0]}: nothing was stored: a table is no transcript"
    return f"{path}: nothing was stored: the total duration is missing, with which a turn begins"


def _remedy(unread: Sequence[Unread]) -> str:
    if unread:
        return "paste the whole of what the terminal printed, from `total duration:` on"
    return "correct them after the terminal's own text, or take the turn out"


def _began(path: Path, heading: HeadingDate | None, origin: Origin) -> datetime:
    if heading is None or heading.day is None:
        return origin.date
    check_date(heading.day, origin.now, f"{path}:{heading.line}")
    return in_local_zone(heading.day)


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a turn becomes a trial of, and its place among the others."""

    model: str
    job: str
    began: datetime
    block: int
    position: int


def _imported(origin: Origin, turn: Transcript, cell: _Cell) -> Imported:
    trial = _trial_id(origin, cell.model, turn)
    attempt = attempt_id(trial, 0)
    ids = {"attempt_id": attempt, "trial_id": trial}
    rows: Rows = {
        "requests": [_request(attempt, cell.job, turn)],
        "trials": [{**_trial(origin, turn, cell), **ids}],
    }
    return Imported(
        attempt_id=attempt,
        model=cell.model,
        job=cell.job,
        began=cell.began,
        transcript=turn,
        rows=rows,
    )


def _trial_id(origin: Origin, model: str, turn: Transcript) -> str:
    """Return the id; cached tokens count only where some were printed, so that older ids stay."""
    figures: list[int | None] = [
        turn.total_ns,
        turn.load_ns,
        turn.prompt_tokens,
        turn.prompt_ns,
        turn.output_tokens,
        turn.output_ns,
    ]
    figures += [] if turn.cached_tokens is None else [turn.cached_tokens]
    return content_id("trial", ["imported", origin.experiment, origin.machine_id, model, figures])


def _trial(origin: Origin, turn: Transcript, cell: _Cell) -> Row:
    content = {"name": cell.job, "prompt": _spaced(turn.prompt)} if turn.prompt else {}
    of_conversation = f" (turn {turn.turn} of a conversation)" if turn.turn > 1 else ""
    unix_ns = int(cell.began.timestamp()) * NS_PER_S
    offset = cell.began.utcoffset()
    return {
        **blank("trials"),
        "fence": 0,
        "session": 0,
        "experiment": origin.experiment,
        "machine_id": origin.machine_id,
        "machine": origin.machine,
        "model": cell.model,
        "job": cell.job,
        "job_content": canonical_json({"name": cell.job, **content}),
        "engine": "ollama",
        "block": cell.block,
        "position": cell.position,
        "cut": False,
        "settings": "",  # fleet asked for none
        "outcome": "ok",
        "transient": False,
        "started_at": started_at(unix_ns),
        "zero_unix_ns": unix_ns,
        "utc_offset_s": None if offset is None else round(offset.total_seconds()),
        "fleet_version": __version__,
        "imported": True,
        "source": f"{origin.source}{of_conversation}",
    }


def _request(attempt: str, job: str, turn: Transcript) -> Row:
    return {
        **blank("requests"),
        "attempt_id": attempt,
        "request": 0,
        "point": job,
        "warmup": False,
        "total_duration_ns": turn.total_ns,
        "load_duration_ns": turn.load_ns,
        "prompt_tokens": turn.prompt_tokens,
        "cached_tokens": turn.cached_tokens,
        "prompt_duration_ns": turn.prompt_ns,
        "output_tokens": turn.output_tokens,
        "output_duration_ns": turn.output_ns,
        "turn": max(turn.turn - 1, int(_carries_history(turn))),
    }


def _carries_history(turn: Transcript) -> bool:
    """Far more prompt tokens than the question has words: a conversation went before it."""
    if turn.prompt is None or turn.prompt_tokens is None:
        return False
    return turn.prompt_tokens > TOKENS_PER_WORD * len(turn.prompt.split()) + TEMPLATE_TOKENS


def _spaced(prompt: str) -> str:
    """Line breaks and runs of spaces differ with the terminal's width."""
    return " ".join(prompt.split())
