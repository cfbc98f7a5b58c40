"""What the user typed, turned into what the use cases take; wrong words end here."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleet import config, units, wiring
from fleet.errors import UserError, nearest
from fleet.model.experiment import Request
from fleet.model.gates import POLICIES
from fleet.model.noun import LONGEST_NAME, Name, label_mistake

ONLY = ("machine", "model", "job")


def request(
    what: Sequence[str],
    *,
    jobs: Sequence[str] = (),
    machines: Sequence[str] = (),
    engine: str = "ollama",
    repeats: int | None = None,
    practice: bool = False,
) -> Request:
    """One YAML file, or an experiment made of model names."""
    asked = _request(what, jobs, machines, engine, repeats)
    return config.on_practice_machines(asked) if practice else asked


def with_gates(request: Request, policy: str | None) -> Request:
    """The same under another policy; how long a trial is held stays as the file says."""
    if policy is None:
        return request
    if policy not in POLICIES:
        hint = nearest(policy, POLICIES)
        mend = f"did you mean {hint}?" if hint else f"one of {', '.join(POLICIES)}"
        raise UserError(f"--gates: there is no policy '{policy}'", mend)
    rule = request.experiment.gate_rule().model_copy(update={"policy": policy})
    experiment = request.experiment.model_copy(update={"gates": rule})
    return request.model_copy(update={"experiment": experiment})


def _request(
    what: Sequence[str],
    jobs: Sequence[str],
    machines: Sequence[str],
    engine: str,
    repeats: int | None,
) -> Request:
    files = [word for word in what if is_file(word)]
    if not files:
        return config.from_models(
            what, jobs=jobs or ("chat",), machines=machines, engine=engine, repeats=repeats
        )
    if len(what) > 1:
        raise UserError(
            f"{files[0]} is a file: it cannot be mixed with {len(what) - 1} more",
            "give one YAML file, or only model names",
        )
    if jobs or machines:
        raise UserError(
            f"{files[0]} names its own jobs and machines",
            "leave out --job and --machines, or narrow with --only machine=X,job=Y",
        )
    return config.load(config.find_experiment(files[0]) or Path(files[0]))


def is_file(word: str) -> bool:
    """A path, not a model: models are named `family:tag` or `user/family:tag`."""
    return (
        word.endswith((".yaml", ".yml"))
        or word.startswith((".", "~", "/", "configs/"))
        or os.path.isfile(word)
    )


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


def home(store: str | None) -> Path:
    return wiring.home_folder(store)


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
            bounds.append(_seconds_until(until))
    except ValueError as problem:
        raise UserError(str(problem), "write --budget 10m or --until 07:00") from None
    if max_hours is not None:
        bounds.append(max_hours * 3600)
    return min(bounds) if bounds else None


def _seconds_until(text: str) -> float:
    """The next time the clock on the wall shows this."""
    try:
        wanted = time.strptime(text, "%H:%M")
    except ValueError:
        raise ValueError(f"{text!r} is no time of day like 07:00") from None
    now = time.localtime()
    ahead = (wanted.tm_hour - now.tm_hour) * 3600 + (wanted.tm_min - now.tm_min) * 60 - now.tm_sec
    return float(ahead if ahead > 0 else ahead + 86400)
