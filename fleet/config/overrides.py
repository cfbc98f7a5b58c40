"""What a command line changes of an experiment: `--set`, `--quick`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from pydantic import ValidationError

from fleet.config.document import Document, document_of
from fleet.config.explain import explain
from fleet.config.shipped import did_you_mean
from fleet.errors import ConfigError, UserError
from fleet.model.experiment import Experiment, Request, Telemetry
from fleet.model.job import QUICK_ANSWER_S, Job
from fleet.model.noun import Noun
from fleet.model.settings import SETTINGS, Settings, Value

EXAMPLE = "such as --set num_ctx=8192, or --set num_batch=512,2048 to measure both"
_SCALAR = re.compile(r"[A-Za-z0-9._+-]+")


class _Given(Noun):
    """As in an experiment's file, so that its messages and its schema can be used."""

    settings: Settings


def given_settings(words: Sequence[str]) -> dict[str, Value | list[Value]]:
    """`num_ctx=8192`, `num_batch=512,2048` as settings; a list is an axis.

    Raises UserError with every mistake of all words.
    """
    texts, mistakes = _split(words)
    values: dict[str, Value | list[Value]] = {}
    try:
        document = document_of(_as_yaml(texts), "--set")
        given = _Given.model_validate_json(json.dumps(document.content), strict=True)
        values = {name: getattr(given.settings, name) for name in texts}
    except ValidationError as problem:
        mistakes += _told(problem, document)
    except ConfigError as problem:
        mistakes += [f"--set: {each.what}" for each in problem.mistakes]
    if mistakes:
        raise UserError("\n".join(mistakes), EXAMPLE)
    return values


def narrowed(request: Request, given: Mapping[str, Value | list[Value]]) -> Request:
    """Only those trials of a written experiment that have these values.

    Its file says what it measures, so nothing is measured under its name that it does not ask for.
    Raises UserError.
    """
    experiment = request.experiment
    wrong = [
        f"--set {name}={_written(value)}: {experiment.name} {_measures(experiment, name)}"
        for name, value in given.items()
        if not set(_values(value)) <= set(_values(getattr(experiment.settings, name)))
    ]
    if wrong:
        raise UserError(
            "\n".join(wrong),
            "with a file --set only narrows: add the value to the file, or name models instead",
        )
    settings = experiment.settings.model_copy(update=dict(given))
    changes: dict[str, object] = {"settings": settings}
    if experiment.compare_by in given and experiment.compare_by not in settings.axes():
        changes |= {"compare_by": None, "baseline": None}
    return request.model_copy(update={"experiment": experiment.model_copy(update=changes)})


def quick_look(request: Request) -> Request:
    """The same cells for a first glance: one block, nothing waited for, answers cut.

    It has a name of its own, so that it is no part of the experiment itself.
    """
    experiment = request.experiment
    changes = {
        "name": quick_name(experiment),
        "repeats": 1,
        "canary": "off",
        "control": "off",
        "cool_down": None,
        "restart_engine": False,
        "gates": "record",
        "telemetry": _without_rest(experiment.telemetry),
    }
    return request.model_copy(
        update={
            "experiment": experiment.model_copy(update=changes),
            "jobs": tuple(map(_quick, request.jobs)),
        }
    )


def quick_name(experiment: Experiment) -> str:
    return f"{experiment.name}-quick"


def _without_rest(telemetry: Literal["off"] | Telemetry) -> Literal["off"] | Telemetry:
    return telemetry if telemetry == "off" else telemetry.model_copy(update={"idle_s": 0.0})


def _quick(job: Job) -> Job:
    points = tuple(point.model_copy(update={"seconds": None}) for point in job.points)
    return job.model_copy(
        update={"points": points, "requests": 1, "warmup": 1, "answer_s": QUICK_ANSWER_S}
    )


def _split(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Text of the values by name, and what is wrong with the words themselves."""
    texts: dict[str, list[str]] = {}
    mistakes = []
    for word in words:
        name, equals, text = (part.strip() for part in word.partition("="))
        values = [value.strip() for value in text.split(",")]
        if not equals or not name or not all(map(_SCALAR.fullmatch, values)):
            mistakes.append(f"--set {word}: must be NAME=VALUE or NAME=VALUE,VALUE")
        elif name not in SETTINGS:
            hint = did_you_mean(name, SETTINGS)
            mistakes.append(f"--set {name}: unknown setting{hint}")
        elif name in texts:
            mistakes.append(
                f"--set {name}: stands there twice: write "
                f"{name}={','.join([*texts[name], *values])} to measure each"
            )
        else:
            texts[name] = values
    return texts, mistakes


def _as_yaml(texts: Mapping[str, Sequence[str]]) -> str:
    lines = [f"  {name}: {_as_list(values)}" for name, values in texts.items()]
    return "\n".join(["settings:", *lines]) if lines else "settings: {}"


def _as_list(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"[{', '.join(values)}]"


def _told(problem: ValidationError, document: Document) -> Iterator[str]:
    for mistake in explain(problem, document, "experiment"):
        name = mistake.field.removeprefix("settings.")
        yield f"--set {name}: {mistake.what}"


def _measures(experiment: Experiment, name: str) -> str:
    value = getattr(experiment.settings, name)
    return f"does not set {name}" if value is None else f"measures {name}={_written(value)}"


def _values(value: Value | list[Value] | None) -> list[Value | None]:
    return list(value) if isinstance(value, list) else [value]


def _written(value: Value | list[Value] | None) -> str:
    return ",".join(str(each) for each in _values(value))
