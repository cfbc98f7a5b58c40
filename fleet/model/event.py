"""Events that a worker reports; the coordinator records and shows them."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.model.machine import ModelFacts
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A trial began."""

    machine_id: str
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A trial ended, well or not."""

    machine_id: str
    result: TrialResult
    speeds: str = ""
    """The medians of the trial in words. The coordinator adds them once the result is stored, since
    only the views define a speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Progress in words, such as a pull or a wait for the machine's lock."""

    machine_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A trial waits for its machine; `why` contains the end of the wait where it is known."""

    machine_id: str
    attempt: Attempt
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The requested models are present, each with the digest that the engine reports."""

    machine_id: str
    models: tuple[ModelFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRefused:
    """One model could not be prepared: only its trials on this machine are left out."""

    machine_id: str
    model: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The machine could not be prepared: all its trials are left out for this reason."""

    machine_id: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker disappeared; its spooled results come back when it returns."""

    machine_id: str
    what: str


Event = Started | Finished | Said | Held | Prepared | ModelRefused | Failed | Lost
