"""List the machines that a head's dashboard shows; no Ray in this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.dispatch.jobs import Jobs
from fleet.dispatch.launch import NAME_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One machine of a fleet: joined now, or gone since this head started."""

    name: str
    address: str
    node_id: str
    joined_unix_s: int
    gone_unix_s: int | None
    experiment: str | None
    """The experiment that measures on it now, if any."""


def members(jobs: Jobs) -> list[Member]:
    """Return the machines by name, joined ones first; raise FleetUnreachable and UserError."""
    experiments = _experiments(jobs.cluster_state("actors"))
    newest: dict[str, Member] = {}
    for node in sorted(jobs.cluster_state("nodes"), key=_order):
        if name := (node.get("labels") or {}).get(NAME_LABEL):
            newest[name] = _member(str(name), node, experiments)
    return sorted(newest.values(), key=lambda each: (each.gone_unix_s is not None, each.name))


def _order(node: Mapping[str, Any]) -> tuple[bool, int]:
    """Sort last the node that counts for its machine: the living one, or else the newest."""
    return node.get("state") == "ALIVE", int(node.get("start_time_ms") or 0)


def _member(name: str, node: Mapping[str, Any], experiments: Mapping[str, str]) -> Member:
    alive = node.get("state") == "ALIVE"
    return Member(
        name=name,
        address=str(node.get("node_ip") or ""),
        node_id=str(node.get("node_id") or ""),
        joined_unix_s=int(node.get("start_time_ms") or 0) // 1000,
        gone_unix_s=None if alive else int(node.get("end_time_ms") or 0) // 1000,
        experiment=experiments.get(str(node.get("node_id"))) if alive else None,
    )


def _experiments(actors: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return node ids and experiments: a dispatcher names its actors `EXPERIMENT@MACHINE`."""
    living = (actor for actor in actors if actor.get("state") == "ALIVE")
    named = ((str(each.get("node_id")), str(each.get("name") or "")) for each in living)
    return {node: name.rpartition("@")[0] for node, name in named if "@" in name}
