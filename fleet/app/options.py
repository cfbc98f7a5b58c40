"""How a request is run, and who asked for it; this travels to a coordinator as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fleet.folders import home_folder
from fleet.model.machine import FactValue

REGISTERED = "{name} is in the queue of this head"
"""What a coordinator says once the ledger holds its submission: whoever sent it waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a request is run; none of it changes the identity of a trial but `again`."""

    home: Path
    only: Mapping[str, str] = field(default_factory=dict)
    repeats: int | None = None
    seconds: float | None = None
    again: bool = False
    missing_only: bool = False
    yes: bool = False
    skip_unfit: bool = False
    ray_address: str | None = None
    """Set on the head: the cluster to dispatch to. None: workers on this machine."""
    declared: Mapping[str, Mapping[str, FactValue]] = field(default_factory=dict)
    """Machines of `configs/fleet.yaml` by name, with the facts that it gives."""
    command: str = ""
    """What to type to go on: as typed, but for --again, which would begin anew."""
    submitter: str = ""
    log: str = ""
    """File with what the coordinator prints; empty: it prints to a terminal."""

    def to_json(self, *, with_home: bool) -> str:
        """For a coordinator; a head elsewhere has a home of its own."""
        content = asdict(self) | {"home": str(self.home) if with_home else None}
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str, *, ray_address: str, log: str) -> Options:
        content = json.loads(text)
        home = home_folder(content["home"])
        return cls(**content | {"home": home, "ray_address": ray_address, "log": log})
