"""Holds a trial until its machine is in a state to be measured; effects only through ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence

from fleet.errors import EngineInUse, GateClosed, Interrupted, TrialError
from fleet.model.gates import GPU, GPU_USERS, HEAT, OTHER_MODELS, UNUSED_S, Resident, with_resident
from fleet.model.machine import Fingerprint
from fleet.ports import Clock, Engine, Stop
from fleet.runner.loaded import is_loaded_as_asked
from fleet.runner.visit import KEPT_S, LeftBehind, Visit
from fleet.units import NS_PER_S, show_span

__all__ = ["KEPT_S", "Gatekeeper", "LeftBehind", "Visit", "Watch"]

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0
SETTLES_S = 1.0
"""Drivers give the load of a GPU as a mean over up to so long, and a model that was taken out may
take as long to leave the GPU's memory: fleet's own last trial may be in both."""
SETTLING = frozenset({GPU, GPU_USERS})


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
        """One look at the machine, with the models that its engine holds; None: not asked.

        A scripted machine may tell them itself.
        """
        found = self._look()
        if engine is None or found.fact("resident_models") is not None:
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
        self._settle(visit, self._waits_for(visit))
        yield from self._wait(visit, began_ns)
        if visit.shut:
            self._go_on(visit)

    def _settle(self, visit: Visit, shut: Mapping[str, str]) -> None:
        """Looks once more where nothing but a trace of what has just ended may be in the way."""
        if shut and shut.keys() <= SETTLING:
            self._clock.sleep(SETTLES_S, self._stop)
            self._see(visit)

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
            self._settle(visit, visit.shut)
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
        if not visit.trial.gates.residents_are_mine:
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
