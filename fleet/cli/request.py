"""From the words of the command line to a request and its options; wrong words end here."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from pydantic import TypeAdapter, ValidationError

from fleet import folders, units, wiring
from fleet.config.declared import declared_fleet
from fleet.config.from_models import ModelWords, from_models
from fleet.config.overrides import narrowed, quick_look
from fleet.config.shipped_parts import on_practice_machines
from fleet.errors import UserError, nearest
from fleet.model.declared import DeclaredMachine
from fleet.model.experiment import Request, SimulatedEngine
from fleet.model.gates import POLICIES
from fleet.model.machine import FactValue
from fleet.model.noun import LONGEST_NAME, Name, label_mistake

if TYPE_CHECKING:
    from fleet.app.options import Options
    from fleet.app.target import Target

ONLY = ("machine", "model", "job")


class Words(NamedTuple):
    """An experiment as the command line describes it."""

    what: Sequence[str]
    jobs: Sequence[str] | None = None
    machines: Sequence[str] | None = None
    engine: str = "ollama"
    repeats: int | None = None
    settings: Sequence[str] | None = None
    quick: bool = False
    practice: bool = False
    endpoints: Sequence[str] | None = None


def read_request(words: Words, home: Path | None) -> Request:
    """Return the experiment of a YAML file, the one of this name, or one made of model names.

    `home` holds the experiments that can be named. None: they lie on a head elsewhere, so only
    those that come with fleet have names here.
    """
    request = _written(words.what, home)
    settings = words.settings or ()
    if request is None:
        request = from_models(
            ModelWords(
                models=words.what,
                jobs=words.jobs or (),
                machines=words.machines or (),
                engine=words.engine,
                repeats=words.repeats,
                settings=settings,
            )
        )
    elif words.jobs or words.machines:
        raise UserError(
            f"{words.what[0]} names its own jobs and machines",
            "omit --job and --machines, or select trials with --only machine=X,job=Y",
        )
    else:
        request = narrowed(request, settings)
    if words.quick and words.repeats is not None:
        raise UserError("--quick measures one block", "omit --repeats, or --quick")
    request = quick_look(request) if words.quick else request
    return on_practice_machines(request) if words.practice else request


def with_gates(
    request: Request, policy: str | None, *, residents_are_mine: bool = False
) -> Request:
    """Return the request under another gate policy; its longest waits stay as the file says.

    `residents_are_mine`: the models in memory belong to the user.
    """
    changes: dict[str, object] = {"residents_are_mine": True} if residents_are_mine else {}
    if policy is not None:
        changes["policy"] = _policy(policy)
    if not changes:
        return request
    rule = request.experiment.gate_rule().model_copy(update=changes)
    experiment = request.experiment.model_copy(update={"gates": rule})
    return request.model_copy(update={"experiment": experiment})


def _policy(policy: str) -> str:
    if policy not in POLICIES:
        suggestion = nearest(policy, POLICIES)
        hint = f"did you mean {suggestion}?" if suggestion else f"one of {', '.join(POLICIES)}"
        raise UserError(f"--gates: there is no policy '{policy}'", hint)
    return policy


def home_with_names(target: Target | None, home: Path) -> Path | None:
    """Return the home that holds the named experiments; None if it lies on a head elsewhere."""
    return None if target is not None and target.destination else home


def _written(what: Sequence[str], home: Path | None) -> Request | None:
    """Return the experiment of a file or of a name; None if the words are models."""
    from fleet.app.named_experiments import named_experiment
    from fleet.config.reading import load_request
    from fleet.config.shipped import find_experiment

    files = [word for word in what if is_file(word)]
    if not files:
        return named_experiment(what, home)
    if len(what) > 1:
        raise UserError(
            f"{files[0]} is a file: it cannot be combined with {len(what) - 1} more",
            "give one YAML file, or only model names",
        )
    return load_request(find_experiment(files[0]) or Path(files[0]))


def is_file(word: str) -> bool:
    """Tell a path from a model: models are named `family:tag` or `user/family:tag`."""
    return (
        word.endswith((".yaml", ".yml"))
        or word.startswith((".", "~", "/", "configs/"))
        or os.path.isfile(word)
    )


def find_target(destination: str | None) -> Target | None:
    """Return the head that takes the request; None if this process does the work itself.

    The modules of a head are loaded only where there is a sign of one.
    """
    if not destination and not folders.head_record().exists():
        return None
    from fleet.app import target

    return target.find_target(destination)


def prepare(
    words: Words, home: str | None, head: str | None, selection: str | None = None
) -> tuple[Request, Options, Target | None]:
    """Return the request, how it is run, and the head that takes it, if one does."""
    from fleet.app.options import Options
    from fleet.cli.endpoints import endpoints

    target, folder = find_target(head), folders.home_folder(home)
    request = read_request(words, home_with_names(target, folder))
    if words.endpoints and isinstance(request.experiment.engine, SimulatedEngine):
        raise UserError(
            "the machines of this experiment are scripted: an endpoint is none of them",
            "omit --endpoint, or give an experiment that measures Ollama",
        )
    machines = declared_machines()
    options = Options(
        home=folder,
        only=only(selection),
        repeats=words.repeats,
        endpoints=endpoints(
            words.endpoints or (),
            machines,
            request.experiment.engine,
            with_head=target is not None,
        ),
        **origin(machines),
    )
    return request, options, target


def measure(request: Request, options: Options, target: Target | None, *, detach: bool) -> int:
    """Send the request to its head, or measure it here; return the exit code."""
    from fleet.app.submit import submit
    from fleet.cli.talk import open_talk

    if target is not None:
        return send(request, options, target, detach=detach)
    refuse_detached(detach)
    with open_talk() as talk:
        return submit(request, options, talk)


def send(request: Request, options: Options, target: Target, *, detach: bool) -> int:
    """Send the request to its head and follow it there; return the exit code."""
    from fleet.app import target as app
    from fleet.cli import output

    return app.send(request, options, target, detach=detach, say=output.say)


def check_name(option: str, name: str) -> None:
    """Raise UserError for a name that no experiment can have: files bear it."""
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{option}: must be 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores, "
            f"a letter or digit first",
            f"such as {option} my-figures",
        ) from None


def check_label(option: str, label: str) -> None:
    """Raise UserError for a name that no machine can have."""
    mistake = label_mistake(label)
    if mistake:
        raise UserError(f"{option}: {mistake}", f"such as {option} studio-96")


class CommandOrigin(TypedDict):
    """The part of `Options` that describes who typed which command."""

    command: str
    submitter: str
    declared: dict[str, dict[str, FactValue]]


def declared_machines() -> Mapping[str, DeclaredMachine]:
    """Return the machines of configs/fleet.yaml; raise ConfigError with every mistake of it."""
    declared = declared_fleet(None)
    return {} if declared is None else declared[1].machines


def origin(machines: Mapping[str, DeclaredMachine]) -> CommandOrigin:
    """Describe this command, and what is declared of these machines."""
    return CommandOrigin(
        command=shlex.join(["fleet", *(word for word in sys.argv[1:] if word != "--again")]),
        submitter=f"{_user()}@{wiring.host_name()}",
        declared={name: machine.facts() for name, machine in machines.items()},
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in a container
        return str(os.getuid())


def refuse_detached(detach: bool) -> None:
    """Raise UserError for --detach without a head, since the work would end with this command."""
    if detach:
        what = "--detach needs a head, and none runs here: the work would end with this command"
        raise UserError(what, "fleet head    starts one; a head elsewhere: --head USER@HEAD")


def only(text: str | None) -> dict[str, str]:
    """Read `machine=X,model=Y` as a mapping."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for name, _, value in pairs:
        if name.strip() not in ONLY or not value.strip():
            raise UserError(
                f"--only: {text!r} is not understood", "write --only machine=studio-96,model=NAME"
            )
    return {name.strip(): value.strip() for name, _, value in pairs}


def seconds(budget: str | None, max_hours: float | None, until: str | None) -> float | None:
    """Return the shortest of the given limits, in seconds from now."""
    limits: list[float] = []
    try:
        if budget is not None:
            limits.append(units.span_s(budget))
        if until is not None:
            limits.append(seconds_until(until, time.time()))
    except ValueError as problem:
        raise UserError(str(problem), "write --budget 10m or --until 07:00") from None
    if max_hours is not None:
        limits.append(max_hours * 3600)
    return min(limits) if limits else None


def seconds_until(text: str, now_s: float) -> float:
    """Return how long it is until the wall clock next shows this time of day.

    A night on which the clock is moved is an hour shorter or longer. Raises ValueError.
    """
    try:
        wanted = time.strptime(text, "%H:%M")
    except ValueError:
        raise ValueError(f"{text!r} is no time of day like 07:00") from None
    today = time.localtime(now_s)[:3]
    moments = (
        time.mktime((*today[:2], today[2] + day, wanted.tm_hour, wanted.tm_min, 0, 0, 0, -1))
        for day in range(3)
    )
    return next(moment - now_s for moment in moments if moment > now_s)
