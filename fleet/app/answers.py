"""Answers side by side: kept texts, references of the user, checks of the jobs' files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fleet.answers.nouns import Reference, Sheet
from fleet.answers.references import check_from_word, declared_checks, read_reference
from fleet.answers.sheets import TABLES, AnswersRequest, jobs_with_answers, sheets
from fleet.app.interrupts import interruptible
from fleet.errors import ConfigError, Mistake, UserError
from fleet.folders import results_folder
from fleet.query.open_store import open_store

NOTHING = "no answers yet: fleet submit gpt-oss:20b --job side-by-side"
PAGE_BEGINS = b"<!doctype html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What `fleet answers` was asked, in the words of the command line."""

    experiment: str | None = None
    job: str | None = None
    models: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    references: tuple[Path, ...] = ()
    checks: tuple[str, ...] = ()
    contrasts: bool = False


@interruptible()
def read_answers(homes: Sequence[Path], asked: Asking) -> tuple[list[Sheet], list[str]]:
    """A sheet for each question, and what the reader should be told beside them."""
    wanted = AnswersRequest(
        experiment=asked.experiment,
        job=asked.job,
        models=asked.models,
        machines=asked.machines,
        references=_references(asked.references),
        checks=tuple(map(check_from_word, asked.checks)),
        contrasts=asked.contrasts,
    )
    with closing(open_store([results_folder(home) for home in homes], TABLES)) as con:
        declared = {job: declared_checks(job) for job in jobs_with_answers(con, wanted)}
        checks = {job: (*(own or ()), *wanted.checks) for job, own in declared.items()}
        found = sheets(con, wanted, checks)
    told = [
        f"{job}: no file of this job here, so only --check is looked at"
        for job in declared
        if declared[job] is None
    ]
    return found, told


def write_page(file: Path, sheets: Sequence[Sheet]) -> None:
    """One self-contained HTML file. Raises UserError where it cannot be written."""
    from fleet.report.answers_page import answers_page

    try:
        if file.exists() and not file.read_bytes()[: len(PAGE_BEGINS)].lower() == PAGE_BEGINS:
            raise UserError(f"{file}: is there and is no HTML page", "name another file")
        file.write_text(answers_page(sheets), encoding="utf-8")
    except OSError as problem:
        raise UserError(f"{file}: cannot be written: {problem.strerror}") from None


def _references(files: Sequence[Path]) -> tuple[Reference, ...]:
    """All mistakes of all files at once."""
    found: list[Reference] = []
    mistakes: list[Mistake] = []
    for file in dict.fromkeys(files):
        try:
            found.append(read_reference(file))
        except ConfigError as problem:
            mistakes += problem.mistakes
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return tuple(found)
