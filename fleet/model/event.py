"""What a worker says while it works; the coordinator writes it down and shows it."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.model.machine import ModelFacts
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    machine_id: str
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    machine_id: str
    result: TrialResult
    speeds: str = ""
    """The trial's medians in words, filled in by the coordinator: only the views know them, and
    only once the result is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Progress in words: a pull, a wait for the machine's lock."""

    machine_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A trial that waits for its machine; `why` says until when as well, where that is known."""

    machine_id: str
    attempt: Attempt
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The models asked for are there, each with its digest as read back."""

    machine_id: str
    models: tuple[ModelFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRefused:
    """One model could not be made ready: its trials on this machine are left out, no others."""

    machine_id: str
    model: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The machine could not be made ready; its trials are left out with this reason."""

    machine_id: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker went away; what it had spooled comes back when it does."""

    machine_id: str
    what: str


Event = Started | Finished | Said | Held | Prepared | ModelRefused | Failed | Lost
