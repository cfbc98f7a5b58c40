"""Which experiment a bare word names: one that was submitted here, or one that fleet ships.

A word such as `gpt-oss` can also be a model; then nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.config.reading import load_request
from fleet.config.shipped import find_experiment, is_shipped, job_names
from fleet.errors import UserError
from fleet.folders import ledger_file, with_home
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request


def named_experiment(words: Sequence[str], home: Path | None) -> Request | None:
    """Return the experiment that a single word names; None if the words are models.

    `home` holds the submitted experiments; None: they are elsewhere, so only shipped ones count.
    Raises UserError if a word could be either, or names a job.
    """
    for word in words:
        submitted = submitted_request(word, home) if home is not None else None
        if submitted is not None and _is_of_models_named(submitted, word):
            continue
        request = submitted or _shipped(word)
        if request is None:
            _refuse_job(word)
        elif len(words) > 1:
            raise UserError(
                f"{word} is an experiment: it cannot be combined with {len(words) - 1} more",
                f"fleet submit {word}    or only model names",
            )
        else:
            return request
    return None


def submitted_request(name: str, home: Path) -> Request | None:
    """Return the experiment as it was last submitted in this home; None if it never was."""
    if not ledger_file(home).exists():
        return None
    with closing(Ledger(ledger_file(home))) as ledger:
        return ledger.request(name)


def _is_of_models_named(request: Request, word: str) -> bool:
    """Tell an experiment made of model names: it is named like its model, if that has no tag."""
    return word in request.experiment.models


def refuse_experiment(word: str, home: Path) -> None:
    """Raise UserError for the name of an experiment or a job where a model is needed."""
    _refuse_job(word)
    shipped = _shipped_request(word)
    request = submitted_request(word, home) or shipped
    if request is not None and not _is_of_models_named(request, word):
        file = with_home(f"fleet noise --config configs/{word}.yaml", home)
        raise UserError(
            f"{word} is an experiment, not a model",
            with_home(f"fleet noise {request.experiment.models[0]}", home)
            + (f"    or: {file}" if shipped else ""),
        )


def _shipped_request(word: str) -> Request | None:
    path = find_experiment(word) if is_shipped(word) else None
    return None if path is None else load_request(path)


def _shipped(word: str) -> Request | None:
    request = _shipped_request(word)
    if request is None:
        return None
    families = {model.partition(":")[0] for model in request.experiment.models}
    if word in families:
        raise UserError(
            f"{word} names an experiment that comes with fleet, and a model",
            f"fleet submit configs/{word}.yaml    or the model: fleet submit {word}:latest",
        )
    return request


def _refuse_job(word: str) -> None:
    if word in job_names():
        raise UserError(f"{word} is a job, not a model", f"fleet submit gpt-oss:20b --job {word}")
