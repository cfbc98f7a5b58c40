"""The servers of one scripted machine: one machine, whichever of them measures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from fleet.clock import SystemClock
from fleet.engines.simulated.engine import Simulated
from fleet.engines.simulated.host import SimulatedHost
from fleet.errors import EngineUnreachable
from fleet.model.measure import Ask
from fleet.model.script import MachineScript, ScriptedModel, ScriptedPower, Throttle
from fleet.ports import Engine, OwnEngine

NEVER = threading.Event()
HOT = {"heat": {"heat_ns": 300e9, "throttled": 1.0}}
"""Five minutes from cool."""
SPEEDS = {"prefill_tokens_per_s": 10_000.0, "decode_tokens_per_s": 400.0, "load_s": 0.0}
SCRIPT = MachineScript(
    chip="Test",
    memory_gb=16,
    gpu_memory_mb=8192,
    throttle=Throttle(after_s=600, to=0.5),
    power=ScriptedPower(idle_w=10, prefill_w=1000, decode_w=1000),
    models={
        "tiny": ScriptedModel(**SPEEDS),
        "later": ScriptedModel(**SPEEDS, present=False),
    },
)


@pytest.fixture
def host() -> SimulatedHost:
    return SimulatedHost(lambda: SCRIPT, "alpha", SystemClock())


@pytest.fixture
def owners(host: SimulatedHost) -> Iterator[Simulated]:
    owners = host.start_owners()
    yield owners
    owners.close()


def own(host: SimulatedHost) -> OwnEngine:
    return host.start({"OLLAMA_FLASH_ATTENTION": "1"}, "trial-1-0", NEVER)


def ask(engine: Engine, tokens: int) -> None:
    options = {"num_ctx": 1024, "num_predict": tokens, "seed": 1}
    assert engine.ask(Ask(model="tiny", api="generate", prompt="a", options=options), NEVER).chunks


def test_a_server_for_a_trial_begins_on_the_machine_as_it_is(
    host: SimulatedHost, owners: Simulated
) -> None:
    """As warm as the owner's work has made it, with all that was pulled."""
    owners.pull("later", lambda _: None, NEVER)
    owners.go_on(HOT)
    started = own(host)
    try:
        assert host.thermal_class() == "heavy"
        assert {model.name for model in started.engine.models()} == {"tiny:latest", "later:latest"}
    finally:
        started.close()


def test_what_a_trial_heated_stays_warm_after_its_server(
    host: SimulatedHost, owners: Simulated
) -> None:
    started = own(host)
    assert isinstance(started.engine, Simulated)
    started.engine.go_on(HOT)
    assert (host.thermal_class(), owners.thermal_class()) == ("heavy", "nominal")
    started.close()
    assert host.thermal_class() == owners.thermal_class() == "heavy"


def test_power_is_that_of_the_server_that_measures(host: SimulatedHost, owners: Simulated) -> None:
    """The work of the owner's answering is not in what the other has used since its start."""
    ask(owners, 60)
    _, owners_joules = host.power()
    began = time.monotonic()
    started = own(host)
    try:
        _, before = host.power()
        ask(started.engine, 100)
        _, after = host.power()
    finally:
        started.close()
    took = time.monotonic() - began
    assert None not in (owners_joules, before, after)
    assert (before or 0) <= 10 * took < 100 < (owners_joules or 0)
    assert (after or 0) - (before or 0) == pytest.approx(990 * 0.25, rel=0.1, abs=10 * took)
    assert (host.power()[1] or 0) >= (owners_joules or 0)


def test_a_server_that_died_is_closed_all_the_same(host: SimulatedHost, owners: Simulated) -> None:
    started = own(host)
    started.engine.close()
    started.close()
    assert host.power()[0] == 10


def test_nothing_is_read_before_there_is_a_server() -> None:
    host = SimulatedHost(lambda: SCRIPT, "alpha", SystemClock())
    assert host.thermal_class() is None
    with pytest.raises(EngineUnreachable):
        host.power()
