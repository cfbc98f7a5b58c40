"""One trial at the gates of its machine: what it met there, and what of that its result tells."""

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
from fleet.units import NS_PER_S

KEPT_S = 1800.0
"""Engines keep what fleet has loaded for so long after its last use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A model that a trial of fleet was about to load when it was cut off, by Ctrl-C or a crash."""

    model: str
    unix_ns: int

    @classmethod
    def noted(cls, note: str) -> LeftBehind | None:
        """What the last trial of a machine noted before it began, where it did not end."""
        moment, _, model = note.strip().partition(" ")
        return cls(model=model, unix_ns=int(moment)) if moment.isdecimal() and model else None

    def is_it(self, resident: Resident, now_unix_ns: int) -> bool:
        """Whoever has used it since, has with it set another time at which it goes."""
        expires_ns = resident.expires_unix_ns
        if not same_model(resident.name, self.model) or expires_ns is None:
            return False
        kept_ns = round(KEPT_S * NS_PER_S)
        return self.unix_ns + kept_ns <= expires_ns <= now_unix_ns + kept_ns


@dataclass(slots=True)
class Visit:
    """One trial at the gates of its machine, and what it met there."""

    trial: Trial
    engine: Engine
    own_engine: bool = False
    """It is measured on an engine of its own, which waits for the owner's models by itself."""
    wanted: Callable[[], bool] = lambda: True
    """False once nobody needs it any more."""
    left_behind: LeftBehind | None = None
    takes_loaded: bool = False
    """It measures its model as somebody has loaded it, so nothing need leave the memory."""
    found: Fingerprint | None = None
    """The last look before the trial."""
    shut: dict[str, str] = field(default_factory=dict)
    """The gates closed at that look, and why."""
    held_ns: int = 0
    unloaded: tuple[str, ...] = ()
    """Models of others taken out of memory, since nobody had used them for long enough."""
    wanted_bytes: int | None = None
    """Size of the trial's model, asked for once others hold memory of the GPU."""

    @property
    def owners(self) -> Engine | None:
        """The engine whose models in memory are in the way."""
        return None if self.own_engine else self.engine

    @property
    def unasked(self) -> Collection[str]:
        return {OTHER_MODELS} if self.own_engine or self.takes_loaded else ()

    def see(self, found: Fingerprint) -> None:
        """Under strict a gate that cannot be told is a closed one; whose memory of the GPU is in
        use may be told once the other models are out of it."""
        found = self._beside_others(found)
        self.found, self.shut = found, closed(found, self.unasked)
        if self.trial.gates.policy == "strict":
            later = {GPU_USERS} if OTHER_MODELS in self.shut else set()
            untold = unverified(found, {*later, *self.unasked})
            self.shut |= {name: f"{name} cannot be told" for name in untold}

    def _beside_others(self, found: Fingerprint) -> Fingerprint:
        """Where others hold some of the GPU's memory, the size of the trial's model matters."""
        if not model_size_matters(found):
            return found
        if self.wanted_bytes is None:
            self.wanted_bytes = _size_bytes(self.engine, self.trial.model)
        return with_wanted(found, self.wanted_bytes)

    def why(self) -> str:
        return "; ".join(self.shut.values())

    def judged(self, result: TrialResult) -> TrialResult:
        """The result with what its gates were before and after it.

        Under strict, what was closed after it, or happened to the clocks meanwhile, fails it.
        """
        moved = clocks_moved(result.clock_step_ns or 0, result.suspended_ns)
        after = _closed_after(result.fingerprint_after, self.unasked)
        told = tuple((after | moved).values())
        judged = replace(
            result,
            fingerprint=result.fingerprint or self.found,
            gates_held_ns=self.held_ns,
            gates_closed=tuple(self.shut.values()) if self.found else None,
            gates_closed_after=told if result.fingerprint_after else None,
            gates_unverified=unverified(self.found, self.unasked) if self.found else None,
            models_unloaded=self.unloaded,
        )
        if self.trial.gates.policy != "strict" or result.outcome != "ok" or not told:
            return judged
        failure = GateClosed(f"when it had been measured: {'; '.join(told)}")
        return replace(
            judged,
            outcome="failed",
            reason=failure.reason,
            detail=failure.what,
            transient=failure.transient,
        )


def _closed_after(look: Fingerprint | None, unasked: Collection[str]) -> dict[str, str]:
    """Right after the trial the GPU's load is the trial's own, and so may be what is in use of its
    memory: only a list of programs tells whose it is."""
    if look is None:
        return {}
    listed = look.get(FOREIGN_MEMORY) is not None
    return closed(look, {GPU, *unasked} if listed else {GPU, GPU_USERS, *unasked})


def _size_bytes(engine: Engine, model: str) -> int | None:
    try:
        held = engine.models()
    except TrialError:
        return None
    return next((each.size_bytes for each in held if same_model(each.name, model)), None)
