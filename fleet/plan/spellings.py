"""One model under several spellings: a request keeps the spelling of its earlier trials; pure.

`Llama3.1` and `llama3.1:latest` are one model to an engine. The spelling is a part of the id of a
trial, and of the name that an experiment gets from the command line, so a new spelling would
measure the same again, beside the first as if it were another model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fleet.model.experiment import Request
from fleet.model.machine import same_model

Known = Mapping[str, Sequence[str]]
"""By experiment, the stored names of its models."""


def as_before(request: Request, known: Known) -> Request:
    """Return the request with the spellings of its earlier trials."""
    experiment = request.experiment
    name = experiment.name if experiment.name in known else _known_name(request, known)
    stored = known.get(name, ())
    changes: dict[str, object] = {
        "name": name,
        "models": tuple(_as_stored(model, stored) for model in experiment.models),
    }
    if experiment.baseline is not None and experiment.baseline in experiment.models:
        changes["baseline"] = _as_stored(experiment.baseline, stored)
    return request.model_copy(update={"experiment": experiment.model_copy(update=changes)})


def _as_stored(model: str, stored: Sequence[str]) -> str:
    if model in stored:
        return model
    return next((name for name in stored if same_model(name, model)), model)


def _known_name(request: Request, known: Known) -> str:
    """Return the stored name of an experiment that is named after another spelling of the model."""
    experiment = request.experiment
    if f"-{_folded(experiment.models[0])}-" not in f"-{_folded(experiment.name)}-":
        return experiment.name
    alike = (name for name in known if _folded(name) == _folded(experiment.name))
    return next((name for name in alike if _has_all(request, known[name])), experiment.name)


def _has_all(request: Request, stored: Sequence[str]) -> bool:
    models = request.experiment.models
    return all(any(same_model(model, name) for model in models) for name in stored)


def _folded(name: str) -> str:
    """Return what the spellings of one name have in common."""
    words = re.sub(r"[^a-z0-9._]+", "-", name.lower())
    return re.sub(r"registry\.ollama\.ai-|library-|-latest\b", "", words)
