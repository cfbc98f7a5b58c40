"""Which experiment a bare word means: one that was submitted here, or one that is shipped.

A word such as `gpt-oss` can be a model's as well; then nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.config.reading import load_request
from fleet.config.shipped import find_experiment, is_shipped, job_names
from fleet.errors import UserError
from fleet.folders import ledger_file
from fleet.ledger.journal import Ledger
from fleet.model.experiment import Request


def named_experiment(words: Sequence[str], home: Path | None) -> Request | None:
    """The experiment that the one word names; None: the words are model names.

    `home`: of those that were submitted; None: they are elsewhere, and only shipped ones count.
    Raises UserError where they could be either, or are a job's.
    """
    for word in words:
        submitted = submitted_request(word, home) if home is not None else None
        if submitted is not None and _is_of_models_named(submitted, word):
            continue
        found = submitted or _shipped(word)
        if found is None:
            _refuse_job(word)
        elif len(words) > 1:
            raise UserError(
                f"{word} is an experiment: it cannot be mixed with {len(words) - 1} more",
                f"fleet submit {word}    or only model names",
            )
        else:
            return found
    return None


def submitted_request(name: str, home: Path) -> Request | None:
    """The experiment as it was last submitted in this home; None: never."""
    if not ledger_file(home).exists():
        return None
    with closing(Ledger(ledger_file(home))) as ledger:
        return ledger.request(name)


def _is_of_models_named(request: Request, word: str) -> bool:
    """An experiment made of model names has the name of its model, where that has no tag."""
    return word in request.experiment.models


def refuse_experiment(word: str, home: Path) -> None:
    """Raises UserError for the name of an experiment, or of a job, where only a model can be."""
    _refuse_job(word)
    shipped = _shipped_request(word)
    found = submitted_request(word, home) or shipped
    if found is not None and not _is_of_models_named(found, word):
        file = f"    or: fleet noise --config configs/{word}.yaml" if shipped else ""
        raise UserError(
            f"{word} is an experiment, not a model",
            f"fleet noise {found.experiment.models[0]}{file}",
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
            f"{word} is an experiment that comes with fleet, and a model's name",
            f"fleet submit configs/{word}.yaml    or the model: fleet submit {word}:latest",
        )
    return request


def _refuse_job(word: str) -> None:
    if word in job_names():
        raise UserError(f"{word} is a job, not a model", f"fleet submit gpt-oss:20b --job {word}")
