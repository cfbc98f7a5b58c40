"""How this fleet was installed, and what adds a part to it.

`ollama-fleet` is on no package index, so no hint may name it as if it were: a hint installs the
packages that the part asks for into the very environment in which this process runs.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import fleet
from fleet.errors import UserError

NAME = "ollama-fleet"


def distribution() -> metadata.Distribution | None:
    """Return what the installer noted about fleet; None where a bare checkout runs."""
    try:
        return metadata.distribution(NAME)
    except metadata.PackageNotFoundError:
        return None


def add_extra(extra: str) -> str:
    """Return the command that adds the packages of an extra to the running environment."""
    requirements = _requirements(extra)
    if not requirements:
        checkout = Path(fleet.__file__).parents[1]
        requirements = ["-e", f"{checkout}[{extra}]"]
    wanted, python = shlex.join(requirements), shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is not None:
        return f"{python} -m pip install {wanted}"
    if shutil.which("uv"):  # what made this environment, most likely: it has no pip of its own
        return f"uv pip install --python {python} {wanted}"
    return f"{python} -m ensurepip && {python} -m pip install {wanted}"


def optional(module: str, purpose: str, extra: str) -> Any:
    """Import a module of an extra, or one that needs it; raise UserError if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise UserError(f"{purpose} needs {missing.name}", add_extra(extra)) from None


def git_address() -> str | None:
    """`git+URL@COMMIT` where fleet was installed from a Git address, else None."""
    installed = distribution()
    text = installed.read_text("direct_url.json") if installed else None
    try:
        direct = json.loads(text or "{}")
        url = re.sub(r"^(https?://)[^/@]*@", r"\1", direct["url"])  # a password, or a token
        return f"git+{url}@{direct['vcs_info']['commit_id']}"
    except (ValueError, KeyError, TypeError):
        return None


def _requirements(extra: str) -> list[str]:
    installed = distribution()
    marker = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]")
    lines = (line.partition(";") for line in (installed.requires if installed else None) or ())
    return [name.strip() for name, _, condition in lines if marker.search(condition)]
