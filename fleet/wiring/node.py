"""One machine as its worker sees it, and what names such a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet.errors import UserError

if TYPE_CHECKING:  # a command that only needs a name does not load the nouns and their validators
    from fleet.model import experiment
    from fleet.model.hours import Hours
    from fleet.model.machine import EngineRestart, FactValue, Fingerprint
    from fleet.ports import Engine, ForgetModel, TelemetryProbe
    from fleet.settings.life import TrialSettings

    EngineSpec = experiment.Engine

OWN_HOME = ""
"""A value of `WorkerSpec.state`: the home of the user on the node itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """The parameters of a worker, on whatever machine it is made."""

    engine: EngineSpec
    name: str = ""
    """The machine's name; empty: the host's. A simulated machine is found by it."""
    join_name: str | None = None
    """The name given at `fleet join --name`: part of the machine's identity."""
    state: str
    """Folder for the node's spool and, if the system has no machine id, for that."""
    sender: str = ""
    """The id of the home that sends the work, where `state` is not that home; empty: it is."""
    endpoint: str = ""
    """The base URL of an Ollama on another machine, on which fleet does not run; empty: here."""
    declared: Mapping[str, FactValue] = field(default_factory=dict)
    """Facts of the machine behind `endpoint`, by name, as its owner wrote them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine as its worker sees it."""

    machine_id: str
    lock_id: str = ""
    """What is locked in place of the machine; empty: the machine, by its id."""
    name: str
    look: Callable[[], Fingerprint]
    make_engine: Callable[[], Engine]
    settings: TrialSettings
    telemetry: Callable[[experiment.Telemetry], Sequence[TelemetryProbe]]
    restart: Callable[[Engine], Engine] | None = None
    """Restarts the engine, and returns the one to go on with. None: fleet may not restart it."""
    begin: Callable[[Engine, str], None] | None = None
    """Tells a simulated engine which attempt begins. None: the engine does not need to know."""
    restart_words: Callable[[], EngineRestart] | None = None
    """Says what `restart` would do now, or why it may not. None: the engine is fleet's own."""
    allowed: frozenset[str] = frozenset()
    """What the owner allows here, as `fleet join --allow` noted it before this was made."""
    hours: Callable[[], Hours | None] = lambda: None
    """The hours in which trials may begin, as of this moment. None: at any time."""
    refusal: str = ""
    """Why nothing may be measured here at all."""
    wrong_address: UserError | None = None
    """Why the configured address is not that of an engine on this machine."""
    is_here: bool = True
    """Whether this process runs on the machine: its disk and its files are the ones here."""
    forget_model: ForgetModel = lambda model: False
    """Drops a model's files from the page cache of this machine."""
    news: Callable[[], Sequence[str]] = tuple
    """Says what was done to the owner's Ollama since the last call."""

    @property
    def locked(self) -> str:
        """What is locked while this machine is measured."""
        return self.lock_id or self.machine_id
