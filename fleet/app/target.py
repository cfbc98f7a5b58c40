"""Where a request goes: to the head on this machine or elsewhere, and how it is followed."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from fleet import folders
from fleet.app.options import REGISTERED, Options
from fleet.dispatch.cluster import (
    running_head,
    running_node,
)
from fleet.dispatch.jobs import ENDED, Jobs
from fleet.dispatch.members import Member, members
from fleet.dispatch.tunnel import fetch_token, tunnel
from fleet.errors import FleetError, FleetUnreachable, Interrupted, UserError
from fleet.model.experiment import Request
from fleet.ports import Say

REQUEST = "FLEET_REQUEST"
OPTIONS = "FLEET_OPTIONS"
JOB = "FLEET_JOB"
PLAN = "FLEET_PLAN"
PYTHON = "FLEET_PYTHON"
DASHBOARD_PORT = 8265
REGISTERED_S = 60.0
OWN_EXIT_CODES = (1, 2, 3, 130)
"""Those of fleet's own errors; a process that was killed has another."""
POLL_S = 0.2
RAYS_OWN_LINES = re.compile(r"^(?:.*INFO job_manager\.py.*|Running entrypoint for job .*)\n", re.M)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: the head on this machine, or one behind an SSH destination."""

    destination: str | None
    dashboard_port: int = DASHBOARD_PORT


def head(destination: str | None) -> Target | None:
    """The head named, else the one that runs on this machine, else none: work is done here."""
    if destination:
        return Target(destination)
    record = running_head(folders.state_folder())
    return None if record is None else Target(None, record.dashboard_port)


def send(
    request: Request,
    options: Options,
    target: Target,
    *,
    detach: bool = False,
    plan: Literal["", "text", "json"] = "",
    say: Say,
) -> int:
    """Hand the request to the head's coordinator and follow it; closing this changes nothing.

    With `detach` it is in the head's ledger on return. `plan`: only show the plan, in this form.
    """
    name = request.experiment.name
    job = f"{name}-{secrets.token_hex(4)}"
    there = f"ssh {target.destination} " if target.destination else ""
    with _jobs(target) as jobs:
        jobs.submit(
            f'"${PYTHON}" -m fleet coordinate',
            job,
            environment={
                REQUEST: request.model_dump_json(),
                OPTIONS: options.to_json(with_home=target.destination is None),
                JOB: job,
                PLAN: plan,
            },
            metadata={"experiment": name},
        )
        try:
            if detach:
                _wait_until_registered(jobs, job, name)
                say(f"{name} is with the head, which goes on alone: {there}fleet status {name}")
                return 0
            return _follow(jobs, job, say)
        except KeyboardInterrupt:
            hint = f"{there}fleet status {name}    to stop it: {there}fleet cancel {name}"
            raise Interrupted("no longer following; the head goes on", hint) from None


def _wait_until_registered(jobs: Jobs, job: str, name: str) -> None:
    """Until the head's ledger holds the submission; raises with the coordinator's own reason."""
    until = time.monotonic() + REGISTERED_S
    words = REGISTERED.format(name=name)
    while words not in jobs.log(job):
        if jobs.state(job) in ENDED and words not in jobs.log(job):
            raise _not_registered(jobs, job)
        if time.monotonic() > until:
            jobs.stop(job)
            what = f"{name}: its coordinator did not start in {REGISTERED_S:.0f} s, and is ended"
            raise FleetUnreachable(what, "see on the head what keeps it busy, and submit it again")
        time.sleep(POLL_S)


def _not_registered(jobs: Jobs, job: str) -> FleetError:
    """The coordinator ended first: with a message of its own, or without a word."""
    words = RAYS_OWN_LINES.sub("", jobs.log(job)).strip()
    if words and jobs.exit_code(job) == UserError.exit_code:
        return UserError(words)
    return FleetUnreachable(words or f"the coordinator ended: {jobs.message(job)}", "submit again")


def _follow(jobs: Jobs, job: str, say: Say) -> int:
    for text in jobs.follow(job, threading.Event()):
        print(RAYS_OWN_LINES.sub("", text), end="", flush=True)
    if jobs.state(job) == "SUCCEEDED":
        return 0
    code = jobs.exit_code(job)
    if code in OWN_EXIT_CODES:
        return code
    say("its coordinator ended without a word; what is stored is kept: fleet status")
    return 1


@contextmanager
def _jobs(target: Target) -> Iterator[Jobs]:
    token = fetch_token(target.destination, folders.state_folder(), os.environ)
    if target.destination is None:
        with Jobs(f"http://127.0.0.1:{target.dashboard_port}", token) as jobs:
            yield jobs
        return
    with (
        tunnel(target.destination, target.dashboard_port) as port,
        Jobs(f"http://127.0.0.1:{port}", token) as jobs,
    ):
        yield jobs


def require_head(destination: str | None) -> Target:
    """The head named, or the one that runs here; raises UserError where neither is."""
    if target := head(destination):
        return target
    node = running_node(folders.state_folder())
    if node is not None:
        what = f"this machine is joined as {node.name}; the head at {node.address} knows the others"
        raise UserError(what, "there: fleet machines --joined    here: --head USER@HEAD")
    hint = "fleet head    starts one; one elsewhere: fleet machines --joined --head USER@HEAD"
    raise UserError("no head runs on this machine", hint)


def joined(target: Target) -> list[Member]:
    """The machines of the fleet, as its head tells now."""
    with _jobs(target) as jobs:
        return members(jobs)
