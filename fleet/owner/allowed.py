"""What the owner of this machine allows fleet to do to what is the owner's, kept on the machine.

One small file for each machine, written by `fleet join --allow` and `--hours`, taken away by
`fleet leave`. No file: nothing of the owner's is touched, and trials begin at any hour. The wired
limit is not in it: its own helper and rule are its permission.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from fleet import durable
from fleet.errors import UserError
from fleet.model.hours import Hours

RESTART_OLLAMA = "restart-ollama"
KINDS = frozenset({RESTART_OLLAMA})
FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """`hours` None: at any hour."""

    kinds: frozenset[str] = frozenset()
    hours: Hours | None = None


def read(path: Path) -> Allowed:
    """Raises UserError where the file is damaged: then nothing is allowed, not even to measure."""
    try:
        told = json.loads(path.read_text())
        kinds, hours, form = told["allow"], told["hours"], told["form"]
        if form != FORM or not isinstance(kinds, list) or not KINDS.issuperset(kinds):
            raise ValueError("it is of another form")
        return Allowed(kinds=frozenset(kinds), hours=Hours.read(hours) if hours else None)
    except FileNotFoundError:
        return Allowed()
    except OSError as problem:
        raise _unreadable(path, str(problem.strerror)) from problem
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise _unreadable(path, "it is damaged") from problem


def write(path: Path, allowed: Allowed) -> None:
    """Whole or not at all; raises UserError."""
    hours = str(allowed.hours) if allowed.hours else None
    told = {"form": FORM, "allow": sorted(allowed.kinds), "hours": hours}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.replace(path, f"{json.dumps(told)}\n".encode())
    except OSError as problem:
        what = f"{path}: what fleet may do here cannot be kept: {problem.strerror}"
        raise UserError(what, "make room, or the folder writable; nothing was allowed") from problem


def remove(path: Path) -> bool:
    """True where there was something; raises UserError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as problem:
        what = f"{path}: what was allowed cannot be taken back: {problem.strerror}"
        raise UserError(what, f"rm {path}") from problem
    return True


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} says what fleet may do on this machine, and cannot be read: {why}",
        "nothing is measured here until it is: fleet leave takes it away, "
        "fleet join --allow restart-ollama --hours 22-07 writes it anew",
    )
