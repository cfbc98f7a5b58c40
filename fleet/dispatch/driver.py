"""This process as a driver of a Ray cluster, and Ray's failures in our words."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import ray
from ray._raylet import (  # type: ignore[attr-defined]  # no public way
    AuthenticationTokenLoader,
    Config,
)
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    RayError,
    RayTaskError,
)

from fleet.dispatch.access import TOKEN_MEND, read_token
from fleet.dispatch.launch import driver_environment
from fleet.dispatch.ray_paths import split_address
from fleet.dispatch.versions import ask_head, check_versions, installed
from fleet.errors import FleetError, FleetUnreachable, UserError

CONNECT_S = 5.0
RESTART = "fleet was changed here since the head was started: fleet leave; fleet head"


def connect(address: str, token_file: Path, deadline_s: float = CONNECT_S) -> None:
    """Make this process a driver of the cluster; it must run on a machine with a Ray node.

    Head, token and versions are checked first: Ray itself takes 20 s and says less. Raises
    FleetUnreachable and UserError. Sets Ray's variables in this process.
    """
    host, port = split_address(address)
    answer = ask_head(host, port - 1, read_token(token_file), deadline_s)
    if misfit := check_versions(installed(), answer.versions, RESTART):
        raise misfit
    os.environ.update(driver_environment(token_file, sys.platform))
    _read_environment_again()
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ConnectionError, RuntimeError, OSError) as problem:
        raise _refused(address, problem) from None


def _read_environment_again() -> None:
    """Ray read its variables when it was imported, and the token when it was first used."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def in_words(problem: RayError) -> str:
    """One line on what went wrong at a machine, without the words of Ray's insides."""
    if isinstance(problem, RayTaskError):
        cause = problem.cause
        text = str(cause) if isinstance(cause, FleetError) else f"{type(cause).__name__}: {cause}"
        return " ".join(text.split())
    if isinstance(problem, ActorUnschedulableError):
        return "its Ray node went away"
    if isinstance(problem, (ActorDiedError, ActorUnavailableError)):
        return "its worker process ended, or the machine went away"
    return f"Ray lost it ({type(problem).__name__})"


def _sentence(text: str) -> str:
    """What stands last in Ray's many lines is the cause."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no reason given"


def _refused(address: str, problem: Exception) -> FleetError:
    text = str(problem)
    if "uthenticat" in f"{type(problem).__name__} {text}":
        return UserError(f"{address}: the head refuses this token", TOKEN_MEND)
    if "Version mismatch" in text:
        return UserError(f"{address}: {' '.join(text.split())[:300]}", "fleet join HEAD")
    what = f"{address}: cannot join the cluster ({_sentence(text)})"
    return FleetUnreachable(what, "on the head: fleet head")
