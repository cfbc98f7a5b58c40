"""What a head runs for a request that was sent to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fleet import folders
from fleet.app.options import Options
from fleet.app.progress import Talk
from fleet.app.target import JOB, OPTIONS, PLAN, REQUEST
from fleet.dispatch.cluster import (
    running_head,
)
from fleet.dispatch.ray_paths import job_log
from fleet.errors import FleetUnreachable
from fleet.model.experiment import Request

if TYPE_CHECKING:
    from fleet.plan.expand import Plan


def plan_wanted() -> str:
    """In which form the coordinator is to show a plan only; empty: it is to measure."""
    return os.environ.get(PLAN, "")


def coordinate(talk: Talk) -> int:
    """What the head runs for a request that was sent to it."""
    from fleet.app.submit import submit

    return submit(*_sent(), talk)


def coordinate_plan() -> Plan:
    """The same, for a plan only."""
    from fleet.app.submit import plan

    return plan(*_sent())


def _sent() -> tuple[Request, Options]:
    state = folders.state_folder()
    record = running_head(state)
    if record is None:
        raise FleetUnreachable("no head runs on this machine", "fleet head")
    request = Request.model_validate_json(os.environ[REQUEST])
    log = str(job_log(state, os.environ[JOB]))
    return request, Options.from_json(os.environ[OPTIONS], ray_address=record.address, log=log)
