import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet.app.cancel import cancel
from fleet.errors import StoreUnusable
from fleet.ledger.journal import Ledger
from fleet.ledger.opening import VERSION
from fleet.ledger.rows import LeftOutRow, MachineRow, Origin
from fleet.plan.entries import QueueEntry
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
        submission, "demo", [LeftOutRow(machine="m", what="w", clause="too big", hint="smaller")]
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
            assert begun.wait(600)
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


def damage_pages(path: Path) -> None:
    """Leave the schema readable, and no page after it."""
    content = bytearray(path.read_bytes())
    page = int.from_bytes(content[16:18], "big")
    assert len(content) > 3 * page
    content[page:] = b"\xab" * (len(content) - page)
    path.write_bytes(content)


def test_a_damaged_page_is_one_message_wherever_the_ledger_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        ledger.begin(builders.request())
    damage_pages(path)
    with closing(Ledger(path)) as ledger:
        for read in (
            ledger.status,
            lambda: ledger.account(1),
            lambda: ledger.promised(2),
            lambda: ledger.last_session("demo"),
            lambda: ledger.machines_of("demo", 0),
            lambda: ledger.request("demo"),
            lambda: ledger.begin(builders.request()),
        ):
            with pytest.raises(StoreUnusable, match="the ledger cannot be read") as caught:
                read()
            assert f"mv {path} {path}.bad" in caught.value.hint
    with pytest.raises(StoreUnusable, match="the ledger cannot be read"):
        cancel(tmp_path, "demo")


def test_a_new_ledger_is_its_user_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "home" / "ledger.sqlite"
    with closing(Ledger(path)) as ledger:
        ledger.begin(builders.request())
        files = [file for file in path.parent.iterdir() if file.is_file()]
        assert {file.stat().st_mode & 0o077 for file in files} == {0}
    folders = (path.parent.parent, path.parent, path.parent / "running")
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_submission_is_there_from_its_first_moment_with_who_asked(ledger: Ledger) -> None:
    origin = Origin(submitter="me@laptop", command="fleet submit x.yaml", log="/tmp/x.log")
    submission = ledger.begin(builders.request(), origin=origin)
    (status,) = ledger.status("demo")
    assert (status.state, status.trials_asked, status.outcome) == ("starting", None, None)
    assert (status.submitter, status.command, status.log) == (
        "me@laptop",
        "fleet submit x.yaml",
        "/tmp/x.log",
    )
    ledger.enter(submission, "waiting", "m is measuring other since 14:02")
    (status,) = ledger.status("demo")
    assert (status.state, status.reason) == ("waiting", "m is measuring other since 14:02")
    ledger.end(submission, "failed", "no machine is there")
    (status,) = ledger.status("demo")
    assert (status.state, status.outcome, status.reason) == (
        "ended",
        "failed",
        "no machine is there",
    )


def test_each_machine_keeps_its_last_state_and_reason(ledger: Ledger) -> None:
    submission = ledger.begin(builders.request())
    ledger.put_machines(
        submission,
        [
            MachineRow(machine="a", state="busy", reason="a is measuring other"),
            MachineRow(machine="b", state="absent", reason="it is off", hint="fleet join HEAD"),
        ],
    )
    ledger.put_machines(submission, [MachineRow(machine="a", machine_id="id-a", state="planned")])
    (status,) = ledger.status()
    assert status.machines == (
        MachineRow(machine="a", machine_id="id-a", state="planned"),
        MachineRow(machine="b", state="absent", reason="it is off", hint="fleet join HEAD"),
    )


def test_the_account_is_that_of_one_submission(ledger: Ledger) -> None:
    """`asked` comes from elsewhere: where the rows do not make it up, the account says so."""
    entries = [QueueEntry(trial=builders.trial(block=block), state="queued") for block in range(3)]
    canary = QueueEntry(trial=builders.trial(block=9, role="canary"), state="queued")
    submission = ledger.begin(builders.request())
    ledger.ask(submission, 0, 4, [*entries, canary])
    assert ledger.account(submission).unaccounted == 1
    clause = LeftOutRow(machine="m", what="", clause="too long", hint="", trials=1)
    ledger.leave_out(submission, "demo", [clause])
    account = ledger.account(submission)
    assert (account.total, account.unaccounted) == (4, 0)
    assert (account.count("waiting"), account.count("left out")) == (3, 1)
    (status,) = ledger.status()
    assert sum(row.trials for row in status.states if row.canary) == 1


def test_what_was_measured_before_keeps_its_date_and_its_reason(ledger: Ledger) -> None:
    attempt = builders.attempt()
    submission = ledger.begin(builders.request())
    ledger.enqueue(submission, [attempt])
    ledger.finished(builders.result(attempt, outcome="failed", reason="out_of_memory", detail="x"))
    (before,) = ledger.status()[0].states
    ledger.ask(submission, 0, 1, [QueueEntry(trial=attempt.trial, state="failed", reason="short")])
    assert ledger.status()[0].states == (before,)
    ledger.ask(submission, 0, 1, [QueueEntry(trial=attempt.trial, state="queued")])
    (after,) = ledger.status()[0].states
    assert (after.state, after.reason) == ("queued", "")
    assert after.changed_unix_s > before.changed_unix_s


def test_machines_that_an_earlier_submission_waits_for_are_promised_to_it(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as first, closing(Ledger(path)) as second:
        waiting = first.begin(builders.request(name="first"))
        later = second.begin(builders.request(name="second"))
        first.put_machines(
            waiting,
            [
                MachineRow(machine="a", state="busy", reason="a is measuring other"),
                MachineRow(machine="b", state="planned"),
                MachineRow(machine="c", state="absent", reason="it is off"),
            ],
        )
        assert second.promised(later) == {}, "it does not wait yet"
        first.enter(waiting, "waiting")
        assert second.promised(later) == {
            name: f"{name} is reserved for first, which came first" for name in ("a", "b")
        }
        assert first.promised(waiting) == {}, "nobody came before"
        first.close()
        assert second.promised(later) == {}, "its coordinator is gone"


def test_machines_of_earlier_submissions_are_known(ledger: Ledger) -> None:
    """One that is absent stays asked for, however often it is not there."""
    submission = ledger.begin(builders.request())
    ledger.enqueue(submission, [builders.attempt(machine="b"), builders.attempt(machine="a")])
    away = QueueEntry(trial=builders.trial(machine="c"), state="absent", reason="it is off")
    ledger.ask(submission, 0, 3, [away])
    told = [(name, f"machine-{name}") for name in "abc"]
    assert ledger.machines_of("demo", 0) == [(*each, True) for each in told]
    assert ledger.machines_of("demo", 1) == [(*each, False) for each in told]
    assert ledger.machines_of("other", 0) == []


VERSION_1 = """
create table submissions (
    id integer primary key, experiment text not null, session integer not null,
    request text not null, pid integer not null, submitted_unix_s real not null,
    ended_unix_s real, outcome text
);
create table trials (
    trial_id text primary key, submission integer not null references submissions (id),
    experiment text not null, machine_id text not null, machine text not null,
    model text not null, job text not null, settings text not null, block integer not null,
    position integer not null, estimate_s real not null,
    state text not null check (
        state in ('queued', 'running', 'done', 'failed', 'not needed', 'cancelled')
    ),
    fence integer not null, reason text not null default '', changed_unix_s real not null
);
create index trials_by_experiment on trials (experiment, machine, state);
create table left_out (
    submission integer not null references submissions (id), experiment text not null,
    machine text not null, what text not null, clause text not null, mend text not null
);
insert into submissions values (1, 'demo', 0, '{}', 7, 100.0, 200.0, 'done');
insert into trials values
    ('t-1', 1, 'demo', 'id-a', 'a', 'm', 'gold', '', 0, 0, 1.0, 'done', 0, '', 150.0),
    ('t-2', 1, 'demo', 'id-a', 'a', 'm', 'gold', '', 1, 1, 1.0, 'cancelled', 0, 'lost', 150.0),
    ('t-3', 1, 'demo', 'id-a', 'a', 'm', 'canary', '', 0, 2, 1.0, 'done', 0, '', 150.0);
insert into left_out values (1, 'demo', 'a', 'sweep pp8192', 'too long', '');
"""
"""A ledger as the version before wrote it."""


def old_ledger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)


def test_an_older_ledger_is_read_and_written_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old_ledger(path)
    for _ in range(2):
        with closing(Ledger(path)) as ledger:
            (status,) = ledger.status()
            assert (status.state, status.outcome, status.trials_asked) == ("ended", "done", None)
            assert (status.account.total, status.account.missing) == (2, 1)
            assert [row.trials for row in status.states if row.canary] == [1]
            assert status.left_out[0].clause == "too long"
    with closing(Ledger(path)) as ledger:
        submission = ledger.begin(builders.request())
        absent = QueueEntry(trial=builders.trial(), state="absent", reason="it is off")
        ledger.ask(submission, 0, 1, [absent])
        assert ledger.account(submission).count("left out") == 1


def test_a_ledger_that_cannot_be_brought_up_is_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old_ledger(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("drop index trials_by_experiment")
    with pytest.raises(StoreUnusable, match="the ledger cannot be opened"):
        Ledger(path)
    with closing(sqlite3.connect(path)) as db:
        columns = [row[1] for row in db.execute("pragma table_info (submissions)")]
        assert columns[-1] == "outcome", "nothing of the new version is there"


def test_a_ledger_of_a_newer_fleet_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    with pytest.raises(StoreUnusable, match="written by a newer fleet"):
        Ledger(path)
