"""A fleet of several machines: its head, its nodes, and how a request gets to its coordinator."""

from __future__ import annotations

import os
import re
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet import wiring
from fleet.app.joining import for_new_machines
from fleet.app.talking import Talk
from fleet.config.shipped import shipped_folder
from fleet.dispatch.cluster import (
    join,
    leave,
    require_joinable,
    running_head,
    running_node,
    start_head,
)
from fleet.dispatch.jobs import Jobs
from fleet.dispatch.launch import Ports
from fleet.dispatch.members import Member, members
from fleet.dispatch.tunnel import fetch_token, tunnel
from fleet.dispatch.wheel import build_wheel
from fleet.errors import FleetUnreachable, Interrupted, UserError
from fleet.model.experiment import Request, SimulatedEngine
from fleet.ports import Dispatcher, Say, Stop
from fleet.worker import NodeWorker

if TYPE_CHECKING:
    from fleet.app.submitting import Options
    from fleet.dispatch.seats import Seat

REQUEST = "FLEET_REQUEST"
OPTIONS = "FLEET_OPTIONS"
PYTHON = "FLEET_PYTHON"
DASHBOARD_PORT = 8265
BESIDE_HEAD = 200
"""A head that measures too is a second Ray node on its machine: its ports stand so much higher."""
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
    record = running_head(wiring.state_folder())
    return None if record is None else Target(None, record.dashboard_port)


def send(request: Request, options: Options, target: Target, *, detach: bool, say: Say) -> int:
    """Hand the request to the head's coordinator and follow it; closing this changes nothing."""
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
            },
            metadata={"experiment": name},
        )
        if detach:
            say(f"{name} is with the head, which goes on alone: {there}fleet status {name}")
            return 0
        try:
            return _follow(jobs, job)
        except KeyboardInterrupt:
            mend = f"{there}fleet status {name}    to stop it: {there}fleet cancel {name}"
            raise Interrupted("no longer following; the head goes on", mend) from None


def _follow(jobs: Jobs, job: str) -> int:
    for text in jobs.follow(job, threading.Event()):
        print(RAYS_OWN_LINES.sub("", text), end="", flush=True)
    return 0 if jobs.state(job) == "SUCCEEDED" else 1


@contextmanager
def _jobs(target: Target) -> Iterator[Jobs]:
    token = fetch_token(target.destination, wiring.state_folder(), os.environ)
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
    node = running_node(wiring.state_folder())
    if node is not None:
        what = f"this machine is joined as {node.name}; the head at {node.address} knows the others"
        raise UserError(what, "there: fleet machines --joined    here: --head USER@HEAD")
    hint = "fleet head    starts one; one elsewhere: fleet machines --joined --head USER@HEAD"
    raise UserError("no head runs on this machine", hint)


def joined(target: Target) -> list[Member]:
    """The machines of the fleet, as its head tells now."""
    with _jobs(target) as jobs:
        return members(jobs)


def coordinate(talk: Talk) -> int:
    """What the head runs for a request that was sent to it."""
    from fleet.app.submitting import Options, submit

    record = running_head(wiring.state_folder())
    if record is None:
        raise FleetUnreachable("no head runs on this machine", "fleet head")
    request = Request.model_validate_json(os.environ[REQUEST])
    options = Options.from_json(os.environ[OPTIONS], ray_address=record.address)
    return submit(request, options, talk)


def ray_dispatcher(engine: wiring.EngineSpec, experiment: str, address: str) -> Dispatcher:
    from fleet.dispatch.access import token_file
    from fleet.dispatch.actors import RayDispatcher

    def spec_of(seat: Seat) -> wiring.WorkerSpec:
        return wiring.WorkerSpec(
            engine=engine, name=seat.name, join_name=seat.join_name, state=wiring.OWN_HOME
        )

    return RayDispatcher(
        NodeWorker,
        spec_of,
        address=address,
        token_file=token_file(wiring.state_folder()),
        experiment=experiment,
        names=list(engine.machines) if isinstance(engine, SimulatedEngine) else None,
    )


def serve_head(own_ip: str | None, say: Say, stop: Stop) -> None:
    """Be the head until told to stop; says what to paste on a new machine."""
    wheel = build_wheel({"configs": shipped_folder("configs"), "jobs": shipped_folder("jobs")})
    extra = _coordinators_world()
    with start_head(wiring.state_folder(), own_ip=own_ip, extra=extra, wheel=wheel) as started:
        say(f"the head is up at {started.address}\n")
        say("\n".join(for_new_machines(started.record)))
        say("\nthe head stays in the foreground until Ctrl-C or `fleet leave`")
        started.watch(stop)


def _coordinators_world() -> dict[str, str]:
    """What a coordinator must find in its environment, started by Ray as it is."""
    world = {PYTHON: sys.executable, "FLEET_STORE": str(wiring.home_folder(None))}
    return world | {"FLEET_STATE": str(wiring.state_folder())}


def greet_head(address: str, name: str | None, say: Say) -> None:
    """Raises what would keep this machine out, before its user looks for the token."""
    say(f"asking for the head at {address} ...")
    require_joinable(address, wiring.state_folder(), name)


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
    state = wiring.state_folder()
    ports = Ports().shifted(BESIDE_HEAD) if running_head(state) else None
    say("joining; this takes some seconds ...")
    with join(address, state, name=name, token=token, own_ip=own_ip, ports=ports) as node:
        say(f"{node.record.name} has joined the head at {node.address}")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        node.watch(stop)


def serve_practice(names: list[str], say: Say, stop: Stop) -> None:
    """A Ray cluster of simulated machines on this one, until told to stop."""
    from fleet.dispatch.practice import practice_cluster

    state = wiring.state_folder()
    with practice_cluster(names, state, extra=_coordinators_world()) as started:
        say(f"{len(names)} practice machines have joined: {', '.join(names)}")
        say("in another terminal:  fleet submit configs/practice.yaml")
        say("it stays in the foreground until Ctrl-C or `fleet leave`")
        started.watch(stop)
