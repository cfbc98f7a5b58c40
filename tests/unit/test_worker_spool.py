"""One machine that two homes send the same work: each gets its own results, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import pytest

from fleet import wiring
from fleet.app.home import Home
from fleet.folders import home_id
from fleet.model.event import Event, Finished
from fleet.model.experiment import SimulatedEngine
from fleet.model.gates import Gates
from fleet.model.measure import TrialResult
from fleet.model.script import MachineScript, ScriptedModel
from fleet.worker import NodeWorker
from tests import builders

MakeWorker = Callable[[str], NodeWorker]
ATTEMPTS = [builders.attempt(block=block, gates=Gates(policy="record")) for block in range(2)]
TINY = ScriptedModel(prefill_tokens_per_s=20_000, decode_tokens_per_s=2_000, load_s=0.01)
SCRIPT = MachineScript(chip="Test", memory_gb=16, gpu_memory_mb=8192, models={"tiny-llama": TINY})


@pytest.fixture
def worker_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorker]:
    """Make a worker of the same machine for the home of this id."""
    monkeypatch.setenv("FLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("fleet.worker.node_worker.awake", nullcontext)
    engine = SimulatedEngine(kind="simulated", machines={"laptop": SCRIPT})
    with ExitStack() as workers:

        def make(sender: str) -> NodeWorker:
            state = str(tmp_path / "node")
            spec = wiring.WorkerSpec(engine=engine, name="laptop", state=state, sender=sender)
            return workers.enter_context(closing(NodeWorker(spec)))

        yield make


def results(events: Iterator[Event]) -> list[TrialResult]:
    return [event.result for event in events if isinstance(event, Finished)]


def test_each_home_gets_its_own_results(worker_for: MakeWorker) -> None:
    """The first home vanishes before it has stored anything; the second asks for the same."""
    first = results(worker_for("home-a").run(ATTEMPTS))
    other = worker_for("home-b")
    second = results(other.run(ATTEMPTS))
    ids = [attempt.attempt_id for attempt in ATTEMPTS]
    assert [result.attempt_id for result in first] == ids
    assert [result.attempt_id for result in second] == ids
    assert first != second
    for result in second:
        other.acknowledge(result.attempt_id)
    assert results(worker_for("home-a").run(ATTEMPTS)) == first, "they wait for who asked for them"
    assert results(worker_for("home-b").run([])) == []


def test_a_home_has_one_id_and_reading_makes_none(tmp_path: Path) -> None:
    Home(tmp_path / "a", read_only=True)
    assert home_id(tmp_path / "a") == ""
    Home(tmp_path / "a")
    Home(tmp_path / "b")
    known = home_id(tmp_path / "a")
    assert len(known) == 16
    assert known != home_id(tmp_path / "b")
    Home(tmp_path / "a")
    assert home_id(tmp_path / "a") == known
