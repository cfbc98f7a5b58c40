"""Measurements that others made, as rows of our tables: marked, and without client clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleet import __version__
from fleet.errors import UserError
from fleet.identity import canonical_json, content_id
from fleet.model.trial import attempt_id
from fleet.store.codec import Row, Rows
from fleet.store.rows import blank, started_at
from fleet.store.transcripts import Transcript, read_transcripts
from fleet.units import NS_PER_S

MOST_SLUG_WORDS = 6

TOKENS_PER_WORD, TEMPLATE_TOKENS = 10, 256
"""More than any tokenizer makes of a word, and any template adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One trial ready for `ParquetStore.write_rows(attempt_id, rows)`."""

    attempt_id: str
    model: str
    job: str
    transcript: Transcript
    rows: Rows


def import_file(
    path: Path,
    *,
    machine: str,
    date: str,
    source: str,
    model: str | None = None,
    experiment: str = "imported",
    known_jobs: Mapping[str, str] | None = None,
) -> list[Imported]:
    """Every turn of every `ollama run --verbose` transcript in a text file, as one trial each.

    `model` stands in where the text names none; `known_jobs` maps a prompt to its job's name.
    The ids come from the figures, so the same file gives the same ids. Raises UserError.
    """
    when = unix_ns(date)
    transcripts = read_transcripts(_text(path))
    if not transcripts:
        raise UserError(
            f"{path}: no transcript of `ollama run --verbose` in it "
            "(looked for `total duration: 1m2.2s` with the lines `eval count:` and others below)",
            "make one: ollama run MODEL --verbose PROMPT 2>&1 | tee FILE",
        )
    names = {_spaced(prompt): name for prompt, name in (known_jobs or {}).items()}
    origin = _Origin(experiment, machine, when, source)
    return _trials(origin, [(_model(path, found, model), found) for found in transcripts], names)


def unix_ns(date: str) -> int:
    """`2025-08`, `2025-08-14` or `2025-08-14T10:30`, UTC where it says no zone."""
    text = f"{date}-01" if re.fullmatch(r"\d{4}-\d{2}", date) else date
    try:
        when = datetime.fromisoformat(text)
    except ValueError as problem:
        raise UserError(
            f"{date!r} is no date", "write --date 2025-08-14, or --date 2025-08"
        ) from problem
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(aware.timestamp()) * NS_PER_S


def job_name(prompt: str | None, known_jobs: Mapping[str, str]) -> str:
    """The known job's name, else the first words of the prompt and a mark of the whole of it."""
    if prompt is None:
        return "imported"
    if name := known_jobs.get(_spaced(prompt)):
        return name
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    mark = content_id("prompt", _spaced(prompt)).removeprefix("prompt-")[:4]
    return "-".join([*(words[:MOST_SLUG_WORDS] or ["imported"]), mark])


@dataclass(frozen=True, slots=True)
class _Origin:
    experiment: str
    machine: str
    unix_ns: int
    source: str

    @property
    def machine_id(self) -> str:
        return content_id("machine", {"imported": self.machine})


def _trials(
    origin: _Origin, turns: list[tuple[str, Transcript]], known_jobs: Mapping[str, str]
) -> list[Imported]:
    """The same figures twice in one file are one trial; blocks count the turns of one cell."""
    found: dict[str, Imported] = {}
    blocks: dict[tuple[str, str], int] = {}
    for model, transcript in turns:
        trial = _trial_id(origin, model, transcript)
        attempt = attempt_id(trial, 0)
        if attempt in found:
            continue
        job = job_name(transcript.prompt, known_jobs)
        block = blocks.get((model, job), 0)
        blocks[model, job] = block + 1
        ids = {"attempt_id": attempt, "trial_id": trial, "block": block, "position": len(found)}
        rows: Rows = {
            "requests": [_request(attempt, job, transcript)],
            "trials": [{**_trial(origin, model, job, transcript), **ids}],
        }
        found[attempt] = Imported(
            attempt_id=attempt, model=model, job=job, transcript=transcript, rows=rows
        )
    return list(found.values())


def _trial_id(origin: _Origin, model: str, found: Transcript) -> str:
    figures = (
        found.total_ns,
        found.load_ns,
        found.prompt_tokens,
        found.prompt_ns,
        found.output_tokens,
        found.output_ns,
    )
    return content_id("trial", ["imported", origin.experiment, origin.machine_id, model, figures])


def _trial(origin: _Origin, model: str, job: str, found: Transcript) -> Row:
    content = {"name": job, "prompt": _spaced(found.prompt)} if found.prompt else {"name": job}
    turn = f" (turn {found.turn} of a conversation)" if found.turn > 1 else ""
    return {
        **blank("trials"),
        "fence": 0,
        "session": 0,
        "experiment": origin.experiment,
        "machine_id": origin.machine_id,
        "machine": origin.machine,
        "model": model,
        "job": job,
        "job_content": canonical_json(content),
        "engine": "ollama",
        "cut": False,
        "settings": "",  # fleet asked for none
        "outcome": "ok",
        "transient": False,
        "started_at": started_at(origin.unix_ns),
        "zero_unix_ns": origin.unix_ns,
        "fleet_version": __version__,
        "imported": True,
        "source": f"{origin.source}{turn}",
    }


def _request(attempt: str, job: str, found: Transcript) -> Row:
    return {
        **blank("requests"),
        "attempt_id": attempt,
        "request": 0,
        "point": job,
        "warmup": False,
        "total_duration_ns": found.total_ns,
        "load_duration_ns": found.load_ns,
        "prompt_tokens": found.prompt_tokens,
        "prompt_duration_ns": found.prompt_ns,
        "output_tokens": found.output_tokens,
        "output_duration_ns": found.output_ns,
        "turn": max(found.turn - 1, int(_carries_history(found))),
    }


def _carries_history(found: Transcript) -> bool:
    """Far more prompt tokens than the question has words: a conversation went before it."""
    if found.prompt is None or found.prompt_tokens is None:
        return False
    return found.prompt_tokens > TOKENS_PER_WORD * len(found.prompt.split()) + TEMPLATE_TOKENS


def _model(path: Path, found: Transcript, given: str | None) -> str:
    model = found.model or given
    if model is None:
        raise UserError(
            f"{path}:{found.line}: nothing before this transcript says which model it is of "
            "(looked for `ollama run MODEL --verbose`)",
            "say it: --model NAME",
        )
    return model


def _spaced(prompt: str) -> str:
    """Line breaks and runs of spaces differ with the terminal's width."""
    return " ".join(prompt.split())


def _text(path: Path) -> str:
    """Decodes UTF-8, the UTF-16 that PowerShell writes, and the older one-byte encodings."""
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise UserError(
            f"{path} cannot be read: {problem.strerror}", "name a text file with transcripts"
        ) from problem
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        raise UserError(f"{path} is a binary file", "name a text file with transcripts")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
