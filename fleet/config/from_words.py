"""An experiment from the words of a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from fleet.config.checks import repeats_mistake
from fleet.config.reading import find_job, job_folders, job_hint, read_job
from fleet.config.shipped import did_you_mean
from fleet.errors import ConfigError, UnknownName, UserError
from fleet.identity import content_id
from fleet.model.experiment import (
    EmbeddedEngine,
    Engine,
    Experiment,
    OllamaEngine,
    Repeats,
    Request,
)
from fleet.model.job import Job
from fleet.model.machine import full_model_name
from fleet.model.noun import label_mistake, model_name_mistake
from fleet.model.settings import Settings, Value

USUAL_JOBS = ("quickstart", "chat")
"""Prefill and decode under the names that llama-bench gave them, and an everyday question."""
LONGEST_NAME = 60

Given = Mapping[str, Value | list[Value]]


def request_from_words(
    models: Sequence[str],
    *,
    jobs: Sequence[str],
    machines: Sequence[str],
    repeats: int | None,
    engine_kind: str,
    settings: Given,
) -> Request:
    wrong = None if repeats is None else repeats_mistake(repeats)
    if wrong:
        raise UserError(f"repeats: {wrong}")
    models, jobs = _once(models), list(dict.fromkeys(jobs)) or list(USUAL_JOBS)
    return Request(
        experiment=Experiment(
            version=1,
            name=experiment_name(models, jobs, engine_kind, settings),
            models=tuple(models),
            jobs=tuple(jobs),
            machines=_machines(machines),
            engine=_engine(engine_kind),
            settings=Settings.model_validate(settings),
            repeats=repeats or Repeats(),
            canary="off",  # a first number in minutes
        ),
        jobs=tuple(_job(name) for name in jobs),
    )


def experiment_name(
    models: Sequence[str], jobs: Sequence[str], engine_kind: str, settings: Given
) -> str:
    """`gpt-oss-20b`; jobs, engine and settings only where they are not the usual ones."""
    words = [*models]
    words += jobs if tuple(jobs) != USUAL_JOBS else []
    words += [engine_kind] if engine_kind != "ollama" else []
    words += [f"{name}-{value}" for name, value in settings.items()]
    slugs = (re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-._") for word in words)
    name = "-".join(filter(None, slugs))
    if 0 < len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{content_id('name', words)[-8:]}".lstrip("-")


def _once(models: Sequence[str]) -> list[str]:
    """A model without a tag and with `:latest` is one model."""
    kept = {full_model_name(model): model for model in reversed(models)}
    if not kept or not all(model.strip() for model in models):
        raise UserError("no model is named", "name one or more: fleet submit gpt-oss:20b")
    for mistake in filter(None, map(model_name_mistake, models)):
        raise UserError(f"model: {mistake}", "its name is in the list of: ollama list")
    return list(reversed(kept.values()))


def _machines(names: Sequence[str]) -> tuple[str, ...] | Literal["all"]:
    for mistake in filter(None, map(label_mistake, names)):
        raise UserError(f"--machines: {mistake}", "such as --machines studio-96")
    return tuple(dict.fromkeys(names)) or "all"


def _engine(kind: str) -> Engine:
    if kind == "ollama":
        return OllamaEngine(kind="ollama")
    if kind == "embedded":
        return EmbeddedEngine(kind="embedded")
    if kind == "simulated":
        raise UserError(
            "engine simulated: its machines are scripted in a file", "fleet submit practice"
        )
    known = ("ollama", "embedded", "simulated")
    raise UnknownName(f"unknown engine '{kind}'{did_you_mean(kind, known)}")


def _job(name: str) -> Job:
    folders = job_folders()
    path = find_job(name, folders)
    if path is None:
        raise UnknownName(f"no job named '{name}'{job_hint(name, folders)}")
    read = read_job(path)
    if read.mistakes or read.noun is None:
        raise ConfigError(read.mistakes)
    return read.noun
