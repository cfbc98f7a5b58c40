"""Holds a trial until its machine is in a state to be measured; effects only through ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace

from fleet.errors import EngineInUse, GateClosed, Interrupted, TrialError
from fleet.model.gates import (
    GPU,
    HEAT,
    OTHER_MODELS,
    UNUSED_S,
    Resident,
    clocks_moved,
    closed,
    unverified,
    with_resident,
)
from fleet.model.machine import Fingerprint, full_model_name
from fleet.model.measure import TrialResult
from fleet.model.trial import Trial
from fleet.ports import Clock, Engine, Stop
from fleet.runner.loaded import is_loaded_as_asked
from fleet.units import NS_PER_S, show_span

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0
SETTLES_S = 1.0
"""Drivers give the load of a GPU as a mean over up to so long: fleet's own last trial may be in."""
KEPT_S = 1800.0
"""Engines keep what fleet has loaded for so long after its last use."""


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

    @property
    def owners(self) -> Engine | None:
        """The engine whose models in memory are in the way."""
        return None if self.own_engine else self.engine

    @property
    def unasked(self) -> Collection[str]:
        return {OTHER_MODELS} if self.own_engine or self.takes_loaded else ()

    def see(self, found: Fingerprint) -> None:
        """Under strict a gate that cannot be told is a closed one."""
        self.found, self.shut = found, closed(found, self.unasked)
        if self.trial.gates.policy == "strict":
            untold = unverified(found, self.unasked)
            self.shut |= {name: f"{name} cannot be told" for name in untold}

    def why(self) -> str:
        return "; ".join(self.shut.values())

    def judged(self, result: TrialResult) -> TrialResult:
        """The result with what its gates were before and after it.

        Under strict, what was closed after it, or happened to the clocks meanwhile, fails it.
        """
        moved = clocks_moved(result.clock_step_ns or 0, result.suspended_ns)
        # Right after the trial the GPU's load is the trial's own.
        unasked = {GPU, *self.unasked}
        after = closed(result.fingerprint_after, unasked) if result.fingerprint_after else {}
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
        if full_model_name(resident.name) != full_model_name(self.model) or expires_ns is None:
            return False
        kept_ns = round(KEPT_S * NS_PER_S)
        return self.unix_ns + kept_ns <= expires_ns <= now_unix_ns + kept_ns


class Watch:
    """How long nobody has used each model in memory: each use moves the time at which it goes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._still: dict[str, tuple[int | None, int]] = {}
        self.resident: Sequence[Resident] = ()
        """At the last look."""

    def see(self, resident: Sequence[Resident]) -> None:
        now_ns, now_unix_ns = self._clock.monotonic_ns(), self._clock.unix_ns()
        before, self._still = self._still, {}
        for model in resident:
            expires_ns = model.expires_unix_ns
            was_ns, since_ns = before.get(model.name, (None, now_ns))
            # One past its time is still there only because it is answering.
            still = expires_ns is not None and expires_ns == was_ns and expires_ns > now_unix_ns
            self._still[model.name] = expires_ns, since_ns if still else now_ns
        self.resident = resident

    def unused_s(self, model: Resident) -> float:
        _, since_ns = self._still[model.name]
        return (self._clock.monotonic_ns() - since_ns) / NS_PER_S


class Gatekeeper:
    """Of one machine, over all its trials. `look` tells what the machine itself is."""

    def __init__(
        self,
        look: Callable[[], Fingerprint],
        clock: Clock,
        stop: Stop,
        *,
        may_evict: bool = False,
    ) -> None:
        """`may_evict`: the owner allows that models in use are taken out of memory."""
        self._look, self._clock, self._stop = look, clock, stop
        self._may_evict = may_evict
        self._watch = Watch(clock)
        self._stayed: set[str] = set()
        """Gates that stayed closed as long as a trial may be held, and were not open since."""

    def look(self, engine: Engine | None) -> Fingerprint:
        """One look at the machine, with the models that its engine holds; None: not asked."""
        found = self._look()
        if engine is None:
            return found
        try:
            resident = engine.resident()
        except TrialError as problem:
            return with_resident(found, None, f"engine: {problem.what}")
        self._watch.see(resident)
        return with_resident(found, resident, "engine")

    def hold(self, visit: Visit) -> Generator[str, None, None]:
        """Until the gates are open, or for as long as the policy says; tells what it waits for.

        Raises GateClosed, EngineInUse, Interrupted.
        """
        visit.takes_loaded = is_loaded_as_asked(visit.trial, visit.engine)
        self._see(visit)
        self._take_out_own(visit)
        self._take_out_users(visit)
        began_ns = self._clock.monotonic_ns()
        if set(self._waits_for(visit)) == {GPU}:
            self._clock.sleep(SETTLES_S, self._stop)
            self._see(visit)
        yield from self._wait(visit, began_ns)
        if visit.shut:
            self._go_on(visit)

    def _see(self, visit: Visit) -> None:
        visit.see(self.look(visit.owners))
        self._stayed &= set(visit.shut)

    def _waits_for(self, visit: Visit) -> dict[str, str]:
        """What stayed closed for a whole wait is not waited for again, trial after trial, and
        heat is not where the experiment has said how to wait for it."""
        gates = visit.trial.gates
        if gates.policy != "wait":
            return dict(visit.shut) if gates.policy == "strict" else {}
        cooled = {HEAT} if visit.trial.cool_down else set()
        return {name: why for name, why in visit.shut.items() if name not in self._stayed | cooled}

    def _wait(self, visit: Visit, began_ns: int) -> Generator[str, None, None]:
        gates, since_unix_ns = visit.trial.gates, self._clock.unix_ns()
        waited_s, said_s, said = 0.0, 0.0, set[str]()
        while (waits := self._waits_for(visit)) and waited_s < gates.at_most_s:
            if set(waits) != said or waited_s - said_s >= SAY_EVERY_S:
                said, said_s = set(waits), waited_s
                yield f"held since {_time(since_unix_ns)}, at most {gates.at_most}: {_told(waits)}"
            self._clock.sleep(min(LOOK_EVERY_S, gates.at_most_s - waited_s), self._stop)
            if self._stop.is_set() or not visit.wanted():
                raise Interrupted(f"stopped while it was held: {visit.why()}")
            self._see(visit)
            waited_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            visit.held_ns = round(waited_s * NS_PER_S)
        if waits and gates.policy == "wait":
            yield f"not ready after {gates.at_most}, measures under a label: {visit.why()}"
            self._stayed |= waits.keys() - {OTHER_MODELS}

    def _go_on(self, visit: Visit) -> None:
        """With closed gates: makes room where that is allowed, and fails where it must."""
        strict = visit.trial.gates.policy == "strict"
        if strict and visit.shut.keys() != {OTHER_MODELS}:
            raise GateClosed(_not_opened(visit))
        if OTHER_MODELS in visit.shut:
            self._make_room(visit)
        if strict:
            self._see(visit)
            if visit.shut:
                raise GateClosed(_not_opened(visit))

    def _make_room(self, visit: Visit) -> None:
        """Takes out what nobody has used for long enough; raises EngineInUse for the rest."""
        resident = self._watch.resident
        for model in () if self._may_evict else resident:
            unused_s = self._watch.unused_s(model)
            if unused_s < UNUSED_S:
                raise EngineInUse(
                    f"{model.name} is in memory, and may have been used in the last "
                    f"{show_span(UNUSED_S)} (watched for {show_span(unused_s)}); when nobody needs "
                    f"it: ollama stop {model.name}, and where it is your own: --mine",
                    "measure at other hours, or let fleet do it: fleet join --allow restart-ollama",
                )
        for model in resident:
            visit.engine.unload(model.name)
        visit.unloaded = tuple(model.name for model in resident)

    def _take_out_users(self, visit: Visit) -> None:
        """All models in memory, where the user says that they are the user's own."""
        if not visit.trial.gates.mine:
            return
        models = tuple(model.name for model in visit.engine.resident())
        for model in models:
            visit.engine.unload(model)
        visit.unloaded = models
        if models:
            self._see(visit)

    def _take_out_own(self, visit: Visit) -> None:
        left, now_unix_ns = visit.left_behind, self._clock.unix_ns()
        if left is None or OTHER_MODELS not in visit.shut:
            return
        own = [model for model in self._watch.resident if left.is_it(model, now_unix_ns)]
        for model in own:
            visit.engine.unload(model.name)
        if own:
            self._see(visit)


def _told(waits: dict[str, str]) -> str:
    """Why, and what to type to go on at once."""
    why = "; ".join(waits.values())
    if OTHER_MODELS in waits:
        return f"{why}   (ollama stop NAME takes it out)"
    return f"{why}   (--gates record measures at once)"


def _not_opened(visit: Visit) -> str:
    held = show_span(visit.held_ns / NS_PER_S)
    return f"held for {held}: {visit.why()}; --gates wait measures all the same, under a label"


def _time(unix_ns: int) -> str:
    return time.strftime("%H:%M", time.localtime(unix_ns / NS_PER_S))
