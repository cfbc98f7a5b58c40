"""Before a trial: the machine cools down, within a bound; one that tells nothing may rest."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.errors import EngineNotRestarted, Interrupted
from fleet.model.experiment import CoolDown
from fleet.model.machine import Fact, FactValue, Fingerprint
from fleet.runner.cooling import Cooling
from fleet.runner.trial_log import not_begun
from tests import builders


def found(**facts: FactValue) -> Fingerprint:
    told = tuple(Fact(name=name, value=value, source="test") for name, value in facts.items())
    return Fingerprint(facts=told, hardware_id="h", software_id="s", condition_id="c")


def cooled(wanted: CoolDown, looks: list[Fingerprint]) -> tuple[list[str], float | None]:
    """(what was said, seconds waited) of a machine that is looked at again and again."""
    left, last = iter(looks), looks[-1]
    cooling = Cooling(wanted, lambda: next(left, last), builders.SteppedClock(), threading.Event())
    said = list(cooling.wait())
    return said, None if cooling.waited_ns is None else cooling.waited_ns / 1e9


HEAVY, NOMINAL = found(thermal_class="heavy"), found(thermal_class="nominal")


def test_a_cool_machine_is_not_waited_for() -> None:
    assert cooled(CoolDown(), [NOMINAL]) == ([], 0)
    assert cooled(CoolDown(), [found(gpu_temperature_c=59.9)]) == ([], 0)
    assert cooled(CoolDown(thermal="heavy"), [HEAVY]) == ([], 0)


def test_a_hot_one_is_looked_at_until_it_is_cool() -> None:
    said, seconds = cooled(CoolDown(), [HEAVY, HEAVY, found(thermal_class="moderate"), NOMINAL])
    assert seconds == 6
    assert said == ["cooling down for at most 5m: thermal pressure heavy"]


@pytest.mark.parametrize("name", ["gpu_temperature_c", "cpu_temperature_c"])
def test_the_warmest_sensor_counts(name: str) -> None:
    hot = found(**{"thermal_class": "nominal", "gpu_temperature_c": 40.0, name: 71.6})
    said, seconds = cooled(CoolDown(below_c=65), [hot, found(**{name: 64})])
    assert (said, seconds) == (["cooling down for at most 5m: 72 C, not below 65"], 2)


def test_the_wait_has_a_bound_and_tells_how_it_goes_on() -> None:
    said, seconds = cooled(CoolDown(at_most="65s"), [HEAVY])
    assert seconds == 65
    assert said == [
        *["cooling down for at most 65s: thermal pressure heavy"] * 3,
        "not cool after 65s; measuring all the same: thermal pressure heavy",
    ]


def test_a_machine_that_tells_nothing_rests_only_where_that_is_asked_for() -> None:
    mute = found(thermal_class=None, chip="x")
    assert cooled(CoolDown(), [mute]) == ([], None)
    assert cooled(CoolDown(rest="10s"), [mute]) == (
        ["resting for 10s: this machine reports no temperature"],
        10,
    )
    assert cooled(CoolDown(rest="10s"), [NOMINAL]) == ([], 0), "it tells: no blind rest"


def test_a_class_of_another_name_tells_nothing() -> None:
    assert cooled(CoolDown(), [found(thermal_class="lukewarm")]) == ([], None)


@given(st.floats(-50, 150), st.floats(1, 120))
def test_hot_and_cool_are_one_line_apart(warm: float, bound: float) -> None:
    assert bool(CoolDown(below_c=bound).hot(found(cpu_temperature_c=warm))) == (warm >= bound)


def test_stop_ends_the_wait_at_once() -> None:
    stop = threading.Event()

    waiting = Cooling(CoolDown(), lambda: HEAVY, builders.StoppedClock(), stop).wait()
    next(waiting)
    assert list(waiting) == []
    assert stop.is_set()


@pytest.mark.parametrize("wrong", [{"at_most": "0s"}, {"at_most": "soon"}, {"below_c": 0}])
def test_bounds_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CoolDown.model_validate(wrong)


def test_what_ends_before_the_trial_is_a_result_too() -> None:
    attempt = builders.attempt()
    failed = not_begun(attempt, EngineNotRestarted("still the same"), builders.SteppedClock())
    assert (failed.outcome, failed.reason, failed.transient) == (
        "failed",
        "engine_not_restarted",
        True,
    )
    assert (failed.attempt_id, failed.detail) == (attempt.attempt_id, "still the same")
    assert (
        not_begun(attempt, Interrupted("stopped"), builders.SteppedClock()).outcome == "cancelled"
    )
