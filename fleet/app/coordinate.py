"""What a head runs for a request that was sent to it."""

from __future__ import annotations

import os

from fleet import folders
from fleet.app.options import Options
from fleet.app.plan import plan
from fleet.app.progress import Talk
from fleet.app.submit import submit
from fleet.app.target import JOB, OPTIONS, PLAN, REQUEST
from fleet.dispatch.cluster import running_head
from fleet.dispatch.ray_paths import job_log
from fleet.errors import FleetUnreachable
from fleet.model.experiment import Request
from fleet.plan.expand import Plan


def plan_form() -> str:
    """Return the form of the plan to print; empty if the request is to be measured."""
    return os.environ.get(PLAN, "")


def coordinate(talk: Talk) -> int:
    """Measure the request; return the exit code."""
    return submit(*_request(), talk)


def coordinate_plan() -> Plan:
    """Plan the request."""
    return plan(*_request())


def _request() -> tuple[Request, Options]:
    """Return what was sent, from the environment of this process."""
    state = folders.state_folder()
    record = running_head(state)
    if record is None:
        raise FleetUnreachable("no head runs on this machine", "fleet head")
    request = Request.model_validate_json(os.environ[REQUEST])
    log = str(job_log(state, os.environ[JOB]))
    return request, Options.from_json(os.environ[OPTIONS], ray_address=record.address, log=log)
