"""Hold a trial until its machine is in a state to be measured; effects only through ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from fleet.errors import EngineInUse, GateClosed, Interrupted, TrialError
from fleet.model.gates import GPU, GPU_USERS, HEAT, OTHER_MODELS, UNUSED_S, Resident, with_resident
from fleet.model.machine import Fingerprint
from fleet.ports import Clock, Engine, Stop
from fleet.runner.loaded import is_loaded_as_required
from fleet.runner.visit import Visit
from fleet.units import NS_PER_S, show_span

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0
SETTLES_S = 1.0
"""Drivers report the load of a GPU as a mean over up to this time, and an unloaded model may take
as long to leave the GPU's memory: both may still show fleet's own last trial."""
SETTLING = frozenset({GPU, GPU_USERS})


class ModelUse:
    """How long each model in memory has been idle: each use of a model postpones its expiry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._idle: dict[str, tuple[int | None, int]] = {}
        self.resident: Sequence[Resident] = ()
        """The models in memory at the last look."""

    def see(self, resident: Sequence[Resident]) -> None:
        """Note the models in memory now."""
        now_ns, now_unix_ns = self._clock.monotonic_ns(), self._clock.unix_ns()
        before, self._idle = self._idle, {}
        for model in resident:
            expires_ns = model.expires_unix_ns
            was_ns, since_ns = before.get(model.name, (None, now_ns))
            # A model past its expiry is still in memory only because it is answering.
            idle = expires_ns is not None and expires_ns == was_ns and expires_ns > now_unix_ns
            self._idle[model.name] = expires_ns, since_ns if idle else now_ns
        self.resident = resident

    def unused_s(self, model: Resident) -> float:
        """Return for how long the model is known to be idle."""
        _, since_ns = self._idle[model.name]
        return (self._clock.monotonic_ns() - since_ns) / NS_PER_S


class Gatekeeper:
    """Keeps the gates of one machine over all its trials."""

    def __init__(
        self,
        look: Callable[[], Fingerprint],
        clock: Clock,
        stop: Stop,
        *,
        may_evict: bool = False,
    ) -> None:
        """`may_evict`: the owner allows fleet to unload models that are in use."""
        self._look, self._clock, self._stop = look, clock, stop
        self._may_evict = may_evict
        self._use = ModelUse(clock)
        self._stayed: set[str] = set()
        """Gates that stayed closed for a whole wait and have not been open since."""

    def look(self, engine: Engine | None) -> Fingerprint:
        """Look at the machine, and at the models that its engine holds. None: leave those out.

        A scripted machine may report its models itself.
        """
        fingerprint = self._look()
        if engine is None or fingerprint.fact("resident_models") is not None:
            return fingerprint
        try:
            resident = engine.resident()
        except TrialError as problem:
            return with_resident(fingerprint, None, f"engine: {problem.what}")
        self._use.see(resident)
        return with_resident(fingerprint, resident, "engine")

    def hold(self, visit: Visit) -> Iterator[str]:
        """Wait until the gates are open, or as long as the policy says; yield the reasons.

        Raises GateClosed, EngineInUse, Interrupted.
        """
        visit.uses_loaded = is_loaded_as_required(visit.trial, visit.engine)
        self._see(visit)
        self._unload_leftover(visit)
        self._unload_own(visit)
        began_ns = self._clock.monotonic_ns()
        self._settle(visit, self._reasons_to_wait(visit))
        yield from self._wait(visit, began_ns)
        if visit.closed_gates:
            self._pass_closed(visit)

    def _settle(self, visit: Visit, reasons: Mapping[str, str]) -> None:
        """Look once more if every reason may be a trace of what has just ended."""
        if reasons and reasons.keys() <= SETTLING:
            self._clock.sleep(SETTLES_S, self._stop)
            self._see(visit)

    def _see(self, visit: Visit) -> None:
        visit.see(self.look(visit.owners))
        self._stayed &= set(visit.closed_gates)

    def _reasons_to_wait(self, visit: Visit) -> dict[str, str]:
        """Return the closed gates that are worth a wait.

        A gate that stayed closed for a whole wait is not waited for again at each trial, and the
        experiment's own rule for cooling down has already waited for heat.
        """
        gates, closed = visit.trial.gates, visit.closed_gates
        if gates.policy != "wait":
            return dict(closed) if gates.policy == "strict" else {}
        skipped = self._stayed | ({HEAT} if visit.trial.cool_down else set())
        return {name: why for name, why in closed.items() if name not in skipped}

    def _wait(self, visit: Visit, began_ns: int) -> Iterator[str]:
        gates, since = visit.trial.gates, _time(self._clock.unix_ns())
        waited_s, reported_s, last = 0.0, 0.0, set[str]()
        while (reasons := self._reasons_to_wait(visit)) and waited_s < gates.at_most_s:
            if set(reasons) != last or waited_s - reported_s >= SAY_EVERY_S:
                last, reported_s = set(reasons), waited_s
                yield f"waiting since {since}, at most {gates.at_most}: {_in_words(reasons)}"
            self._clock.sleep(min(LOOK_EVERY_S, gates.at_most_s - waited_s), self._stop)
            if self._stop.is_set() or not visit.is_wanted():
                raise Interrupted(f"stopped while it was waiting: {visit.why()}")
            self._see(visit)
            waited_s = (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            visit.held_ns = round(waited_s * NS_PER_S)
        if reasons and gates.policy == "wait":
            yield f"not ready after {gates.at_most}; measuring under a label: {visit.why()}"
            self._stayed |= reasons.keys() - {OTHER_MODELS}

    def _pass_closed(self, visit: Visit) -> None:
        """Go on although gates are closed: make room if that is allowed, or fail if need be."""
        strict = visit.trial.gates.policy == "strict"
        if strict and visit.closed_gates.keys() != {OTHER_MODELS}:
            raise GateClosed(_still_closed(visit))
        if OTHER_MODELS in visit.closed_gates:
            self._make_room(visit)
        if strict:
            self._see(visit)
            self._settle(visit, visit.closed_gates)
            if visit.closed_gates:
                raise GateClosed(_still_closed(visit))

    def _make_room(self, visit: Visit) -> None:
        """Unload the models that have been idle for long enough; raise EngineInUse for others."""
        resident = self._use.resident
        for model in () if self._may_evict else resident:
            unused_s = self._use.unused_s(model)
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

    def _unload_own(self, visit: Visit) -> None:
        """Unload all models if the user says that they are the user's own."""
        if not visit.trial.gates.residents_are_mine:
            return
        models = tuple(model.name for model in visit.engine.resident())
        for model in models:
            visit.engine.unload(model)
        visit.unloaded = models
        if models:
            self._see(visit)

    def _unload_leftover(self, visit: Visit) -> None:
        """Unload the model that a trial of fleet left in memory when it was cut off."""
        leftover, now_unix_ns = visit.leftover, self._clock.unix_ns()
        if leftover is None or OTHER_MODELS not in visit.closed_gates:
            return
        models = [model for model in self._use.resident if leftover.is_it(model, now_unix_ns)]
        for model in models:
            visit.engine.unload(model.name)
        if models:
            self._see(visit)


def _in_words(reasons: Mapping[str, str]) -> str:
    """Say why the trial waits, and what to type to go on at once."""
    why = "; ".join(reasons.values())
    if OTHER_MODELS in reasons:
        return f"{why}   (ollama stop NAME unloads it)"
    return f"{why}   (--gates record measures at once)"


def _still_closed(visit: Visit) -> str:
    held = show_span(visit.held_ns / NS_PER_S)
    return f"waited for {held}: {visit.why()}; --gates wait measures all the same, under a label"


def _time(unix_ns: int) -> str:
    return time.strftime("%H:%M", time.localtime(unix_ns / NS_PER_S))
