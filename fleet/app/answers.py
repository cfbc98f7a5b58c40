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
from fleet.folders import results_folders
from fleet.query.open_store import open_store
from fleet.report.answers_page import answers_page

PAGE_BEGINS = b"<!doctype html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswersWords:
    """The request of `fleet answers`, in the words of the command line."""

    experiment: str | None = None
    job: str | None = None
    models: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    references: tuple[Path, ...] = ()
    checks: tuple[str, ...] = ()
    contrasts: bool = False


@interruptible()
def read_answers(homes: Sequence[Path], words: AnswersWords) -> tuple[list[Sheet], list[str]]:
    """Return a sheet for each question, and notes for the reader."""
    request = AnswersRequest(
        experiment=words.experiment,
        job=words.job,
        models=words.models,
        machines=words.machines,
        references=_references(words.references),
        checks=tuple(map(check_from_word, words.checks)),
        contrasts=words.contrasts,
    )
    with closing(open_store(results_folders(homes), TABLES)) as con:
        declared = {job: declared_checks(job) for job in jobs_with_answers(con, request)}
        checks = {job: (*(own or ()), *request.checks) for job, own in declared.items()}
        answers = sheets(con, request, checks)
    notes = [
        f"{job}: the file of this job is not here, so only --check applies"
        for job in declared
        if declared[job] is None
    ]
    return answers, notes


def write_page(file: Path, sheets: Sequence[Sheet]) -> None:
    """Write one self-contained HTML file; raise UserError if it cannot be written."""
    try:
        if file.exists() and not file.read_bytes()[: len(PAGE_BEGINS)].lower() == PAGE_BEGINS:
            raise UserError(f"{file} exists and is not an HTML page", "name another file")
        file.write_text(answers_page(sheets), encoding="utf-8")
    except OSError as problem:
        raise UserError(f"{file}: cannot be written: {problem.strerror}") from None


def _references(files: Sequence[Path]) -> tuple[Reference, ...]:
    """Read every file; raise the mistakes of all of them at once."""
    references: list[Reference] = []
    mistakes: list[Mistake] = []
    for file in dict.fromkeys(files):
        try:
            references.append(read_reference(file))
        except ConfigError as problem:
            mistakes += problem.mistakes
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return tuple(references)
