"""The record on disk by which other commands find a head or a joined node, and end it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from fleet import durable
from fleet.dispatch.processes import GRACE_S, ProcessMark, end_sessions, started_at
from fleet.dispatch.versions import Versions

HEAD = "head.json"
NODE = "node.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One running head, or one joined node, of this state folder."""

    address: str
    """The head's `ip:port`, for Ray's drivers and joining machines."""
    dashboard_port: int
    """Port of Ray's Jobs REST interface on the head's loopback. 0: a node."""
    versions: Versions
    own_ip: str
    name: str
    """Name of the joined machine; empty for a head."""
    command: ProcessMark
    """The fleet command that watches over Ray."""
    ray: tuple[ProcessMark, ...]
    """The leaders of the sessions in which Ray runs."""
    install: str = ""
    """The line that installs on a new machine what the head runs. Empty: a node."""

    def alive(self) -> bool:
        """Return whether the command and its Ray still run."""
        return self.command.alive() and any(leader.alive() for leader in self.ray)


def write_record(path: Path, record: Record) -> None:
    """Write the record durably."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.replace(path, json.dumps(asdict(record), indent=1).encode())


def read_record(path: Path) -> Record | None:
    """Return the record, or None if there is none that can be read."""
    try:
        fields = json.loads(path.read_text())
        fields["versions"] = Versions(**fields["versions"])
        fields["command"] = ProcessMark(**fields["command"])
        fields["ray"] = tuple(ProcessMark(**leader) for leader in fields["ray"])
        return Record(**fields)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def end_recorded(record: Record, grace_s: float = GRACE_S) -> None:
    """End the Ray processes of a record whose command has ended or is this process."""
    end_sessions([leader.pid for leader in record.ray if _is_ours(leader)], grace_s)


def _is_ours(leader: ProcessMark) -> bool:
    """Return whether the session is ours: a dead leader's id stays taken while it lives."""
    return started_at(leader.pid) in (None, leader.started)
