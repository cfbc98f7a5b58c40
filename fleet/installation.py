"""How this fleet was installed, and what adds a part to it.

`ollama-fleet` is on no package index, so no hint may name it as if it were: a hint installs the
packages that the part asks for into the very environment in which this process runs.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import fleet

NAME = "ollama-fleet"


def distribution() -> metadata.Distribution | None:
    """What the installer noted about fleet; None where a bare checkout runs."""
    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def add_extra(extra: str) -> str:
    """The command that adds the packages of an extra to the running environment."""
    requirements = _requirements(extra)
    if not requirements:
        checkout = Path(fleet.__file__).parents[1]
        requirements = ["-e", f"{checkout}[{extra}]"]
    return shlex.join([*_pip(), "install", *_into(), *requirements])


def git_address() -> str | None:
    """`git+URL@COMMIT` where fleet was installed from a Git address, else None."""
    installed = distribution()
    text = installed.read_text("direct_url.json") if installed else None
    try:
        direct = json.loads(text or "{}")
        return f"git+{direct['url']}@{direct['vcs_info']['commit_id']}"
    except (ValueError, KeyError, TypeError):
        return None


def _requirements(extra: str) -> list[str]:
    installed = distribution()
    marker = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]")
    lines = (line.partition(";") for line in (installed.requires if installed else None) or ())
    return [name.strip() for name, _, condition in lines if marker.search(condition)]


def _pip() -> list[str]:
    """An environment made by uv has no pip of its own."""
    return [sys.executable, "-m", "pip"] if _has_pip() else ["uv", "pip"]


def _into() -> list[str]:
    return [] if _has_pip() else ["--python", sys.executable]


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None
