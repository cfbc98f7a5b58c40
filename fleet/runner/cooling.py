"""Let the machine cool down before a trial, within a bound; effects only through ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fleet.model.experiment import CoolDown
from fleet.model.machine import Fingerprint
from fleet.ports import Clock, Stop
from fleet.units import NS_PER_S

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0


class Cooling:
    """One wait for a cool machine."""

    def __init__(
        self, rule: CoolDown, look: Callable[[], Fingerprint], clock: Clock, stop: Stop
    ) -> None:
        self._rule, self._look, self._clock, self._stop = rule, look, clock, stop
        self.waited_ns: int | None = None
        """Length of the wait. None: the machine reports no heat, and no rest is configured."""

    def wait(self) -> Iterator[str]:
        """Wait until the machine is cool; yield the reasons for the wait."""
        fingerprint, began_ns = self._look(), self._clock.monotonic_ns()
        if self._rule.tells(fingerprint):
            self.waited_ns = 0
            yield from self._cool(fingerprint, began_ns)
        elif self._rule.rest is not None:
            yield f"resting for {self._rule.rest}: this machine reports no temperature"
            self._clock.sleep(self._rule.rest_s, self._stop)
            self.waited_ns = self._clock.monotonic_ns() - began_ns

    def _cool(self, fingerprint: Fingerprint, began_ns: int) -> Iterator[str]:
        rule, waited_s, said_s = self._rule, 0.0, -SAY_EVERY_S
        while (why := rule.hot(fingerprint)) and not self._stop.is_set():
            if waited_s >= rule.at_most_s:
                yield f"not cool after {rule.at_most}; measuring all the same: {why}"
                return
            if waited_s - said_s >= SAY_EVERY_S:
                said_s = waited_s
                yield f"cooling down for at most {rule.at_most}: {why}"
            self._clock.sleep(min(LOOK_EVERY_S, rule.at_most_s - waited_s), self._stop)
            fingerprint = self._look()
            self.waited_ns = self._clock.monotonic_ns() - began_ns
            waited_s = self.waited_ns / NS_PER_S
