"""What the owner of this machine allows fleet to do with the owner's property, in one file.

`fleet join --allow` and `--hours` write the file of the machine, `fleet leave` removes it. Without
it nothing of the owner's is touched, and trials begin at any hour. The wired limit is not in it:
its own helper and rule are its permission.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fleet import durable
from fleet.errors import UserError
from fleet.model.hours import Hours
from fleet.model.settings import LABEL

RESTART_OLLAMA = "restart-ollama"
ENGINE_BINARY = "engine-binary"
KINDS = frozenset({RESTART_OLLAMA})
FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What is allowed; `hours` None: trials begin at any hour."""

    kinds: frozenset[str] = frozenset()
    hours: Hours | None = None
    programs: Mapping[str, str] = field(default_factory=dict)
    """Paths of the Ollama programs that fleet may start here, by label."""
    restart_command: tuple[str, ...] = ()
    """The owner's own way to restart Ollama, word by word; empty: as it is run here."""


def read(path: Path) -> Allowed:
    """Read the permission; raise UserError if the file is damaged, for then nothing is allowed."""
    try:
        content = json.loads(path.read_text())
        kinds, hours, form = content["allow"], content["hours"], content["form"]
        if form != FORM or not isinstance(kinds, list) or not KINDS.issuperset(kinds):
            raise ValueError("it is of another form")
        command = content.get("restart_command", [])
        if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
            raise ValueError("the command is no list of words")
        return Allowed(
            kinds=frozenset(kinds),
            hours=Hours.read(hours) if hours else None,
            programs=_programs(content.get("programs", {})),
            restart_command=tuple(command),
        )
    except FileNotFoundError:
        return Allowed()
    except OSError as problem:
        raise _unreadable(path, str(problem.strerror)) from problem
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as problem:
        raise _unreadable(path, "it is damaged") from problem


def write(path: Path, allowed: Allowed) -> None:
    """Write the permission, whole or not at all; raise UserError if that fails."""
    hours = str(allowed.hours) if allowed.hours else None
    content = {
        "form": FORM,
        "allow": sorted(allowed.kinds),
        "hours": hours,
        "programs": dict(allowed.programs),
        "restart_command": list(allowed.restart_command),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.replace(path, f"{json.dumps(content)}\n".encode(), mode=0o600)
    except OSError as problem:
        what = f"{path}: the permission cannot be kept: {problem.strerror}"
        raise UserError(
            what, "free some space, or make the folder writable; nothing was allowed"
        ) from problem


def remove(path: Path) -> bool:
    """Remove the permission and return whether there was one; raise UserError if that fails."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as problem:
        what = f"{path}: the permission cannot be revoked: {problem.strerror}"
        raise UserError(what, f"rm {path}") from problem
    return True


def _programs(written: object) -> dict[str, str]:
    """Check labels and paths as `fleet join` does; raise ValueError."""
    if not isinstance(written, dict):
        raise ValueError("it is of another form")
    for label, path in written.items():
        if not re.match(LABEL, label) or not isinstance(path, str) or not path.startswith("/"):
            raise ValueError("it is of another form")
    return written


def _unreadable(path: Path, why: str) -> UserError:
    return UserError(
        f"{path}, the permission of this machine, cannot be read: {why}",
        "nothing is measured here until it can be read: fleet leave removes it, "
        "fleet join --allow restart-ollama --hours 22-07 writes it anew",
    )
