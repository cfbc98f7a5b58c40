"""A fleet of several machines: its head, its nodes, and how a request gets to its coordinator."""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fleet import folders, wiring
from fleet.app.joining import for_new_machines
from fleet.app.options import REGISTERED, Options
from fleet.app.progress import Talk
from fleet.config.shipped import shipped_folder
from fleet.dispatch.cluster import (
    join,
    leave,
    require_joinable,
    running_head,
    running_node,
    start_head,
)
from fleet.dispatch.jobs import ENDED, Jobs
from fleet.dispatch.members import Member, members
from fleet.dispatch.ray_paths import job_log
from fleet.dispatch.tunnel import fetch_token, tunnel
from fleet.dispatch.wheel import build_wheel
from fleet.errors import FleetError, FleetUnreachable, Interrupted, UserError
from fleet.model.experiment import Request
from fleet.ports import Dispatcher, Say, Stop
from fleet.worker import NodeWorker

if TYPE_CHECKING:
    from fleet.dispatch.nodes import NodeSlot
    from fleet.plan.expand import Plan

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

__all__ = ["Target", "head", "joined", "leave", "ray_dispatcher", "send", "serve_head"]


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


def ray_dispatcher(engine: wiring.EngineSpec, experiment: str, address: str) -> Dispatcher:
    from fleet.dispatch.access import token_file
    from fleet.dispatch.actors import RayDispatcher

    def spec_of(slot: NodeSlot) -> wiring.WorkerSpec:
        return wiring.WorkerSpec(
            engine=engine, name=slot.name, join_name=slot.join_name, state=wiring.OWN_HOME
        )

    state = folders.state_folder()
    return RayDispatcher(
        NodeWorker,
        spec_of,
        address=address,
        token_file=token_file(state),
        experiment=experiment,
        log=state / "logs" / f"{experiment}.ray.log",
    )


def serve_head(own_ip: str | None, say: Say, stop: Stop) -> None:
    """Be the head until told to stop; says what to paste on a new machine."""
    wheel = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
    extra = _coordinators_world()
    with start_head(folders.state_folder(), own_ip=own_ip, extra=extra, wheel=wheel) as started:
        say(f"the head is up at {started.address}\n")
        say("\n".join(for_new_machines(started.record)))
        say("\nthe head stays in the foreground until Ctrl-C or `fleet leave`")
        started.watch(stop)


def _coordinators_world() -> dict[str, str]:
    """What a coordinator must find in its environment, started by Ray as it is."""
    world = {PYTHON: sys.executable, "FLEET_STORE": str(folders.home_folder(None))}
    return world | {"FLEET_STATE": str(folders.state_folder())}


def greet_head(address: str, name: str | None, say: Say) -> None:
    """Raises what would keep this machine out, before its user looks for the token."""
    say(f"asking for the head at {address} ...")
    require_joinable(address, folders.state_folder(), name)


def serve_node(
    address: str,
    *,
    name: str | None,
    token: str | None,
    own_ip: str | None,
    say: Say,
    stop: Stop,
) -> None:
    """Be a node until told to stop."""
    state = folders.state_folder()
    say("joining; this takes some seconds ...")
    with join(address, state, name=name, token=token, own_ip=own_ip) as node:
        say(f"{node.record.name} has joined the head at {node.address}")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        node.watch(stop)


def serve_practice(names: list[str], say: Say, stop: Stop) -> None:
    """A Ray cluster of simulated machines on this one, until told to stop."""
    from fleet.dispatch.practice import practice_cluster

    state = folders.state_folder()
    extra = _coordinators_world()
    with practice_cluster(names, state, extra=extra, say=say) as practice:
        joined = practice.joined
        say(f"{len(joined)} practice machines have joined: {', '.join(joined)}")
        say("in another terminal:  fleet submit configs/practice.yaml")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        practice.watch(stop, say)
