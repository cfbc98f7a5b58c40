"""What to do on a machine that is to join a fleet: the two lines to paste, explained."""

from __future__ import annotations

import shlex

from fleet import installation
from fleet.dispatch.cluster import address_to_type
from fleet.dispatch.launch import Ports
from fleet.dispatch.records import Record


def join_lines(head: Record) -> list[str]:
    """Describe how to join this head; what is pasted stands alone and is not indented."""
    minor = head.versions.python_minor()
    return [
        "On each new machine, a Mac or a Linux box, paste these two lines:",
        "",
        head.install,
        f"~/.fleet/bin/fleet join {address_to_type(head.address)}",
        "",
        "That is two commands and one token on a Mac and on a GPU box alike. The first",
        "installs what this head runs; the second asks for the token of the fleet, which",
        "this prints here:  fleet head --show-token",
        f"The first needs curl, and uv or Python {minor}. If both are missing, paste this first:",
        "curl -LsSf https://astral.sh/uv/install.sh | sh",
        f"Firewalls must allow incoming TCP on ports {Ports().shown()}.",
        *_git_lines(minor),
    ]


def _git_lines(python: str) -> list[str]:
    """For a machine that reaches the Git address more easily than the head."""
    address = installation.git_address()
    if address is None:
        return []
    package = shlex.quote(f"{installation.NAME}[node,nvidia,apple] @ {address}")
    return [
        "Instead of the first line, from the Git address that this head came from:",
        f"uv tool install --force --python {python} {package}",
        "which puts the program into ~/.local/bin instead of ~/.fleet/bin.",
    ]
