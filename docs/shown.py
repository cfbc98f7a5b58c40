"""The outputs that pages show: each is what the program prints of a store with invented numbers."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from fleet.cli.main import build
from tests import builders_documents as stores

COLUMNS = 100
BLOCK = re.compile(r"^```console\n\$ (fleet [^\n]+)\n.*?^```$", re.M | re.S)

Prepare = Callable[[Path], object]


def _transcript(home: Path) -> None:
    (home / "transcript.txt").write_text(stores.transcript())


def _imported(home: Path) -> None:
    _transcript(home)
    printed(IMPORT, lambda _: None, home)


IMPORT = (
    "fleet import transcript.txt --machine studio-96 --date 2025-08-09 --source 'my own terminal'"
)
MEMORY = "fleet compare memory-96-vs-128 --by memory_gb --baseline 96 --metric decode"
LIMITS = "fleet compare wired-limit --by wired_limit_mb --baseline default --metric decode"
JOULES = "fleet compare joules --by machine --baseline box-4090 --metric energy"
IMPORTED = "fleet compare imported --by model"
SHOWN: Mapping[str, Prepare] = {
    MEMORY: stores.two_macs,
    LIMITS: stores.two_limits,
    JOULES: stores.three_boards,
    IMPORT: _transcript,
    IMPORTED: _imported,
}
"""Each command, and what makes the home that it reads."""


def refreshed(page: str) -> str:
    """Return the page with the output of each such command as the program prints it today."""

    def block(match: re.Match[str]) -> str:
        with tempfile.TemporaryDirectory() as folder:
            output = printed(match[1], SHOWN[match[1]], Path(folder))
        return f"```console\n$ {match[1]}\n{output.strip()}\n```"

    return BLOCK.sub(block, page)


def printed(command: str, prepare: Prepare, home: Path) -> str:
    """Return what a command writes to its standard output in a home made for it."""
    prepare(home)
    own = {name: str(home) for name in ("FLEET_HOME", "FLEET_STATE", "HOME")}
    with patch.dict(os.environ, {**own, "COLUMNS": str(COLUMNS), "TZ": "UTC"}):
        words = [
            str(home / word) if word.endswith(".txt") else word for word in shlex.split(command)
        ]
        result = CliRunner().invoke(build(), words[1:])
    if not result.stdout:
        raise RuntimeError(f"{command} printed nothing: {result.stderr}")
    return result.stdout
