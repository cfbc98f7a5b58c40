"""Connect names to real sides: which engine, which probes. Heavy imports happen here, and late."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.wiring.node import OWN_HOME, Node, WorkerSpec

if TYPE_CHECKING:
    from fleet.ports import Clock, Stop
    from fleet.telemetry.sampler import Sampler
    from fleet.wiring.node import EngineSpec

__all__ = ["OWN_HOME", "EngineSpec", "Node", "WorkerSpec", "host_name", "node", "sampler"]


def node(spec: WorkerSpec, state: Path) -> Node:
    """Return the machine that this process runs on, or the one that the spec names."""
    from fleet.model.experiment import SimulatedEngine

    if spec.endpoint:
        from fleet.wiring.endpoint import endpoint_node

        return endpoint_node(spec)
    if isinstance(spec.engine, SimulatedEngine):
        from fleet.wiring.simulated import simulated_node

        return simulated_node(spec.engine, spec.name)
    from fleet.wiring.real import real_node

    return real_node(spec, state)


def sampler(node: Node, clock: Clock, stop: Stop) -> Sampler:
    """Return what reads this machine while trials run; it looks for its probes at the first."""
    from fleet.telemetry.sampler import Sampler

    return Sampler(node.telemetry, clock, stop)


def host_name() -> str:
    """Return the host's short name: a label, never an identity."""
    return socket.gethostname().split(".")[0]
