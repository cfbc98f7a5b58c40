"""The Ollama programs that the owner of a machine registered, as they are on its disk now."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fleet.engines.incoming import text
from fleet.model.machine import EngineProgram

VERSION_S = 30.0
"""A program that is started for the first time may be checked by the system before it runs."""
NOBODY = "127.0.0.1:1"
"""An address at which no Ollama answers, so that a program tells its own version and not that of
the server that runs."""
LONGEST_VERSION = 60

_VERSION = re.compile(r"version(?: is)? v?(\d+\.\d+\S*)")


def look_at_programs(paths: Mapping[str, str]) -> dict[str, EngineProgram]:
    """Look at each registered program, by its label."""
    return {label: look_at_program(Path(path)) for label, path in paths.items()}


def look_at_program(path: Path) -> EngineProgram:
    """Return what a program is now, or why it cannot be started."""
    if not path.is_file():
        return EngineProgram(refusal=f"there is no file {path}")
    if not os.access(path, os.X_OK):
        return EngineProgram(refusal=f"{path} cannot be run by this user")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        version = _version(path)
    except (OSError, subprocess.TimeoutExpired) as problem:
        return EngineProgram(refusal=f"{path} cannot be run: {problem}")
    if not version:
        return EngineProgram(refusal=f"{path} --version names no version: it is no Ollama")
    return EngineProgram(version=version, sha256=sha256)


def _version(path: Path) -> str:
    """Ask the program for its version; empty: it tells none."""
    done = subprocess.run(
        [path, "--version"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=VERSION_S,
        env={**os.environ, "OLLAMA_HOST": NOBODY},
    )
    found = _VERSION.findall((done.stdout + done.stderr).decode(errors="replace"))
    return text(found[-1], LONGEST_VERSION) if found else ""
