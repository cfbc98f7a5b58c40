"""What a head or a joined node notes on disk, so that other commands find it and can end it."""

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
    """The head's `ip:port`, as Ray's drivers and joiners want it."""
    dashboard_port: int
    """On the head's loopback: Ray's Jobs REST interface; 0 for a node."""
    versions: Versions
    own_ip: str
    name: str
    """Name of the joined machine; empty for a head."""
    command: ProcessMark
    """The fleet command that watches over Ray."""
    ray: tuple[ProcessMark, ...]
    """Leaders of the sessions in which Ray runs."""
    install: str = ""
    """Of a head: the line that installs on a new machine what the head runs."""

    def alive(self) -> bool:
        return self.command.alive() and any(leader.alive() for leader in self.ray)


def write_record(path: Path, record: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    durable.replace(path, json.dumps(asdict(record), indent=1).encode())


def read_record(path: Path) -> Record | None:
    """None where there is none; an unreadable one counts as none."""
    try:
        told = json.loads(path.read_text())
        told["versions"] = Versions(**told["versions"])
        told["command"] = ProcessMark(**told["command"])
        told["ray"] = tuple(ProcessMark(**leader) for leader in told["ray"])
        return Record(**told)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def end_recorded(record: Record, grace_s: float = GRACE_S) -> None:
    """End the Ray processes of a record whose own command is gone or is this one."""
    end_sessions([leader.pid for leader in record.ray if _ours(leader)], grace_s)


def _ours(leader: ProcessMark) -> bool:
    """A dead leader's number stays taken while its session lives, so it is no stranger's."""
    return started_at(leader.pid) in (None, leader.started)
