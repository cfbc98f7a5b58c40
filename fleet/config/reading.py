"""Reads an experiment file and the files of its jobs, or reports every mistake in them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from fleet.config.checks import experiment_mistakes, job_mistakes, texts
from fleet.config.document import (
    LARGEST_PROMPT_BYTES,
    Document,
    document_of,
    failure,
    read_document,
    read_text,
)
from fleet.config.explain import explain
from fleet.config.prompts_file import JSON_LINES, with_prompts
from fleet.config.schemas import Kind
from fleet.config.shipped import (
    did_you_mean,
    find_job,
    job_folders,
    job_hint,
    names_in,
    shipped_folder,
)
from fleet.errors import ConfigError, Mistake, nearest
from fleet.model.experiment import Experiment, Request
from fleet.model.job import Job
from fleet.model.noun import Noun
from fleet.model.session import Session

Some = TypeVar("Some", bound=Noun)


@dataclass(frozen=True, slots=True)
class FileReading(Generic[Some]):
    """What a file describes, or its mistakes; the document if the file could be read."""

    noun: Some | None
    mistakes: tuple[Mistake, ...]
    document: Document | None


def load_request(path: Path) -> Request:
    """Return one experiment with its jobs; raises ConfigError with every mistake of all files.

    Jobs are looked up in ../jobs of the file, in ./jobs, and among the shipped jobs.
    """
    read = _read_experiment(path)
    folders = job_folders(Path(os.path.abspath(path)).parent.parent / "jobs")
    jobs, mistakes = _read_named_jobs(read.document, folders) if read.document else ([], [])
    every = (*read.mistakes, *mistakes)
    if every or read.noun is None:
        raise ConfigError(_in_order(every))
    return Request(experiment=read.noun, jobs=tuple(jobs))


def read_job(path: Path) -> FileReading[Job]:
    """Read the file of a job, with the text of its prompt files."""
    read = _read(path, Job, "job")
    if read.document is None:
        return read
    mistakes = list(read.mistakes) + job_mistakes(read.document, path.stem)
    job = read.noun
    for key, use in FILES.items():
        name = read.document.content.get(key)
        if isinstance(name, str):
            try:
                text = _prompt_text(path.parent, name)
            except ConfigError as problem:
                what = f"{problem.mistakes[0].file}: {problem.mistakes[0].what}"
                mistakes.append(read.document.mistake((key,), what))
                continue
            try:
                job = job and use(job, text, path.parent / name)
            except ConfigError as problem:
                mistakes += problem.mistakes
    return FileReading(job, tuple(mistakes), read.document)


def _with_prompt(job: Job, text: str, path: Path) -> Job:
    return job.model_copy(update={"prompt": text})


def _with_prompts(job: Job, text: str, path: Path) -> Job:
    """Return the job with these prompts; a mistake has its line in their file."""
    json_lines = path.suffix.lower() in JSON_LINES
    return with_prompts(job, text, _label(path), json_lines=json_lines)


def _with_session(job: Job, text: str, path: Path) -> Job:
    """Return the job with this session; every mistake of it has its place in its file."""
    read = _validated(document_of(text, _label(path)), Session, "session")
    if read.noun is None or read.mistakes:
        raise ConfigError(read.mistakes)
    return job.model_copy(update={"session": read.noun, "session_file": None})


FILES = {
    "prompt_file": _with_prompt,
    "prompts_file": _with_prompts,
    "session_file": _with_session,
}
"""The keys of a job that name another file, and what its text is used for."""


def _prompt_text(folder: Path, name: str) -> str:
    """Return the text of a prompt file without the newline that editors put at its end.

    A job is data that people pass on: it names no file outside its own folder, nor by a link.
    """
    path = folder / name
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # a loop of links, or a name that none can have
        raise failure(_label(path), "no such file") from None
    if not inside:
        raise failure(_label(path), f"lies outside the folder of the job, {_label(folder)}")
    text = read_text(path, _label(path), LARGEST_PROMPT_BYTES).rstrip("\r\n")
    if not text.strip():
        raise failure(_label(path), "the file is empty")
    return text


def _read_experiment(path: Path) -> FileReading[Experiment]:
    read = _read(path, Experiment, "experiment", str(path))
    if read.document is None:
        if not os.path.exists(path):
            what = f"no such file{_shipped_hint(path)}"
            return FileReading(None, failure(str(path), what).mistakes, None)
        return read
    if read.noun is None and _is_job(read.document.content):
        what = f"this is a job, not an experiment: fleet submit MODEL --job {path.stem}"
        return FileReading(None, failure(str(path), what).mistakes, None)
    mistakes = (*read.mistakes, *experiment_mistakes(read.document))
    return FileReading(read.noun, mistakes, read.document)


def _shipped_hint(path: Path) -> str:
    names = names_in(shipped_folder("configs"))
    near = nearest(path.stem, names)
    return f" (did you mean configs/{near}.yaml?)" if near else did_you_mean(path.stem, names)


def _is_job(content: dict[str, Any]) -> bool:
    return not content.keys() & {"models", "jobs"} and bool(content.keys() & {"points", "prompt"})


def _read(path: Path, noun: type[Some], kind: Kind, file: str = "") -> FileReading[Some]:
    try:
        document = read_document(path, file or _label(path))
    except ConfigError as problem:
        return FileReading(None, problem.mistakes, None)
    return _validated(document, noun, kind)


def _validated(document: Document, noun: type[Some], kind: Kind) -> FileReading[Some]:
    try:
        made = noun.model_validate_json(json.dumps(document.content), strict=True)
    except ValidationError as problem:
        mistakes = explain(problem, document, kind)
        return FileReading(None, (*document.mistakes, *mistakes), document)
    return FileReading(made, document.mistakes, document)


def _read_named_jobs(
    document: Document, folders: Sequence[Path]
) -> tuple[list[Job], list[Mistake]]:
    jobs: list[Job] = []
    mistakes: list[Mistake] = []
    for at, name in texts(document.content.get("jobs")):
        path = find_job(name, folders)
        if path is None:
            what = f"no job named '{name}'{job_hint(name, folders)}"
            mistakes.append(document.mistake(("jobs", at), what))
            continue
        read = read_job(path)
        mistakes += [each for each in read.mistakes if each not in mistakes]
        jobs += [read.noun] if read.noun else []
    return jobs, mistakes


def _label(path: Path) -> str:
    """Return a path relative to the current folder, if it lies below it."""
    inside = path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd()) if inside else path)


def _in_order(mistakes: Sequence[Mistake]) -> tuple[Mistake, ...]:
    files = list(dict.fromkeys(each.file for each in mistakes))
    return tuple(sorted(mistakes, key=lambda m: (files.index(m.file), m.line, m.column)))
