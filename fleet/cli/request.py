"""What the user typed, turned into what the use cases take; wrong words end here."""

from __future__ import annotations

import getpass
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from pydantic import TypeAdapter, ValidationError

from fleet import folders, units, wiring
from fleet.errors import UserError, nearest
from fleet.model.experiment import Request
from fleet.model.gates import POLICIES
from fleet.model.machine import FactValue
from fleet.model.noun import LONGEST_NAME, Name, label_mistake

if TYPE_CHECKING:
    from fleet.app.options import Options
    from fleet.app.target import Target

ONLY = ("machine", "model", "job")


def request(
    what: Sequence[str],
    *,
    jobs: Sequence[str] = (),
    machines: Sequence[str] = (),
    engine: str = "ollama",
    repeats: int | None = None,
    practice: bool = False,
    settings: Sequence[str] = (),
    quick: bool = False,
    home: Path | None = None,
) -> Request:
    """One YAML file, an experiment by its name, or one made of model names.

    `home`: where one that was submitted is looked up by its name; None: that is elsewhere.
    """
    from fleet.config.from_models import ModelWords, from_models
    from fleet.config.overrides import narrowed, quick_look
    from fleet.config.shipped_parts import on_practice_machines

    request = _written(what, home)
    if request is None:
        words = ModelWords(
            models=what,
            jobs=jobs,
            machines=machines,
            engine=engine,
            repeats=repeats,
            settings=settings,
        )
        request = from_models(words)
    elif jobs or machines:
        raise UserError(
            f"{what[0]} names its own jobs and machines",
            "leave out --job and --machines, or narrow with --only machine=X,job=Y",
        )
    else:
        request = narrowed(request, settings)
    if quick and repeats is not None:
        raise UserError("--quick measures one block", "leave out --repeats, or --quick")
    request = quick_look(request) if quick else request
    return on_practice_machines(request) if practice else request


def with_gates(
    request: Request, policy: str | None, *, residents_are_mine: bool = False
) -> Request:
    """The same under another policy; how long a trial is held stays as the file says.

    `residents_are_mine`: the models in memory are the user's own.
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
    """Where experiments are looked up by their name. None: that lies on a head elsewhere, so only
    those that come with fleet have names here."""
    return None if target is not None and target.destination else home


def _written(what: Sequence[str], home: Path | None) -> Request | None:
    """The experiment of a file, or the one of this name; None: the words are models."""
    from fleet.app.named_experiments import named_experiment
    from fleet.config.reading import load_request
    from fleet.config.shipped import find_experiment

    files = [word for word in what if is_file(word)]
    if not files:
        return named_experiment(what, home)
    if len(what) > 1:
        raise UserError(
            f"{files[0]} is a file: it cannot be mixed with {len(what) - 1} more",
            "give one YAML file, or only model names",
        )
    return load_request(find_experiment(files[0]) or Path(files[0]))


def is_file(word: str) -> bool:
    """A path, not a model: models are named `family:tag` or `user/family:tag`."""
    return (
        word.endswith((".yaml", ".yml"))
        or word.startswith((".", "~", "/", "configs/"))
        or os.path.isfile(word)
    )


def send(
    request: Request,
    options: Options,
    target: Target,
    *,
    detach: bool = False,
    plan: Literal["", "text", "json"] = "",
    say: Callable[[str], None],
) -> int:
    """As `target.send`; the exit code."""
    from fleet.app import target as app

    return app.send(request, options, target, detach=detach, plan=plan, say=say)


def head(destination: str | None) -> Target | None:
    """As `target.head`, which is slow to import where there is no sign of a head."""
    if not destination and not folders.head_record().exists():
        return None
    from fleet.app import target as app

    return app.head(destination)


def check_name(option: str, name: str) -> None:
    """Raises UserError for a name that no experiment can have: files are named by it."""
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise UserError(
            f"{option}: must be 1 to {LONGEST_NAME} letters, digits, dots, dashes and underscores, "
            f"a letter or digit first",
            f"such as {option} my-figures",
        ) from None


def check_label(option: str, label: str) -> None:
    mistake = label_mistake(label)
    if mistake:
        raise UserError(f"{option}: {mistake}", f"such as {option} studio-96")


class Origin(TypedDict):
    """What `Options` tells of whoever typed the command."""

    command: str
    submitter: str
    declared: dict[str, dict[str, FactValue]]


def origin() -> Origin:
    """Raises ConfigError with every mistake of configs/fleet.yaml."""
    from fleet.config.declared import declared_fleet

    declared = declared_fleet(None)
    machines = {} if declared is None else declared[1].machines
    return Origin(
        command=shlex.join(["fleet", *(word for word in sys.argv[1:] if word != "--again")]),
        submitter=f"{_user()}@{wiring.host_name()}",
        declared={name: machine.facts() for name, machine in machines.items()},
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without an entry, as in a container
        return str(os.getuid())


def home(store: str | None) -> Path:
    return folders.home_folder(store)


def refuse_detached(detach: bool) -> None:
    """Without a head nobody would go on; raises UserError."""
    if detach:
        what = "--detach: no head runs here, so nobody would go on when this command ends"
        raise UserError(what, "fleet head starts one; one elsewhere: --head USER@HEAD")


def only(text: str | None) -> dict[str, str]:
    """`machine=X,model=Y` as a mapping."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for name, _, value in pairs:
        if name.strip() not in ONLY or not value.strip():
            raise UserError(
                f"--only: {text!r} is not understood", "write --only machine=studio-96,model=NAME"
            )
    return {name.strip(): value.strip() for name, _, value in pairs}


def seconds(*, budget: str | None, max_hours: float | None, until: str | None) -> float | None:
    """The shortest of the bounds given, in seconds from now."""
    bounds: list[float] = []
    try:
        if budget is not None:
            bounds.append(units.span_s(budget))
        if until is not None:
            bounds.append(seconds_until(until, time.time()))
    except ValueError as problem:
        raise UserError(str(problem), "write --budget 10m or --until 07:00") from None
    if max_hours is not None:
        bounds.append(max_hours * 3600)
    return min(bounds) if bounds else None


def seconds_until(text: str, now_s: float) -> float:
    """Return how long it is until the clock on the wall next shows this time of day.

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
