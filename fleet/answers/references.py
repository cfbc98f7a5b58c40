"""Reads what `fleet answers` is given: reference files, checks of jobs and of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from fleet.answers.nouns import Reference
from fleet.config.document import failure, read_text
from fleet.config.reading import read_job
from fleet.config.shipped import did_you_mean, find_job, job_folders
from fleet.errors import ConfigError, Mistake, UserError
from fleet.model.checks import CHECK_KINDS, Check
from fleet.units import go_duration_ns

FENCE = "---"
HEAD_KEYS = ("name", "time", "tokens", "job", "prompt", "source")
LONGEST_VALUE = 200
LONGEST_PROMPT = 4000
MOST_MISTAKES = 8
"""An answer that stands between two rules has a mistake in every line."""

_LINE = re.compile(r"([A-Za-z_]+)\s*:\s*(.*)")


def read_reference(path: Path) -> Reference:
    """Read the answer in a text file, after a head of `key: value` lines if it begins with `---`.

    Raises ConfigError with every mistake of the head, or the one that ends the reading.
    """
    file = str(path)
    lines = read_text(path, file).replace("\r\n", "\n").split("\n")
    head, body_at = (_Head(file), 0) if not _has_head(lines) else _read_head(file, lines)
    text = "\n".join(lines[body_at:]).strip("\n")
    if not text.strip():
        if head.mistakes:
            raise ConfigError(tuple(head.mistakes[:MOST_MISTAKES]))
        where = " after its head" if body_at else ""
        raise failure(file, f"there is no answer{where}: paste one", max(body_at, 1))
    values = head.checked()
    return Reference(
        name=values.get("name", path.stem),
        text=text,
        time_ns=_duration_ns(values["time"]) if "time" in values else None,
        tokens=int(values["tokens"]) if "tokens" in values else None,
        job=values.get("job"),
        prompt=values.get("prompt"),
        source=values.get("source", ""),
        file=file,
        line=head.lines.get("job", 1),
        prompt_line=head.lines.get("prompt", 1),
    )


def declared_checks(job: str) -> tuple[Check, ...] | None:
    """Read the checks in the job's file as it is now; None where no file has this name here.

    Raises ConfigError with the mistakes of the file.
    """
    path = find_job(job, job_folders())
    if path is None:
        return None
    read = read_job(path)
    if read.mistakes or read.noun is None:
        raise ConfigError(read.mistakes)
    return read.noun.checks


def check_from_word(word: str) -> Check:
    """Read a check: `contains=gold`, `regex=5d`, `exact=42`, `json`, `similar_to_reference=0.6`."""
    kind, given, text = word.partition("=")
    if kind not in CHECK_KINDS:
        near = did_you_mean(kind, CHECK_KINDS)
        raise UserError(f"--check {word}: unknown check{near}", f"one of {', '.join(CHECK_KINDS)}")
    value: object = text
    if kind == "json":
        value = True if not given else text == "true" or text
    elif kind == "similar_to_reference":
        value = _number(text)
    try:
        return Check.model_validate({kind: value})
    except ValidationError as problem:
        what = problem.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UserError(f"--check {word}: {what}", "such as --check contains=gold") from None


class _Head:
    """The lines between the fences, and what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.values: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self.mistakes: list[Mistake] = []

    def take(self, number: int, line: str) -> None:
        match = _LINE.fullmatch(line.strip())
        if match is None:
            self.wrong(number, "", "must be `key: value`, or `---` to end the head")
            return
        key, value = match[1].lower(), match[2].strip().strip("\"'").strip()
        if key not in HEAD_KEYS:
            near = did_you_mean(key, HEAD_KEYS)
            known = near or f": there is {', '.join(HEAD_KEYS)}"
            self.wrong(number, key, f"unknown key{known}")
        elif key in self.lines:
            self.wrong(number, key, f"stands here a second time, first in line {self.lines[key]}")
        elif not value:
            self.wrong(number, key, "is empty")
        elif len(value) > (most := LONGEST_PROMPT if key == "prompt" else LONGEST_VALUE):
            self.wrong(number, key, f"is longer than {most} characters")
        else:
            self.values[key] = value
        self.lines.setdefault(key, number)

    def checked(self) -> dict[str, str]:
        self._must("time", _duration_ns, "must be a time such as 2m18s or 41.5s")
        self._must("tokens", _count, "must be a whole number of 1 or more")
        if self.mistakes:
            in_order = sorted(self.mistakes, key=lambda mistake: mistake.line)
            raise ConfigError(tuple(in_order[:MOST_MISTAKES]))
        return self.values

    def wrong(self, number: int, key: str, what: str) -> None:
        self.mistakes.append(Mistake(self.file, number, 1, key, what))

    def _must(self, key: str, read: Callable[[str], int], what: str) -> None:
        value = self.values.get(key)
        try:
            if value is not None:
                read(value)
        except ValueError:
            self.wrong(self.lines[key], key, f"{what}, not '{value}'")


def _has_head(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].strip() == FENCE


def _read_head(file: str, lines: Sequence[str]) -> tuple[_Head, int]:
    """Read the head, and find where the answer begins."""
    head = _Head(file)
    for number, line in enumerate(lines[1:], start=2):
        if line.strip() == FENCE:
            return head, number
        if line.strip():
            head.take(number, line)
    what = "the head that begins here has no end: put `---` after it, or leave it out"
    raise failure(file, what)


def _duration_ns(text: str) -> int:
    duration_ns = go_duration_ns(text.replace(" ", ""))
    if duration_ns <= 0:
        raise ValueError("no time at all")
    return duration_ns


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise ValueError("none")
    return count


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text
