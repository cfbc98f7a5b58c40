"""Before a trial: the machine cools down, within a bound; effects only through ports."""

from __future__ import annotations

from collections.abc import Callable, Generator

from fleet.model.experiment import CoolDown
from fleet.model.machine import Fingerprint
from fleet.ports import Clock, Stop
from fleet.units import NS_PER_S

LOOK_EVERY_S = 2.0
SAY_EVERY_S = 30.0


def cooling(
    wanted: CoolDown, look: Callable[[], Fingerprint], clock: Clock, stop: Stop
) -> Generator[str, None, int | None]:
    """Waits until the machine is cool; tells what for, gives the ns waited at the end.

    None: the machine tells nothing of its heat, and no rest was asked for.
    """
    found, began_ns = look(), clock.monotonic_ns()
    if not wanted.tells(found):
        if wanted.rest is None:
            return None
        yield f"rests {wanted.rest}: it tells nothing of its heat"
        clock.sleep(wanted.rest_s, stop)
        return clock.monotonic_ns() - began_ns
    waited_s, said_s = 0.0, -SAY_EVERY_S
    while (why := wanted.hot(found)) and not stop.is_set():
        if waited_s >= wanted.at_most_s:
            yield f"not cool after {wanted.at_most}, measures all the same: {why}"
            break
        if waited_s - said_s >= SAY_EVERY_S:
            said_s = waited_s
            yield f"cools down, at most {wanted.at_most}: {why}"
        clock.sleep(min(LOOK_EVERY_S, wanted.at_most_s - waited_s), stop)
        found = look()
        waited_s = (clock.monotonic_ns() - began_ns) / NS_PER_S
    return round(waited_s * NS_PER_S)
