"""How a request is run, and who submitted it; sent to a coordinator as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fleet.folders import home_folder
from fleet.model.machine import FactValue

REGISTERED = "{name} is in the queue of this head"
"""The message of a coordinator once the ledger holds its submission; its sender waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a request is run; only `again` changes the identity of a trial."""

    home: Path
    only: Mapping[str, str] = field(default_factory=dict)
    repeats: int | None = None
    seconds: float | None = None
    again: bool = False
    missing_only: bool = False
    yes: bool = False
    skip_unfit: bool = False
    ray_address: str | None = None
    """The cluster to dispatch to, set on the head; None: workers on this machine."""
    declared: Mapping[str, Mapping[str, FactValue]] = field(default_factory=dict)
    """Machines of `configs/fleet.yaml` by name, with the facts given there."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """By name, the base URL of an Ollama on a machine on which fleet does not run."""
    command: str = ""
    """The command to continue with: as typed, but without --again, which would begin anew."""
    submitter: str = ""
    log: str = ""
    """File with the output of the coordinator; empty if it prints to a terminal."""

    def to_json(self, *, with_home: bool) -> str:
        """Return the options for a coordinator; a head elsewhere has a home of its own."""
        content = asdict(self) | {"home": str(self.home) if with_home else None}
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str, *, ray_address: str, log: str) -> Options:
        """Read what was sent to a coordinator."""
        content = json.loads(text)
        home = home_folder(content["home"])
        return cls(**content | {"home": home, "ray_address": ray_address, "log": log})
