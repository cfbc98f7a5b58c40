"""The head of a fleet: what it serves, and what a coordinator finds in its environment."""

from __future__ import annotations

import sys

from fleet import folders
from fleet.app.target import PYTHON
from fleet.config.shipped import shipped_folder
from fleet.dispatch.cluster import (
    running_head,
    start_head,
)
from fleet.dispatch.wheel import build_wheel
from fleet.errors import UserError
from fleet.ports import Say, Stop
from fleet.report.join_text import for_new_machines


def serve_head(own_ip: str | None, say: Say, stop: Stop) -> None:
    """Be the head until told to stop; says what to paste on a new machine."""
    wheel = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
    extra = coordinators_world()
    with start_head(folders.state_folder(), own_ip=own_ip, extra=extra, wheel=wheel) as started:
        say(f"the head is up at {started.address}\n")
        say("\n".join(for_new_machines(started.record)))
        say("\nthe head stays in the foreground until Ctrl-C or `fleet leave`")
        started.watch(stop)


def coordinators_world() -> dict[str, str]:
    """What a coordinator must find in its environment, started by Ray as it is."""
    world = {PYTHON: sys.executable, "FLEET_STORE": str(folders.home_folder(None))}
    return world | {"FLEET_STATE": str(folders.state_folder())}


def join_lines() -> list[str]:
    """What to do on a new machine, by the head that runs here; UserError where none does."""
    record = running_head(folders.state_folder())
    if record is None:
        raise UserError("no head runs on this machine", "fleet head")
    if not record.install:
        raise UserError("a practice fleet takes no further machine", "fleet leave; fleet head")
    return for_new_machines(record)
