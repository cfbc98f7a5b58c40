"""Where a request goes, to a head here or elsewhere, and how its work there is followed."""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fleet import folders
from fleet.app.options import REGISTERED, Options
from fleet.dispatch.cluster import running_head, running_node
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
    """The head on this machine, or one behind an SSH destination."""

    destination: str | None
    dashboard_port: int = DASHBOARD_PORT

    def command(self, words: str, options: Options) -> str:
        """Return a command as it is typed here: it runs on the head, in the head's home."""
        if self.destination:
            return f"ssh {self.destination} {words}"
        return folders.with_home(words, options.home)


def find_target(destination: str | None) -> Target | None:
    """Return the head named, else the one that runs here; None if this process does the work."""
    if destination:
        return Target(destination)
    record = running_head(folders.state_folder())
    return None if record is None else Target(None, record.dashboard_port)


def require_target(destination: str | None) -> Target:
    """Return the head named, or the one that runs here; raise UserError if there is none."""
    if target := find_target(destination):
        return target
    node = running_node(folders.state_folder())
    if node is not None:
        what = f"this machine is joined as {node.name}; the head at {node.address} knows the others"
        raise UserError(what, "there: fleet machines --joined    here: --head USER@HEAD")
    hint = "fleet head    starts one; a head elsewhere: fleet machines --joined --head USER@HEAD"
    raise UserError("no head runs on this machine", hint)


def send(request: Request, options: Options, target: Target, *, detach: bool, say: Say) -> int:
    """Hand the request to the head's coordinator and follow it; return its exit code.

    With `detach` the head's ledger holds the request on return. Ending this process never ends the
    work on the head.
    """
    name = request.experiment.name
    status = target.command(f"fleet status {name}", options)
    with _jobs(target) as jobs:
        job = _submit(jobs, request, options, target)
        try:
            if detach:
                _wait_until_registered(jobs, job, name)
                say(f"{name} is in the queue of the head, which works on alone: {status}")
                return 0
            return _follow(jobs, job, status, say)
        except KeyboardInterrupt:
            cancel = target.command(f"fleet cancel {name}", options)
            hint = f"{status}    to stop it: {cancel}"
            raise Interrupted("no longer following; the head works on", hint) from None


def send_plan(request: Request, options: Options, target: Target, form: str, *, say: Say) -> int:
    """Let the head print its plan as `text` or `json`; return the exit code."""
    with _jobs(target) as jobs:
        job = _submit(jobs, request, options, target, plan=form)
        try:
            return _follow(jobs, job, target.command("fleet status", options), say)
        except KeyboardInterrupt:
            raise Interrupted("no longer following; nothing was submitted") from None


def _submit(
    jobs: Jobs, request: Request, options: Options, target: Target, *, plan: str = ""
) -> str:
    """Start a coordinator on the head and return the name of its job."""
    name = request.experiment.name
    job = f"{name}-{secrets.token_hex(4)}"
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
    return job


def _wait_until_registered(jobs: Jobs, job: str, name: str) -> None:
    """Wait until the head's ledger holds the submission; raise the coordinator's own reason."""
    until = time.monotonic() + REGISTERED_S
    words = REGISTERED.format(name=name)
    while words not in jobs.log(job):
        if jobs.state(job) in ENDED and words not in jobs.log(job):
            raise _not_registered(jobs, job)
        if time.monotonic() > until:
            jobs.stop(job)
            what = f"{name}: its coordinator did not start in {REGISTERED_S:.0f} s and was stopped"
            raise FleetUnreachable(what, "see on the head what keeps it busy, then submit again")
        time.sleep(POLL_S)


def _not_registered(jobs: Jobs, job: str) -> FleetError:
    """Return the coordinator's own message, or one that says it ended without any."""
    words = RAYS_OWN_LINES.sub("", jobs.log(job)).strip()
    if words and jobs.exit_code(job) == UserError.exit_code:
        return UserError(words)
    return FleetUnreachable(words or f"the coordinator ended: {jobs.message(job)}", "submit again")


def _follow(jobs: Jobs, job: str, status: str, say: Say) -> int:
    for text in jobs.follow(job, threading.Event()):
        print(RAYS_OWN_LINES.sub("", text), end="", flush=True)
    if jobs.state(job) == "SUCCEEDED":
        return 0
    code = jobs.exit_code(job)
    if code in OWN_EXIT_CODES:
        return code
    say(f"the coordinator ended without a message; stored results are kept: {status}")
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


def joined_machines(target: Target) -> list[Member]:
    """Return the machines of the fleet, as its head lists them now."""
    with _jobs(target) as jobs:
        return members(jobs)
