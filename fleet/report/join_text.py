"""What makes a further machine part of a fleet: the two lines to paste, in words for its user."""

from __future__ import annotations

import shlex

from fleet import installation
from fleet.dispatch.cluster import address_to_type
from fleet.dispatch.launch import Ports
from fleet.dispatch.records import Record


def for_new_machines(head: Record) -> list[str]:
    """The lines stand alone and unindented, so that each is pasted as it is."""
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
        f"The first needs curl, and uv or Python {minor}. Where both are missing, paste before:",
        "curl -LsSf https://astral.sh/uv/install.sh | sh",
        f"Firewalls must let TCP ports {Ports().shown()} in.",
        *_from_git(minor),
    ]


def _from_git(python: str) -> list[str]:
    """For a machine that gets at the Git address more easily than at the head."""
    address = installation.git_address()
    if address is None:
        return []
    wanted = shlex.quote(f"{installation.NAME}[node,nvidia,apple] @ {address}")
    return [
        "In place of the first line, from the Git address that this head came from:",
        f"uv tool install --force --python {python} {wanted}",
        "which puts the program into ~/.local/bin in place of ~/.fleet/bin.",
    ]
