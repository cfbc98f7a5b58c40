"""What people write, read into nouns. Nothing is imported before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any, Literal

    from fleet.model.declared import DeclaredFleet
    from fleet.model.experiment import Request


def load(path: Path) -> Request:
    """One experiment file with the jobs it names, prompt files read in.

    Raises ConfigError with every mistake of all these files.
    """
    from fleet.config.reading import load_request

    return load_request(path)


def from_models(
    models: Sequence[str],
    *,
    jobs: Sequence[str] = (),
    machines: Sequence[str] = (),
    repeats: int | None = None,
    engine: str = "ollama",
    settings: Sequence[str] = (),
) -> Request:
    """The same experiment without a file; same words, same name. No machines named: all; no jobs:
    the usual ones. `settings` are words such as `num_batch=512,2048`.

    Raises UnknownName, UserError, and ConfigError for mistakes in a job's file.
    """
    from fleet.config.from_words import request_from_words
    from fleet.config.overrides import given_settings

    return request_from_words(
        models,
        jobs=jobs,
        machines=machines,
        repeats=repeats,
        engine_kind=engine,
        settings=given_settings(settings),
    )


def narrowed(request: Request, settings: Sequence[str]) -> Request:
    """Only those trials of a written experiment that have these settings. Raises UserError."""
    from fleet.config.overrides import given_settings, narrowed

    return narrowed(request, given_settings(settings)) if settings else request


def quick_look(request: Request) -> Request:
    """The same cells in one block, with answers cut after a few seconds, under another name."""
    from fleet.config.overrides import quick_look

    return quick_look(request)


def find_experiment(word: str) -> Path | None:
    """A path that exists, or a shipped experiment by its name or as `configs/name.yaml`."""
    from fleet.config.shipped import find_experiment

    return find_experiment(word)


def is_shipped(word: str) -> bool:
    """Whether an experiment of this name comes with fleet."""
    from fleet.config.shipped import names_in, shipped_folder

    return word in names_in(shipped_folder("configs"))


def job_names() -> list[str]:
    """Names of the jobs that can be asked from here."""
    from fleet.config.reading import job_folders
    from fleet.config.shipped import names_in

    return sorted({name for folder in job_folders() for name in names_in(folder)})


def shipped_prompts() -> dict[str, str]:
    """Job name by prompt, of the shipped jobs that ask a text of their own."""
    from fleet.config.shipped_parts import shipped_prompts

    return shipped_prompts()


def on_practice_machines(request: Request) -> Request:
    """The same on the machines scripted in the shipped practice experiment, and named so."""
    from fleet.config.shipped_parts import on_practice_machines

    return on_practice_machines(request)


def practice_machines(count: int) -> list[str]:
    """Names of the first machines scripted in the shipped practice experiment.

    Raises UserError where it has fewer.
    """
    from fleet.config.shipped_parts import practice_machines

    return practice_machines(count)


def declared_fleet(named: str | None) -> tuple[Path, DeclaredFleet] | None:
    """What the machines should be, of the file named, else of configs/fleet.yaml if it is there.

    Raises ConfigError with every mistake of the file.
    """
    from fleet.config.declared import find_declared, load_declared

    path = find_declared(named)
    return None if path is None else (path, load_declared(path))


def schema(kind: Literal["experiment", "job", "fleet"]) -> dict[str, Any]:
    """JSON Schema 2020-12 of one kind of file."""
    from fleet.config.schemas import json_schema

    return json_schema(kind)


def write_schemas(folder: Path) -> list[Path]:
    """Writes fleet.schema.json, job.schema.json and machines.schema.json into the folder."""
    from fleet.config.schemas import write_schemas

    return write_schemas(folder)
