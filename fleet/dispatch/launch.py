"""The environment, ports and command line of a Ray process. Pure.

The reasons for each variable:

* RAY_AUTH_MODE=token is set in every process: without it a head with no token file is wide open,
  and joiners, drivers and clients do not switch to tokens by themselves.
* The token travels by RAY_AUTH_TOKEN_PATH, never by argv. Inherited RAY_* variables are removed,
  since RAY_AUTH_TOKEN or RAY_ADDRESS from a shell would take precedence.
* The health check and the keepalive lose nothing in a partition of 60 s, and report a dead machine
  after 129 s.
* Ray would run workers at nice 15 (a 2 ms timer then misses by 18 ms at p99), with one OpenMP
  thread, and kill them when the engine beside them fills the memory. The other variables of the
  workers keep an idle node near 0.6 % of one core.
* The setup hook (Ray's term) is a function that each worker process calls first: see
  nodes.without_arrow.
* RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is set in every process on a Mac: without it a head or a driver
  silently uses 127.0.0.1. This follows Ray's source and documentation; it has not been run on real
  hardware.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import UserError

NAME_LABEL = "bench/node"
JOIN_NAME_LABEL = "bench/join-name"
SINCE_LABEL = "bench/since"
"""Unix seconds of the start. If a machine has two nodes, the later one is alive."""
SLOT = "bench_slot"
"""A Ray resource of which each machine has one, so that it serves one experiment at a time."""

HEAD_STORE_BYTES = 500_000_000
NODE_STORE_BYTES = 200_000_000
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Every port of one Ray node: known to firewalls, and movable for several nodes per machine."""

    gcs: int = 6379
    versions: int = 6378
    """Always the GCS port minus one: a joining machine is given one address only."""
    dashboard: int = 8265
    node_manager: int = 6380
    object_manager: int = 6381
    runtime_env_agent: int = 6382
    agent_grpc: int = 6383
    metrics: int = 6384
    agent_http: int = 6385
    client_server: int = 6386
    head_metrics: int = 6387
    dashboard_metrics: int = 6388
    first_worker: int = 20000
    last_worker: int = 20099

    def shifted(self, by: int) -> Ports:
        """Return the same ports, each moved by this much (100 or more keeps worker ports apart)."""
        moved = {name: getattr(self, name) + by for name in self.__dataclass_fields__}
        return Ports(**moved)

    def shown(self) -> str:
        """Return the ports for a firewall: `6378 to 6388 and 20000 to 20099`."""
        return (
            f"{self.versions} to {self.dashboard_metrics} and "
            f"{self.first_worker} to {self.last_worker}"
        )

    def single(self) -> tuple[int, ...]:
        """Return every port except the range of the workers."""
        names = set(self.__dataclass_fields__) - {"first_worker", "last_worker"}
        return tuple(getattr(self, name) for name in sorted(names))


def driver_environment(token_file: Path, system: str) -> dict[str, str]:
    """Return the variables of every process that speaks Ray; `system` as in `sys.platform`."""
    variables = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
        "RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_failure_threshold": "10",
        "RAY_grpc_client_keepalive_time_ms": "60000",
        "RAY_grpc_client_keepalive_timeout_ms": "120000",
    }
    if system == "darwin":
        variables["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"
    return variables


def head_environment(token_file: Path, ports: Ports, system: str) -> dict[str, str]:
    """Return the variables of a head."""
    return driver_environment(token_file, system) | {
        "AUTOSCALER_METRIC_PORT": str(ports.head_metrics),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
    }


def worker_environment(token_file: Path, system: str, threads: int) -> dict[str, str]:
    """Return the variables of a node.

    `threads`: the OpenMP threads that the measuring process would have without Ray.
    """
    return driver_environment(token_file, system) | {
        "RAY_worker_niceness": "0",
        "RAY_worker_oom_score_adjustment": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_enable_metrics_collection": "0",
        "RAY_event_stats": "0",
        "RAY_task_events_report_interval_ms": "0",
        "RAY_raylet_report_resources_period_milliseconds": "1000",
        "OMP_NUM_THREADS": str(threads),
        "__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "fleet.dispatch.nodes.without_arrow",
    }


def without_ray(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a shell without Ray's own variables."""
    return {name: value for name, value in inherited.items() if not name.startswith("RAY_")}


@dataclass(frozen=True, slots=True, kw_only=True)
class RayNode:
    """Where a Ray node runs on this machine."""

    own_ip: str
    folder: Path
    ports: Ports


def head_command(ray: str, node: RayNode) -> list[str]:
    """Return the command of a head, whose dashboard listens on loopback only.

    `ray` is the path of Ray's program.
    """
    ports = node.ports
    return [
        *_start(ray, node, HEAD_STORE_BYTES),
        "--head",
        f"--port={ports.gcs}",
        "--num-cpus=0",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports.dashboard}",
        f"--ray-client-server-port={ports.client_server}",
    ]


def join_command(ray: str, node: RayNode, head: str, labels: Mapping[str, str]) -> list[str]:
    """Return the command of a node that joins the head at this address."""
    return [
        *_start(ray, node, NODE_STORE_BYTES),
        f"--address={head}",
        "--num-cpus=1",
        f"--resources={json.dumps({SLOT: 1})}",
        "--labels=" + ",".join(f"{name}={value}" for name, value in labels.items()),
    ]


def node_labels(name: str, join_name: str | None, since_s: int) -> dict[str, str]:
    """Return the labels by which a dispatcher finds a machine; a join name is optional."""
    labels = {NAME_LABEL: checked_name(name), SINCE_LABEL: str(since_s)}
    if join_name is not None:
        labels[JOIN_NAME_LABEL] = checked_name(join_name)
    return labels


def checked_name(name: str) -> str:
    """Return the name if Ray accepts it as a label; raise UserError."""
    if _LABEL.fullmatch(name):
        return name
    what = f"{name!r} cannot name a machine: use 1 to 63 of A-Z a-z 0-9 _ . -, with a letter or"
    raise UserError(f"{what} digit at both ends", "fleet join HEAD --name studio-96")


def _start(ray: str, node: RayNode, store_bytes: int) -> list[str]:
    ports = node.ports
    return [
        ray,
        "start",
        "--block",
        "--disable-usage-stats",
        "--include-log-monitor=false",
        "--log-style=record",
        "--log-color=false",
        f"--node-ip-address={node.own_ip}",
        f"--temp-dir={node.folder}",
        "--num-gpus=0",
        f"--object-store-memory={store_bytes}",
        f"--node-manager-port={ports.node_manager}",
        f"--object-manager-port={ports.object_manager}",
        f"--runtime-env-agent-port={ports.runtime_env_agent}",
        f"--dashboard-agent-grpc-port={ports.agent_grpc}",
        f"--dashboard-agent-listen-port={ports.agent_http}",
        f"--metrics-export-port={ports.metrics}",
        f"--min-worker-port={ports.first_worker}",
        f"--max-worker-port={ports.last_worker}",
    ]
