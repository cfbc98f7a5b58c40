import multiprocessing
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet.errors import StoreUnusable
from fleet.ledger.journal import Ledger, LeftOutRow
from tests import builders


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(tmp_path / "home" / "ledger.sqlite")) as ledger:
        yield ledger


def test_a_trial_goes_from_queued_to_done(ledger: Ledger) -> None:
    attempts = [builders.attempt(block=block) for block in range(3)]
    submission = ledger.begin(builders.request(), session=0)
    ledger.enqueue(submission, attempts)
    ledger.running(attempts[0])
    ledger.finished(builders.result(attempts[0]))
    ledger.not_needed([attempts[2].trial.trial_id], "known closely enough")
    (status,) = ledger.status()
    states = {(row.state, row.reason): row.trials for row in status.states}
    assert states == {("done", ""): 1, ("queued", ""): 1, ("not needed", "known closely enough"): 1}


def test_a_trial_that_is_held_says_why_until_it_runs(ledger: Ledger) -> None:
    attempts = [builders.attempt(block=block) for block in range(2)]
    submission = ledger.begin(builders.request(), session=0)
    ledger.enqueue(submission, attempts)

    def states() -> dict[tuple[str, str], int]:
        (status,) = ledger.status()
        return {(row.state, row.reason): row.trials for row in status.states}

    ledger.held(attempts[0], "waits until 22:00")
    assert states() == {("queued", "waits until 22:00"): 1, ("queued", ""): 1}
    ledger.running(attempts[0])
    assert states() == {("running", ""): 1, ("queued", ""): 1}
    ledger.not_needed([attempts[1].trial.trial_id], "known closely enough")
    ledger.held(attempts[1], "waits")
    assert ("not needed", "known closely enough") in states(), "it was on its way when dropped"


def test_a_failure_keeps_its_reason(ledger: Ledger) -> None:
    attempt = builders.attempt()
    submission = ledger.begin(builders.request(), session=0)
    ledger.enqueue(submission, [attempt])
    ledger.finished(builders.result(attempt, outcome="failed", reason="out_of_memory", detail="x"))
    ledger.leave_out(
        submission, "demo", [LeftOutRow(machine="m", what="w", clause="too big", mend="smaller")]
    )
    ledger.end(submission, "failed")
    (status,) = ledger.status("demo")
    assert [(row.state, row.reason) for row in status.states] == [("failed", "out_of_memory: x")]
    assert status.left_out[0].clause == "too big"
    assert status.outcome == "failed"
    assert not status.alive


def _hold(path: str, begun: "multiprocessing.synchronize.Event") -> None:
    ledger = Ledger(Path(path))
    ledger.begin(builders.request(), session=0)
    begun.set()
    multiprocessing.Event().wait()


def test_one_coordinator_per_experiment_and_its_death_frees_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    path = tmp_path / "ledger.sqlite"
    other = context.Process(target=_hold, args=(str(path), begun))
    other.start()
    with closing(Ledger(path)) as ledger:
        try:
            assert begun.wait(30)
            assert ledger.status()[0].alive
            assert ledger.coordinator("demo") == other.pid
            with pytest.raises(StoreUnusable, match="demo is being measured already"):
                ledger.begin(builders.request(), session=0)
        finally:
            other.kill()
            other.join()
        assert not ledger.status()[0].alive
        ledger.begin(builders.request(), session=0)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database, but long enough to be looked at" * 50)
    with pytest.raises(StoreUnusable, match="the ledger cannot be opened"):
        Ledger(path)
