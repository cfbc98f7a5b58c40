"""One trial at the gates of its machine: the state it met there, for its result to hold."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from fleet.errors import GateClosed, TrialError
from fleet.model.gates import (
    FOREIGN_MEMORY,
    GPU,
    GPU_USERS,
    OTHER_MODELS,
    Resident,
    clocks_moved,
    closed,
    model_size_matters,
    unverified,
    with_wanted,
)
from fleet.model.machine import Fingerprint, same_model
from fleet.model.measure import TrialResult
from fleet.model.trial import Trial
from fleet.ports import Engine
from fleet.runner.trial_log import outcome_columns
from fleet.units import NS_PER_S

KEPT_S = 1800.0
"""Engines keep a model that fleet has loaded for this long after its last use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoverModel:
    """A model that a trial of fleet was about to load when Ctrl-C or a crash cut it off."""

    model: str
    unix_ns: int

    @classmethod
    def noted(cls, note: str) -> LeftoverModel | None:
        """Read the note that the machine's last trial left behind if it did not end."""
        moment, _, model = note.strip().partition(" ")
        return cls(model=model, unix_ns=int(moment)) if moment.isdecimal() and model else None

    def is_it(self, resident: Resident, now_unix_ns: int) -> bool:
        """Return True unless somebody has used the model since, which would move its expiry."""
        expires_ns = resident.expires_unix_ns
        if not same_model(resident.name, self.model) or expires_ns is None:
            return False
        kept_ns = round(KEPT_S * NS_PER_S)
        return self.unix_ns + kept_ns <= expires_ns <= now_unix_ns + kept_ns


@dataclass(slots=True)
class Visit:
    """One trial at the gates of its machine."""

    trial: Trial
    engine: Engine
    own_engine: bool = False
    """The trial has an engine of its own, whose start waits for the owner's models by itself."""
    is_wanted: Callable[[], bool] = lambda: True
    """False once nobody needs the trial any more."""
    leftover: LeftoverModel | None = None
    uses_loaded: bool = False
    """The trial uses its model as somebody has loaded it, so no model need leave the memory."""
    fingerprint: Fingerprint | None = None
    """The last look before the trial."""
    closed_gates: dict[str, str] = field(default_factory=dict)
    """The gates that were closed at that look, and why."""
    held_ns: int = 0
    unloaded: tuple[str, ...] = ()
    """Models of other users that were unloaded, since nobody had used them for long enough."""
    model_bytes: int | None = None
    """Size of the trial's model, read once others hold memory of the GPU."""

    @property
    def owners(self) -> Engine | None:
        """The engine whose loaded models are in the way."""
        return None if self.own_engine else self.engine

    @property
    def ignored_gates(self) -> Collection[str]:
        """Gates that do not concern this trial."""
        return {OTHER_MODELS} if self.own_engine or self.uses_loaded else ()

    def see(self, fingerprint: Fingerprint) -> None:
        """Judge the gates by a look at the machine.

        Under strict, a gate that cannot be verified is closed. Whose GPU memory is in use may
        become known once the other models are out of it.
        """
        fingerprint = self._with_model_size(fingerprint)
        self.fingerprint = fingerprint
        self.closed_gates = closed(fingerprint, self.ignored_gates)
        if self.trial.gates.policy == "strict":
            later = {GPU_USERS} if OTHER_MODELS in self.closed_gates else set()
            unknown = unverified(fingerprint, {*later, *self.ignored_gates})
            self.closed_gates |= {name: f"{name} cannot be read" for name in unknown}

    def _with_model_size(self, fingerprint: Fingerprint) -> Fingerprint:
        """Add the size of the trial's model if others hold some of the GPU's memory."""
        if not model_size_matters(fingerprint):
            return fingerprint
        if self.model_bytes is None:
            self.model_bytes = _size_bytes(self.engine, self.trial.model)
        return with_wanted(fingerprint, self.model_bytes)

    def why(self) -> str:
        """Say why the gates are closed."""
        return "; ".join(self.closed_gates.values())

    def judged(self, result: TrialResult) -> TrialResult:
        """Return the result with the state of the gates before and after the trial.

        Under strict, a gate that is closed afterwards, or a clock that moved, fails the trial.
        """
        moved = clocks_moved(result.clock_step_ns or 0, result.suspended_ns)
        after = _closed_after(result.fingerprint_after, self.ignored_gates)
        reasons = tuple((after | moved).values())
        seen = self.fingerprint
        judged = replace(
            result,
            fingerprint=result.fingerprint or seen,
            gates_held_ns=self.held_ns,
            gates_closed=tuple(self.closed_gates.values()) if seen else None,
            gates_closed_after=reasons if result.fingerprint_after else None,
            gates_unverified=unverified(seen, self.ignored_gates) if seen else None,
            models_unloaded=self.unloaded,
        )
        if self.trial.gates.policy != "strict" or result.outcome != "ok" or not reasons:
            return judged
        failure = GateClosed(f"after the measurement: {'; '.join(reasons)}")
        return replace(judged, **outcome_columns(failure))


def _closed_after(look: Fingerprint | None, ignored: Collection[str]) -> dict[str, str]:
    """Return the gates that are closed right after the trial.

    The GPU's load is then the trial's own, and so may be its memory in use: only a list of
    programs shows whose memory it is.
    """
    if look is None:
        return {}
    listed = look.get(FOREIGN_MEMORY) is not None
    return closed(look, {GPU, *ignored} if listed else {GPU, GPU_USERS, *ignored})


def _size_bytes(engine: Engine, model: str) -> int | None:
    try:
        models = engine.models()
    except TrialError:
        return None
    return next((each.size_bytes for each in models if same_model(each.name, model)), None)
