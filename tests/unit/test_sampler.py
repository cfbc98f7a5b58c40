"""The sampler's cadence, its gaps, what it leaves alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.clock import SystemClock
from fleet.model.experiment import Telemetry
from fleet.model.measure import Reading
from fleet.ports import Sample, Stop, TelemetryProbe
from fleet.telemetry.replay import Replay
from fleet.telemetry.sampler import IDLE_WINDOW, OWN_COST, STOP_S, Sampler, next_due_ns
from fleet.units import NS_PER_S
from tests import builders

LONG_S = 600.0
"""Only ever waited for where something is broken."""
ZERO_NS = 7 * NS_PER_S


@dataclass
class SteppedClock:
    """Goes on only where somebody sleeps; nobody sleeps past the end."""

    now_ns: int = ZERO_NS
    end_ns: int = ZERO_NS + 10 * NS_PER_S
    ended: threading.Event = field(default_factory=threading.Event)

    def unix_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def suspended_ns(self) -> int:
        return 0

    def sleep(self, seconds: float, stop: Stop) -> None:
        if self.now_ns + round(seconds * NS_PER_S) < self.end_ns:
            self.now_ns += round(seconds * NS_PER_S)
        else:
            self.ended.set()
            stop.wait(LONG_S)


@dataclass
class Scripted:
    """Each reading is what `answer` gives, or raises, for its number."""

    answer: Callable[[int], Sequence[Sample]]
    name: str = "scripted"
    pace: Literal["power", "state", "stream"] = "state"
    reads: int = 0
    closed: int = 0
    here: bool = True

    def available(self) -> bool:
        return self.here

    def read(self) -> Sequence[Sample]:
        self.reads += 1
        return self.answer(self.reads - 1)

    def close(self) -> None:
        self.closed += 1


def watts(value: float | None, source: str = "meter") -> list[Sample]:
    return [Sample(metric="cpu_power_w", value=value, source=source)]


def sampler(*probes: TelemetryProbe, clock: SteppedClock | SystemClock) -> Sampler:
    return Sampler(lambda asked: probes, clock, threading.Event())


TRIAL = builders.trial(telemetry=Telemetry(power_s=0.05, state_s=1.0, idle_s=0.5))


@contextmanager
def sampling(made: Sampler, trial: object = TRIAL) -> Iterator[list[Reading]]:
    readings: list[Reading] = []
    with made.sampling(trial, ZERO_NS, readings):  # type: ignore[arg-type]
        yield readings


def of(readings: Sequence[Reading], metric: str) -> list[Reading]:
    return [reading for reading in readings if reading.metric == metric]


def over_ten_seconds(probe: Scripted, clock: SteppedClock) -> list[Reading]:
    with sampling(sampler(probe, clock=clock)) as readings:
        assert clock.ended.wait(LONG_S)
    return readings


@given(
    due=st.integers(0, 10**12), period=st.integers(1, 10**10), late=st.integers(-(10**9), 10**12)
)
def test_the_next_reading_is_the_first_on_the_grid_that_is_still_to_come(
    due: int, period: int, late: int
) -> None:
    found = next_due_ns(due, period, due + late)
    assert (found - due) % period == 0
    assert found > due
    assert found > due + late
    assert found == due + period or found - period <= due + late


def test_readings_come_at_their_cadence_counted_from_the_trials_zero() -> None:
    readings = over_ten_seconds(Scripted(lambda n: watts(n)), SteppedClock())
    found = of(readings, "cpu_power_w")
    assert [r.offset_ns for r in found] == [second * NS_PER_S for second in [*range(10), 9]]
    assert [r.value for r in found] == list(range(11))


def test_a_slow_reading_is_followed_by_the_next_on_the_grid_not_by_a_burst() -> None:
    clock = SteppedClock()

    def slow_once(number: int) -> list[Sample]:
        if number == 2:
            clock.now_ns += round(3.4 * NS_PER_S)
        return watts(number)

    found = of(over_ten_seconds(Scripted(slow_once), clock), "cpu_power_w")
    assert [r.offset_ns / NS_PER_S for r in found] == [0, 1, 3.7, 6, 7, 8, 9, 9]


def test_a_failing_probe_leaves_one_gap_with_its_reason_and_is_asked_again() -> None:
    def fails_for_a_while(number: int) -> list[Sample]:
        if 3 <= number < 6:
            raise OSError("GPU is lost")
        return watts(number)

    readings = over_ten_seconds(Scripted(fails_for_a_while), SteppedClock())
    gaps = of(readings, "scripted_gap")
    assert [(r.offset_ns // NS_PER_S, r.value, r.source) for r in gaps] == [
        (3, None, "GPU is lost")
    ]
    assert [r.offset_ns // NS_PER_S for r in of(readings, "cpu_power_w")] == [
        *(0, 1, 2, 6, 7, 8, 9),
        9,
    ]


def test_what_cannot_be_told_is_kept_once_each_time_it_begins() -> None:
    values = [1.0, None, None, None, 2.0, None, None, 3.0, 3.0, 3.0, 3.0]
    probe = Scripted(lambda n: watts(values[n], "meter" if values[n] else "not supported"))
    found = [
        (r.value, r.source) for r in of(over_ten_seconds(probe, SteppedClock()), "cpu_power_w")
    ]
    none = (None, "not supported")
    assert found == [(1, "meter"), none, (2, "meter"), none, *[(3, "meter")] * 4]


class Hanging(Scripted):
    """Hangs in its second reading until it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        super().__init__(self._answer, name="hanging", pace="power")

    def _answer(self, number: int) -> list[Sample]:
        if number == 1:
            self.entered.set()
            self.let_go.wait(LONG_S)
        return watts(number)


def test_a_hanging_probe_holds_up_neither_the_trial_nor_the_others() -> None:
    clock, hanging = SystemClock(), Hanging()
    other = Scripted(watts_forever, name="other", pace="power")
    made = sampler(hanging, other, clock=clock)
    readings: list[Reading] = []
    with made.sampling(TRIAL, clock.monotonic_ns(), readings):
        assert hanging.entered.wait(LONG_S)
        seen = other.reads
        while other.reads < seen + 3:
            clock.sleep(0.01, threading.Event())
        before_ns = clock.monotonic_ns()
    assert clock.monotonic_ns() - before_ns < (STOP_S + 0.5) * NS_PER_S
    [gap] = of(readings, "hanging_gap")
    assert gap.value is None
    assert gap.source.startswith("no answer for ")
    assert of(readings, OWN_COST)[0].source == "other"

    again: list[Reading] = []
    with made.sampling(TRIAL, clock.monotonic_ns(), again):
        pass
    assert [r.source for r in of(again, "hanging_gap")] == [
        "has not answered since an earlier call"
    ]
    assert hanging.reads == 2
    hanging.let_go.set()


def watts_forever(number: int) -> list[Sample]:
    return watts(number)


def test_what_a_probe_says_after_the_end_is_not_in_the_readings() -> None:
    clock, hanging = SystemClock(), Hanging()
    made = sampler(hanging, clock=clock)
    readings: list[Reading] = []
    with made.sampling(TRIAL, clock.monotonic_ns(), readings):
        assert hanging.entered.wait(LONG_S)
    kept = list(readings)
    hanging.let_go.set()
    while hanging.closed == 0:
        clock.sleep(0.01, threading.Event())
    assert readings == kept


def test_an_idle_window_comes_first_where_power_can_be_read() -> None:
    clock = SystemClock()
    probe = Scripted(watts_forever, pace="power", name="meter")
    zero_ns = clock.monotonic_ns()
    readings: list[Reading] = []
    with sampler(probe, clock=clock).sampling(TRIAL, zero_ns, readings):
        entered_ns = clock.monotonic_ns() - zero_ns
    [window] = of(readings, IDLE_WINDOW)
    assert window.value is not None
    assert window.value >= 0.5
    assert window.offset_ns >= 0
    assert window.offset_ns + window.value * NS_PER_S <= entered_ns


def test_no_idle_window_where_no_power_can_be_read() -> None:
    assert of(over_ten_seconds(Scripted(watts_forever), SteppedClock()), IDLE_WINDOW) == []


def test_a_probe_that_is_not_there_leaves_nothing() -> None:
    probe = Scripted(watts_forever, here=False)
    with sampling(sampler(probe, clock=SteppedClock())) as readings:
        pass
    assert readings == []
    assert probe.reads == 0


def test_a_probe_that_cannot_even_be_looked_at_says_why() -> None:
    class Broken(Scripted):
        def available(self) -> bool:
            raise RuntimeError("no IOReport here")

        def read(self) -> Sequence[Sample]:
            raise RuntimeError("no IOReport here")

    readings = over_ten_seconds(Broken(watts_forever), SteppedClock())
    assert [r.source for r in of(readings, "scripted_gap")] == ["no IOReport here"]


def test_a_probe_that_hangs_while_it_is_looked_for_does_not_outlast_a_stop() -> None:
    let_go, ended, stop = threading.Event(), threading.Event(), threading.Event()
    clock = SystemClock()

    class Deaf(Scripted):
        def available(self) -> bool:
            stop.set()
            let_go.wait(LONG_S)
            ended.set()
            return True

    readings: list[Reading] = []
    made = Sampler(lambda asked: [Deaf(watts_forever)], clock, stop)
    before_ns = clock.monotonic_ns()
    with made.sampling(TRIAL, before_ns, readings):
        pass
    assert not ended.is_set()
    assert [r.source for r in of(readings, "scripted_gap")] == [
        "has not answered since an earlier call"
    ]
    let_go.set()


def test_a_trial_without_telemetry_is_not_read() -> None:
    probe = Scripted(watts_forever)
    made = sampler(probe, clock=SteppedClock())
    with sampling(made, builders.trial()) as readings:
        pass
    assert (probe.reads, readings) == (0, [])


def test_readings_are_kept_where_the_trial_fails() -> None:
    readings: list[Reading] = []
    clock = SteppedClock()

    def failing_trial() -> None:
        with sampler(Scripted(watts_forever), clock=clock).sampling(TRIAL, ZERO_NS, readings):
            assert clock.ended.wait(LONG_S)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing_trial()
    assert len(of(readings, "cpu_power_w")) == 11


def test_its_own_cost_is_among_the_readings_and_the_probe_is_closed() -> None:
    def works(number: int) -> list[Sample]:
        sum(range(20_000))
        return watts(number)

    probe = Scripted(works)
    readings = over_ten_seconds(probe, SteppedClock())
    [cost] = of(readings, OWN_COST)
    assert cost.value is not None
    assert cost.value > 0
    assert probe.closed == 1


def test_a_stream_that_breaks_is_begun_anew_after_a_while_not_at_once() -> None:
    def breaks(number: int) -> list[Sample]:
        raise EOFError("ended")

    probe = Scripted(breaks, pace="stream")
    over_ten_seconds(probe, SteppedClock(end_ns=ZERO_NS + 10 * NS_PER_S))
    assert probe.reads <= 11


def test_recorded_samples_come_again_at_their_own_times() -> None:
    clock = SteppedClock()
    recorded = [
        Sample(metric="gpu_board_power_w", value=w, source="recorded", at_ns=at_ns)
        for at_ns, w in ((0, 1.0), (400_000_000, 2.0), (1_500_000_000, 3.0), (99 * NS_PER_S, 4.0))
    ]
    replay = Replay(recorded, clock)
    at_once = builders.trial(telemetry=Telemetry(power_s=0.05, idle_s=0))
    with sampling(sampler(replay, clock=clock), at_once) as readings:
        assert clock.ended.wait(LONG_S)
    found = [(r.offset_ns, r.value) for r in of(readings, "gpu_board_power_w")]
    assert found == [(0, 1.0), (400_000_000, 2.0), (1_500_000_000, 3.0)]


def test_a_reading_that_cannot_be_is_a_gap_with_its_reason() -> None:
    clock = SteppedClock()
    odd = (450.0, math.inf, -118000.0, math.nan, 451.0)
    probe = Scripted(lambda number: watts(odd[min(number, len(odd) - 1)]))
    with sampling(sampler(probe, clock=clock)) as readings:
        assert clock.ended.wait(LONG_S)
    told = [(each.value, each.source) for each in readings if each.metric == "cpu_power_w"]
    assert told[:5] == [
        (450.0, "meter"),
        (None, "meter: out of range: inf W"),
        (None, "meter: out of range: -118000 W"),
        (None, "meter: out of range: nan W"),
        (451.0, "meter"),
    ]
