"""Whatever happens to a submission, each trial that it asked for is accounted for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.app.bookings import book, machine_rows
from fleet.app.home import Home
from fleet.app.measuring import MOST_ATTEMPTS, Measuring
from fleet.app.options import Options
from fleet.app.submission import Submission
from fleet.errors import Interrupted, StoreUnusable
from fleet.ledger.journal import Ledger
from fleet.model.account import Account
from fleet.model.event import Event, Failed, Finished, Held, Lost, Started
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial
from fleet.plan.absent import AbsentMachine, KnownMachine
from fleet.plan.expand import Plan, expand
from fleet.plan.resume import Within, remaining, within
from fleet.ports import Dispatcher, PastAttempt
from tests import builders
from tests.builders_plan import machine, model, past, request

HAPPENINGS = (
    *("ok",) * 6,
    *("terminal", "transient", "cancelled", "held", "lost", "refused", "silent"),
    *("interrupt", "disk full"),
)
"""What becomes of a trial that is dispatched; `silent`: its machine says no more of anything."""


@dataclass
class Store:
    """Keeps results as long as its disk has room."""

    results: dict[str, TrialResult] = field(default_factory=dict)
    full: bool = False

    def write(self, result: TrialResult) -> None:
        if self.full:
            raise StoreUnusable("no space left on the disk", "df -h")
        self.results[result.attempt_id] = result

    def attempts(self, experiment: str) -> Sequence[PastAttempt]:
        return ()


@dataclass
class Machines:
    """A dispatcher to whose machines things happen, one after the other."""

    happenings: Iterator[str]
    store: Store
    dropped: set[str] = field(default_factory=set)

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        for machine_id, queue in queues.items():
            yield from self._work(machine_id, queue)

    def _work(self, machine_id: str, queue: Iterable[Attempt]) -> Iterator[Event]:
        for attempt in queue:
            if attempt.trial.trial_id in self.dropped:
                continue
            what = next(self.happenings)
            if what == "held":
                yield Held(machine_id=machine_id, attempt=attempt, why="waits until 22:00")
            if what == "lost":
                yield Lost(machine_id=machine_id, what="it went away")
                return
            if what == "refused":
                yield Failed(machine_id=machine_id, what="it refuses this work", hint="")
                return
            if what == "silent":
                return
            if what == "interrupt":
                raise KeyboardInterrupt
            self.store.full = what == "disk full"
            yield Started(machine_id=machine_id, attempt=attempt)
            yield Finished(machine_id=machine_id, result=_result(attempt, what))

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        self.dropped.update(trial_ids)

    def acknowledge(self, machine_id: str, attempt_id: str) -> None: ...
    def cancel(self) -> None: ...


def _result(attempt: Attempt, what: str) -> TrialResult:
    if what in ("terminal", "transient"):
        again = what == "transient"
        return builders.result(attempt, outcome="failed", reason="broken", transient=again)
    if what == "cancelled":
        return builders.result(attempt, outcome="cancelled", reason="interrupted")
    return builders.result(attempt)


class Talk:
    """Says nothing; the submission is what is looked at."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@dataclass
class Known:
    """Stands in for the widths in the store: after each block this many ratios are known."""

    known: Iterator[bool]

    def read(self, wanted: Sequence[Any]) -> dict[frozenset[Any], float]:
        return {contrast.cells: 0.01 for contrast in wanted if next(self.known)}

    def close(self) -> None: ...


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    least = draw(st.integers(1, 3))
    wanted = request(
        models=draw(st.sampled_from([("tiny",), ("tiny", "other")])),
        settings={"num_batch": draw(st.sampled_from([[8], [8, 512]]))},
        repeats={"least": least, "most": draw(st.integers(least, 4))},
        canary=draw(st.sampled_from(["on", "off"])),
        control=draw(st.sampled_from(["on", "off"])),
    )
    names = draw(st.sampled_from(["a", "ab", "abc"]))
    present = [machine(name, models=[model("tiny"), model("other")]) for name in names]
    if draw(st.booleans()):
        present.append(machine("silent", engine_error="no engine answers"))
    away = [
        AbsentMachine(
            known=KnownMachine(name=name, machine_id=draw(st.sampled_from([f"id-{name}", None]))),
            state="absent",
            reason="it is not joined now",
        )
        for name in draw(st.sampled_from(["", "x", "xy"]))
    ]
    return expand(wanted, present, absent=away)


@st.composite
def earlier(draw: st.DrawFn, plan: Plan) -> list[PastAttempt]:
    """Attempts of earlier submissions, on what the machines are now."""
    attempts = []
    on = {each.machine.machine_id: each.machine for each in plan.machines}
    stand_in = machine("stand-in")
    for trial in plan.work():
        outcome = draw(st.sampled_from(["", "", "", "ok", "terminal", "transient"]))
        if outcome:
            here = on.get(trial.machine_id, stand_in)
            attempts.append(past(trial, here, **_as_stored(outcome)))
    return attempts


def _as_stored(outcome: str) -> dict[str, Any]:
    if outcome == "ok":
        return {}
    return {"outcome": "failed", "reason": "broken", "transient": outcome == "transient"}


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[bool]], None]:
    """How the stop rule learns what is known."""

    def set_to(ratios: Iterator[bool]) -> None:
        monkeypatch.setattr("fleet.app.measuring.Widths", lambda *_: Known(ratios))

    return set_to


@settings(
    deadline=None,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.data())
def test_each_trial_asked_for_is_accounted_for(
    known: Callable[[Iterator[bool]], None], data: st.DataObject
) -> None:
    plan = data.draw(plans())
    before = data.draw(earlier(plan))
    budget_s = data.draw(st.sampled_from([None, None, 5.0, 20.0]))
    store = Store()
    known(iter(lambda: data.draw(st.booleans()), None))
    happenings = iter(lambda: data.draw(st.sampled_from(HAPPENINGS)), "")
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(happenings, store)
        account, state = submitted(Path(folder), plan, before, budget_s, machines)
    assert account.total == plan.trials_asked
    assert account.unaccounted == 0
    assert account.count("waiting") == 0, "it has ended, so nothing waits any more"
    for share in account.shares:
        assert share.reason or share.state == "done" or not share.trials
    well = {attempt.trial_id for attempt in before if attempt.outcome == "ok"}
    well |= {r.trial.trial_id for r in store.results.values() if r.outcome == "ok"}
    work = {trial.trial_id for trial in plan.work()}
    assert account.count("done") == len(well & work)
    assert (state == "done") <= (account.missing == 0)


def submitted(
    folder: Path,
    plan: Plan,
    before: Sequence[PastAttempt],
    budget_s: float | None,
    machines: Machines,
) -> tuple[Account, str | None]:
    """One submission from its first row to its end, and how the ledger says that it ended."""
    home = replace_store(folder, machines.store)
    with closing(Ledger(folder / "ledger.sqlite")) as ledger:
        run = Submission(ledger, plan.request, Options(home=folder))
        with suppress(Interrupted, StoreUnusable), run.kept():
            ledger.put_machines(run.number, machine_rows(plan))
            left = remaining(plan, before)
            bounded = Within(kept=left.attempts, left_out=())
            if budget_s is not None:
                bounded = within(left.attempts, seconds=budget_s)
            book(run, plan, before, left.attempts, bounded)
            dispatcher = cast(Dispatcher, machines)
            talk = cast(Any, Talk())
            if bounded.kept:
                Measuring(plan, bounded.kept, dispatcher, home, ledger, run.number, talk).run()
        (status,) = ledger.status(run.name)
        assert status.account.unaccounted == 0
        return ledger.account(run.number), status.outcome


def replace_store(folder: Path, store: Store) -> Home:
    home = Home(folder, read_only=True)
    home.store = cast(Any, store)
    return home


def measure(
    tmp_path: Path, happenings: Sequence[str], budget_blocks: float | None = None
) -> tuple[Account, str | None]:
    """Two blocks of one trial each."""
    plan = expand(request(repeats=2), [machine("a", models=[model("tiny")])])
    machines = Machines(iter(happenings), Store())
    block_s = plan.estimate_s / 2
    budget_s = None if budget_blocks is None else budget_blocks * block_s
    return submitted(tmp_path, plan, (), budget_s, machines)


def reasons(account: Account) -> list[tuple[str, int, str]]:
    return [(share.state, share.trials, share.reason) for share in account.shares]


@pytest.mark.parametrize(
    ("happenings", "shares", "outcome"),
    [
        (["ok", "ok"], [("done", 2, "")], "done"),
        (["ok", "lost"], [("left out", 1, "it went away"), ("done", 1, "")], "failed"),
        (["refused"], [("left out", 2, "it refuses this work")], "failed"),
        (
            ["ok", "silent"],
            [("left out", 1, "its machine ended its work before this trial"), ("done", 1, "")],
            "failed",
        ),
        (["ok", "interrupt"], [("left out", 1, "interrupted"), ("done", 1, "")], "interrupted"),
        (["disk full"], [("left out", 2, "no space left on the disk")], "failed"),
        (["terminal", "ok"], [("done", 1, ""), ("failed", 1, "broken: ")], "failed"),
        (
            ["ok", *["transient"] * MOST_ATTEMPTS],
            [("done", 1, ""), ("failed", 1, "broken: ")],
            "failed",
        ),
    ],
)
def test_each_end_has_its_reason(
    known: Callable[[Iterator[bool]], None],
    tmp_path: Path,
    happenings: list[str],
    shares: list[tuple[str, int, str]],
    outcome: str,
) -> None:
    known(iter(lambda: False, None))
    account, ended = measure(tmp_path, happenings)
    assert reasons(account) == shares
    assert ended == outcome


def test_what_the_users_time_does_not_hold_is_left_out_and_not_missing(
    known: Callable[[Iterator[bool]], None], tmp_path: Path
) -> None:
    known(iter(lambda: False, None))
    account, ended = measure(tmp_path, ["ok"], budget_blocks=1.5)
    [done, late] = sorted(account.shares, key=lambda share: share.state)
    assert (done.state, done.trials) == ("done", 1)
    assert (late.state, late.trials, late.by_choice) == ("left out", 1, True)
    assert late.reason.startswith("block 2 takes about ")
    assert (account.missing, ended) == (0, "done")


def test_a_second_submission_of_less_does_not_hide_what_the_first_lacks(
    known: Callable[[Iterator[bool]], None], tmp_path: Path
) -> None:
    """Its own account is complete; the session's, which `fleet status` shows, is not."""
    known(iter(lambda: False, None))
    both = expand(request(repeats=1), [machine(n, models=[model("tiny")]) for n in ("a", "b")])
    submitted(tmp_path, both, (), None, Machines(iter(["ok", "lost"]), Store()))
    alone = replace(both, machines=both.machines[:1], trials_asked=1)
    earlier_one = [past(trial, both.machines[0].machine) for trial in first(both)]
    account, outcome = submitted(tmp_path, alone, earlier_one, None, Machines(iter(()), Store()))
    assert (account.missing, outcome) == (0, "done")
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        (status,) = ledger.status()
    assert (status.account.total, status.account.missing) == (2, 1)


def first(plan: Plan) -> list[Trial]:
    return [trial for trial in plan.trials() if trial.machine == "a"]
