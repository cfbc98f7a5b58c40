"""Wait for an engine that does not answer: it may be starting, or be replaced by a newer one."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.errors import EngineUnreachable, Interrupted, TrialError
from fleet.ports import Clock, Stop
from fleet.runner.visit import Visit
from fleet.units import NS_PER_S, show_span

PATIENCE_S = 60.0
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
"""The time between two looks doubles from the first wait up to this."""


class EngineWatch:
    """Whether the engine of one machine answers, over all its trials."""

    def __init__(self, clock: Clock, stop: Stop) -> None:
        self._clock, self._stop = clock, stop
        self.given_up: EngineUnreachable | None = None
        """Why nothing more can be measured here now: the engine was silent for PATIENCE_S."""

    def wait(self, visit: Visit) -> Iterator[str]:
        """Wait until the engine of this visit answers; yield the reason.

        Raises EngineUnreachable, Interrupted.
        """
        self.given_up = None
        began_ns, wait_s, reason = self._clock.monotonic_ns(), FIRST_WAIT_S, ""
        while problem := _silence(visit):
            left_s = PATIENCE_S - (self._clock.monotonic_ns() - began_ns) / NS_PER_S
            if left_s <= 0:
                self.given_up = problem
                raise problem
            if problem.what != reason:
                reason = problem.what
                yield f"waiting, at most {show_span(PATIENCE_S)}: {reason}"
            self._clock.sleep(min(wait_s, left_s), self._stop)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            if self._stop.is_set() or not visit.is_wanted():
                raise Interrupted(f"stopped while it was waiting: {reason}")


def _silence(visit: Visit) -> EngineUnreachable | None:
    """Return why the engine does not answer; an engine of the trial's own is not started yet."""
    if visit.own_engine:
        return None
    try:
        visit.engine.resident()
    except EngineUnreachable as problem:
        return problem
    except TrialError:
        pass  # that is an answer; what it spoils tells so itself
    return None
