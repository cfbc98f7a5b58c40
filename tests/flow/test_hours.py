"""Hours of a machine: trials wait for them, told in words; the owner changes them meanwhile."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders_flow import Fleet, experiment, until

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="no embedded engine is installed"
)

ENGINE = {"kind": "embedded"}
MODEL = "tiny-llama"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    fleet.write(experiment({}, engine=ENGINE, models=[MODEL], repeats=1, gates="record"))
    yield fleet
    fleet.clear()


def later(hours: int) -> str:
    """An hour of the day that is so far away, by the clock of this machine."""
    return f"{(time.localtime().tm_hour + hours) % 24:02d}"


def test_trials_wait_for_their_hours_and_go_on_when_they_are_taken_back(fleet: Fleet) -> None:
    hours = f"{later(3)}-{later(5)}"
    said = fleet("join", "--hours", hours).err
    assert f"trials begin here only within {hours}" in said
    assert f"   only {hours}" in fleet("plan", "configs/demo.yaml").out
    assert fleet("plan", "configs/demo.yaml", "--json").json()["machines"][0]["hours"] == hours
    running = fleet.start("submit", "configs/demo.yaml")
    why = f"waits until {later(3)}:00: measured here only {hours}"
    running.wait_for(why)
    until(lambda: why in fleet("status", "demo").out)
    [state] = fleet("status", "demo", "--json").json()[0]["states"]
    assert (state["state"], state["reason"], state["trials"]) == ("queued", why, 1)
    assert running.process.poll() is None
    assert fleet("leave").out == "trials begin here at any hour again\n"
    done = running.end()
    assert done.code == 0, done.err
    assert done.err.count(why) == 1
    assert fleet.rows("select outcome from trials") == [{"outcome": "ok"}]


def test_a_wait_is_interrupted_at_once_and_leaves_nothing(fleet: Fleet) -> None:
    fleet("join", "--hours", f"{later(3)}-{later(5)}")
    running = fleet.start("submit", "configs/demo.yaml")
    running.wait_for("waits until")
    running.interrupt()
    done = running.end()
    assert done.code == 130
    assert fleet.parquet() == []
    until(lambda: fleet.processes("fleet.worker") == [])


@pytest.mark.parametrize("hours", ["22", "25-7", "22-22", "nights"])
def test_hours_that_cannot_be_read_are_refused_with_an_example(fleet: Fleet, hours: str) -> None:
    said = fleet("join", "--hours", hours, code=2).err
    assert repr(hours) in said
    assert "fleet join --hours 22-07" in said
    assert "no part of a fleet runs here" in fleet("leave").out


def test_the_machine_s_own_time_zone_decides(fleet: Fleet) -> None:
    """At one moment it is within these hours in one zone and not in another."""
    utc = time.gmtime().tm_hour
    hours = f"{utc:02d}-{(utc + 2) % 24:02d}"
    fleet("join", "--hours", hours)
    far = fleet.start("submit", "configs/demo.yaml", env={"TZ": "FAR-12"})
    far.wait_for(f"measured here only {hours}")
    far.interrupt()
    far.end()
    assert "waits" not in fleet("submit", "configs/demo.yaml", env={"TZ": "UTC0"}).err
