"""What a Ray process is started with: its variables, its ports, its command line. Pure.

Why each variable stands here:

* RAY_AUTH_MODE=token in every process: without it a head with no token file is wide open, and
  joiners, drivers and clients never switch themselves.
* The token travels by RAY_AUTH_TOKEN_PATH, never by argv, and inherited RAY_* variables are left
  behind, since RAY_AUTH_TOKEN or RAY_ADDRESS from a shell would win over these.
* Health check and keepalive: a partition of 60 s loses nothing, a dead machine is known at 129 s.
* Workers: Ray would put them at nice 15 (a 2 ms timer then misses by 18 ms at p99), give them one
  OpenMP thread, and kill them when the engine beside them fills the memory. The rest of them
  keeps an idle node near 0.6 % of one core.
* The setup hook, Ray's own name for a function that each worker process calls first: see
  slots.without_arrow.
* RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER on a Mac, in every process: without it a head or a driver there
  silently uses 127.0.0.1. Written from Ray's source and documentation; not run on real hardware.
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
"""Unix seconds of the start: of two nodes of one machine, the later one lives."""
SLOT = "bench_slot"
"""Resource of which each machine has one: one experiment at a time."""

HEAD_STORE_BYTES = 500_000_000
NODE_STORE_BYTES = 200_000_000
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Every port of one Ray node, so that a firewall can be told, and several fit one machine."""

    gcs: int = 6379
    versions: int = 6378
    """Always the GCS port less one: a joiner is told one address only."""
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
        """The same ports, each moved by this much (100 or more keeps worker ports apart)."""
        moved = {name: getattr(self, name) + by for name in self.__dataclass_fields__}
        return Ports(**moved)

    def shown(self) -> str:
        """For a firewall: `6378 to 6388 and 20000 to 20099`."""
        return (
            f"{self.versions} to {self.dashboard_metrics} and "
            f"{self.first_worker} to {self.last_worker}"
        )

    def single(self) -> tuple[int, ...]:
        """Every port but the range of the workers."""
        names = set(self.__dataclass_fields__) - {"first_worker", "last_worker"}
        return tuple(getattr(self, name) for name in sorted(names))


def driver_environment(token_file: Path, system: str) -> dict[str, str]:
    """For every process that speaks Ray, on every machine; `system` as in `sys.platform`."""
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
    return driver_environment(token_file, system) | {
        "AUTOSCALER_METRIC_PORT": str(ports.head_metrics),
        "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
    }


def worker_environment(token_file: Path, system: str, threads: int) -> dict[str, str]:
    """`threads`: OpenMP threads of the measuring process, as it would have them without Ray."""
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
    """The environment of a shell, less what would speak to Ray behind our back."""
    return {name: value for name, value in inherited.items() if not name.startswith("RAY_")}


def head_command(ray: str, own_ip: str, folder: Path, ports: Ports) -> list[str]:
    """`ray` is the path of Ray's program; the dashboard listens on loopback only."""
    return [
        *_start(ray, own_ip, folder, ports, HEAD_STORE_BYTES),
        "--head",
        f"--port={ports.gcs}",
        "--num-cpus=0",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports.dashboard}",
        f"--ray-client-server-port={ports.client_server}",
    ]


def join_command(
    ray: str, head: str, own_ip: str, folder: Path, ports: Ports, labels: Mapping[str, str]
) -> list[str]:
    return [
        *_start(ray, own_ip, folder, ports, NODE_STORE_BYTES),
        f"--address={head}",
        "--num-cpus=1",
        f"--resources={json.dumps({SLOT: 1})}",
        "--labels=" + ",".join(f"{name}={value}" for name, value in labels.items()),
    ]


def node_labels(name: str, join_name: str | None, since_s: int) -> dict[str, str]:
    """Labels by which a dispatcher finds a machine; the join name only where one was given."""
    labels = {NAME_LABEL: checked_name(name), SINCE_LABEL: str(since_s)}
    if join_name is not None:
        labels[JOIN_NAME_LABEL] = checked_name(join_name)
    return labels


def checked_name(name: str) -> str:
    """The name, if Ray takes it as a label; raises UserError."""
    if _LABEL.fullmatch(name):
        return name
    what = f"{name!r} cannot name a machine: 1 to 63 of A-Z a-z 0-9 _ . -, a letter or digit at"
    raise UserError(f"{what} both ends", "fleet join HEAD --name studio-96")


def _start(ray: str, own_ip: str, folder: Path, ports: Ports, store_bytes: int) -> list[str]:
    return [
        ray,
        "start",
        "--block",
        "--disable-usage-stats",
        "--include-log-monitor=false",
        "--log-style=record",
        "--log-color=false",
        f"--node-ip-address={own_ip}",
        f"--temp-dir={folder}",
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
