"""One cell named by the words of a command line, on the engine and machines of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fleet.config.from_models import ModelWords, from_models
from fleet.config.overrides import narrowed
from fleet.errors import UserError
from fleet.model.experiment import Experiment, Request
from fleet.model.settings import Settings


class CellRequest(NamedTuple):
    """One cell in the words of the command line."""

    model: str | None
    job: str
    machines: Sequence[str]
    engine: str
    repeats: int
    settings: Sequence[str]


def cell_request(base: Request | None, model: str, cell: CellRequest, what: str) -> Request:
    """Return the experiment that measures this cell and no other.

    `base`: an experiment whose engine, machines and first settings are used. `what`: the command's
    work, for the message to a user who asks for several cells. Raises UserError.
    """
    request = _from_words(model, cell, what)
    experiment = request.experiment if base is None else _based_on(base, request, cell)
    return Request(experiment=experiment, jobs=request.jobs)


def _from_words(model: str, cell: CellRequest, what: str) -> Request:
    """Return the experiment of the words alone; raise UserError if it is more than one cell."""
    words = ModelWords(
        models=[model],
        jobs=(cell.job,),
        machines=cell.machines,
        engine=cell.engine,
        repeats=cell.repeats,
        settings=cell.settings,
    )
    request = from_models(words)
    if axes := request.experiment.settings.axes():
        raise UserError(
            f"{what} measures one cell, and --set {axes[0]} has several values",
            f"give {axes[0]} one value",
        )
    return request


def _based_on(base: Request, request: Request, cell: CellRequest) -> Experiment:
    """Return the experiment of a file, with the model, job and machines of the command line."""
    own = request.experiment
    return base.experiment.model_copy(
        update={
            "models": own.models,
            "jobs": own.jobs,
            "machines": own.machines if cell.machines else base.experiment.machines,
            "settings": _first_settings(base, cell.settings),
            "compare_by": None,
            "baseline": None,
        }
    )


def _first_settings(base: Request, words: Sequence[str]) -> Settings:
    """Return the first combination of an experiment's settings that has the given values."""
    settings = narrowed(base, words).experiment.settings
    return Settings.model_validate(settings.combinations()[0])
