"""Reads many prompts from one file of the user: JSON lines, or paragraphs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.config.document import failure
from fleet.config.shipped import did_you_mean
from fleet.errors import ConfigError, Mistake
from fleet.model.job import Job, Point

JSON_LINES = (".jsonl", ".ndjson")
KEYS = ("prompt", "id")
MOST_PROMPTS = 1000


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of the file."""

    line: int
    """The line in which it begins."""
    text: str
    id: str = ""


def with_prompts(job: Job, text: str, file: str, *, json_lines: bool) -> Job:
    """Return the job with a copy of its one written point for each prompt.

    Raises ConfigError with every mistake of the text; `file` is its name in messages.
    """
    prompts = _read(text, file, json_lines)
    (written,) = job.points
    points = tuple(_point(job, written, number, prompt) for number, prompt in enumerate(prompts, 1))
    return job.model_copy(update={"points": points, "prompts_file": None})


def _point(job: Job, written: Point, number: int, prompt: Prompt) -> Point:
    label = f"{prompt.id or f'{job.name}-{number}'}{written.suffix()}"
    return written.model_copy(update={"prompt": prompt.text, "label": label})


def _read(text: str, file: str, json_lines: bool) -> list[Prompt]:
    entries = list(_of_lines(text, file) if json_lines else _of_paragraphs(text))
    prompts = [each for each in entries if isinstance(each, Prompt)]
    mistakes = [each for each in entries if isinstance(each, Mistake)]
    mistakes += _doubled(prompts, file)
    if mistakes:
        raise ConfigError(tuple(sorted(mistakes, key=lambda each: (each.line, each.column))))
    if not prompts:
        raise failure(file, "holds no prompt")
    if len(prompts) > MOST_PROMPTS:
        what = f"holds {len(prompts)} prompts: at most {MOST_PROMPTS} make one job"
        raise failure(file, what, prompts[MOST_PROMPTS].line)
    return prompts


def _of_paragraphs(text: str) -> Iterator[Prompt]:
    """Yield the paragraphs, which one or more empty lines separate."""
    for match in re.finditer(r"(?:^[^\S\n]*\S.*(?:\n|\Z))+", text, re.M):
        yield Prompt(text.count("\n", 0, match.start()) + 1, match[0].strip())


def _of_lines(text: str, file: str) -> Iterator[Prompt | Mistake]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as problem:
                column = getattr(problem, "colno", 1)
                what = f"is not JSON: {getattr(problem, 'msg', problem)}"
                yield Mistake(file, number, column, "", what)
                continue
            yield _prompt(number, value, file)


def _prompt(line: int, value: Any, file: str) -> Prompt | Mistake:
    entry = {"prompt": value} if isinstance(value, str) else value
    what = _wrong(entry)
    if what:
        return Mistake(file, line, 1, "", what)
    return Prompt(line, entry["prompt"], str(entry.get("id", "")))


def _wrong(entry: Any) -> str:
    if not isinstance(entry, dict):
        return 'must be text, or {"prompt": ..., "id": ...}'
    for key in entry:
        if key not in KEYS:
            return f"unknown key {key}{did_you_mean(key, KEYS)}"
    if not isinstance(entry.get("prompt"), str):
        return "prompt is missing" if "prompt" not in entry else "prompt must be text"
    if not entry["prompt"].strip():
        return "prompt is empty"
    named = entry.get("id", "")
    if isinstance(named, bool) or not isinstance(named, (str, int)):
        return "id must be text or a whole number"
    return ""


def _doubled(prompts: list[Prompt], file: str) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for prompt in prompts:
        if prompt.id and seen.setdefault(prompt.id, prompt.line) != prompt.line:
            what = f"id {prompt.id} stands in line {seen[prompt.id]} too"
            yield Mistake(file, prompt.line, 1, "", what)
