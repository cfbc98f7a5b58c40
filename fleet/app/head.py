"""The head of a fleet: what it serves, and what its coordinators find in their environment."""

from __future__ import annotations

import sys
from pathlib import Path

from fleet import folders
from fleet.app.target import PYTHON
from fleet.config.shipped import shipped_folder
from fleet.dispatch.cluster import running_head, start_head
from fleet.dispatch.wheel import build_wheel
from fleet.errors import UserError
from fleet.ports import Say, Stop
from fleet.report.join_text import join_lines


def serve_head(home: Path, own_ip: str | None, say: Say, stop: Stop) -> None:
    """Be the head until stopped; say what to paste on a new machine."""
    wheel = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
    extra = coordinator_environment(home)
    with start_head(folders.state_folder(), own_ip=own_ip, extra=extra, wheel=wheel) as started:
        say(f"the head is up at {started.address}\n")
        say("\n".join(join_lines(started.record)))
        say("\nthe head stays in the foreground until Ctrl-C or `fleet leave`")
        started.watch(stop)


def coordinator_environment(home: Path) -> dict[str, str]:
    """Return the variables that a coordinator needs, since Ray starts it with its own."""
    variables = {PYTHON: sys.executable, "FLEET_HOME": str(home)}
    return variables | {"FLEET_STATE": str(folders.state_folder())}


def lines_for_new_machines() -> list[str]:
    """Return what to do on a new machine; raise UserError if no head runs here."""
    record = running_head(folders.state_folder())
    if record is None:
        raise UserError("no head runs on this machine", "fleet head")
    if not record.install:
        raise UserError("a practice fleet takes no further machine", "fleet leave; fleet head")
    return join_lines(record)
