"""The loop over events with a real store and ledger; the machines answer from a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fleet.app.home import Home
from fleet.app.measuring import Measuring
from fleet.app.submit_report import Widths
from fleet.folders import results_folder
from fleet.model.event import Event, Failed, Finished, Held, Lost, Started
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial
from fleet.plan.expand import Plan, expand
from fleet.plan.resume import remaining
from fleet.query.open_store import open_store
from fleet.query.results import results
from fleet.units import show_number
from tests import builders
from tests.builders_plan import machine, model, request

HERE = machine("here", models=[model("tiny")])
RATE = {8: 100.0, 512: 150.0}


def result(attempt: Attempt, factor: float = 1.0, **changes: Any) -> TrialResult:
    """129 tokens at the rate of the trial's batch."""
    rate = RATE[int(attempt.trial.settings["num_batch"])] * factor
    output_ns = round(128 / rate * 1e9)
    reply = builders.reply(
        output_tokens=129, output_ns=output_ns, ended_ns=60 * builders.MS + output_ns
    )
    record = builders.record(reply=reply, output_tokens_asked=129, point="chat")
    on = HERE.engine
    assert on is not None
    return builders.result(
        attempt,
        digest="tiny-digest",
        engine_version=on.version,
        fingerprint=HERE.fingerprint,
        requests=(record,),
        **changes,
    )


@dataclass
class Machines:
    """A dispatcher whose one machine answers at once; what was dropped is not measured."""

    answer: Callable[[Attempt], TrialResult] = result
    ran: list[Attempt] = field(default_factory=list)
    dropped: set[str] = field(default_factory=set)
    lose_after: int | None = None
    fails: bool = False
    """What `lose_after` tells: the worker raised an error, not that it went away."""
    held: str = ""
    acknowledged: list[str] = field(default_factory=list)

    def run(self, queues: Mapping[str, Iterable[Attempt]]) -> Iterator[Event]:
        for machine_id, queue in queues.items():
            for attempt in queue:
                if self.lose_after == len(self.ran):
                    failed = Failed(machine_id=machine_id, what="its disk is full", hint="df -h")
                    lost = Lost(machine_id=machine_id, what="it went away")
                    yield failed if self.fails else lost
                    return
                if attempt.trial.trial_id not in self.dropped:
                    if self.held:
                        yield Held(machine_id=machine_id, attempt=attempt, why=self.held)
                    yield Started(machine_id=machine_id, attempt=attempt)
                    self.ran.append(attempt)
                    yield Finished(machine_id=machine_id, result=self.answer(attempt))

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        self.dropped.update(trial_ids)

    def acknowledge(self, machine_id: str, attempt_id: str) -> None:
        self.acknowledged.append(attempt_id)

    def cancel(self) -> None: ...


@dataclass
class Quiet:
    """`states`: of each held trial, as the ledger has it at that moment."""

    folder: Path
    states: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    speeds: list[tuple[str, str]] = field(default_factory=list)
    """Of each trial that has ended: its id and the words for its speeds."""
    results: list[TrialResult] = field(default_factory=list)

    def began(self, plan: Plan, queues: dict[str, int]) -> None: ...

    def event(self, event: Event) -> None:
        if isinstance(event, Held):
            with closing(Home(self.folder).ledger()) as ledger:
                rows = ledger.status()[0].states
            self.states += [(row.state, row.reason) for row in rows if row.reason]
        elif isinstance(event, Finished):
            self.speeds.append((event.result.trial.trial_id, event.speeds))
            self.results.append(event.result)

    def say(self, text: str) -> None:
        self.said.append(text)

    def not_needed(self, machine_id: str, trials: int, why: str) -> None: ...


def planned(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "settings": {"num_batch": [8, 512]},
        "repeats": {"least": 3, "most": 8},
        "canary": "on",
    }
    return expand(request(**{**fields, **changes}), [HERE])


def measure(folder: Path, plan: Plan, machines: Machines, talk: Quiet | None = None) -> Measuring:
    home = Home(folder)
    left = remaining(plan, home.attempts(plan.request))
    with closing(home.ledger()) as ledger:
        submission = ledger.begin(plan.request, plan.session)
        measuring = Measuring(
            plan,
            left.attempts,
            machines,
            home,
            ledger,
            submission,
            talk or Quiet(folder),  # type: ignore[arg-type]
        )
        measuring.run()
        ledger.end(submission, "done")
    return measuring


def shown(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    return [(trial.role, trial.block) for trial in trials]


def test_it_stops_at_least_where_all_is_known_and_a_canary_ends_it(tmp_path: Path) -> None:
    machines = Machines()
    measuring = measure(tmp_path, planned(), machines)
    assert shown(a.trial for a in machines.ran) == [
        *[("canary", 0), ("measure", 0), ("measure", 0)],
        *[("canary", 1), ("measure", 1), ("measure", 1)],
        *[("canary", 2), ("measure", 2), ("measure", 2)],
        ("canary", 3),
    ]
    assert (measuring.done, measuring.failed, measuring.waiting) == (6, 0, 0)
    again = Machines()
    measure(tmp_path, planned(), again)
    assert again.ran == [], "what was known stays known, and no canary is asked for alone"


def test_what_a_machine_waits_for_stands_in_the_ledger_while_it_waits(tmp_path: Path) -> None:
    talk = Quiet(tmp_path)
    plan = planned(repeats=1, canary="off")
    measuring = measure(tmp_path, plan, Machines(held="waits until 22:00"), talk)
    assert talk.states == [("queued", "waits until 22:00")] * 2
    assert measuring.done == 2


def test_wide_ratios_are_measured_to_the_cap(tmp_path: Path) -> None:
    factors = iter([1.0, 1.3, 0.8, 1.2, 0.7, 1.1, 1.4, 0.9] * 4)

    def wild(attempt: Attempt) -> TrialResult:
        return result(attempt, next(factors))

    machines = Machines(answer=wild)
    measuring = measure(tmp_path, planned(), machines)
    assert measuring.done == 16
    assert shown(a.trial for a in machines.ran)[-1] == ("canary", 8)


def test_a_canary_that_fails_is_tried_once_and_fails_nothing(tmp_path: Path) -> None:
    def answer(attempt: Attempt) -> TrialResult:
        if attempt.trial.role == "canary":
            return result(attempt, outcome="failed", reason="engine_busy", transient=True)
        return result(attempt)

    machines = Machines(answer=answer)
    measuring = measure(tmp_path, planned(), machines)
    assert (measuring.done, measuring.failed) == (6, 0)
    assert [a.fence for a in machines.ran] == [0] * 10


def test_a_block_that_has_begun_is_measured_to_its_end_retries_too(tmp_path: Path) -> None:
    """A retry waits behind the blocks, and the stop rule lets it be."""
    first = True

    def answer(attempt: Attempt) -> TrialResult:
        nonlocal first
        if first and attempt.trial.role == "measure" and attempt.trial.block == 1:
            first = False
            return result(attempt, outcome="failed", reason="engine_busy", transient=True)
        return result(attempt)

    machines = Machines(answer=answer)
    measuring = measure(tmp_path, planned(), machines)
    assert (measuring.done, measuring.failed, measuring.waiting) == (8, 0, 0)
    assert machines.ran[-1].fence == 1
    blocks = [a.trial.block for a in machines.ran if a.trial.role == "measure" and a.fence == 0]
    assert sorted(blocks) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_lost_machine_fails_its_work_and_not_its_canaries(tmp_path: Path) -> None:
    plan = planned(repeats=3)
    measuring = measure(tmp_path, plan, Machines(lose_after=5))
    assert (measuring.done, measuring.failed, measuring.waiting) == (3, 3, 0)


def test_a_machine_whose_worker_fails_is_counted_as_a_lost_one(tmp_path: Path) -> None:
    machines = Machines(lose_after=5, fails=True)
    measuring = measure(tmp_path, planned(repeats=3), machines)
    assert (measuring.done, measuring.failed, measuring.waiting) == (3, 3, 0)


def test_a_result_is_forgotten_on_the_node_only_once_it_is_stored(tmp_path: Path) -> None:
    stored: list[bool] = []

    class Watchful(Machines):
        def acknowledge(self, machine_id: str, attempt_id: str) -> None:
            trials = results_folder(tmp_path) / "current" / "trials"
            stored.append((trials / f"{attempt_id}.parquet").is_file())

    measure(tmp_path, planned(repeats=3, canary="off"), Watchful())
    assert stored == [True] * 6


@pytest.mark.parametrize(("transient", "tries"), [(True, 3), (False, 1)])
def test_a_trial_whose_failure_may_pass_is_tried_three_times(
    tmp_path: Path, transient: bool, tries: int
) -> None:
    def fails(attempt: Attempt) -> TrialResult:
        return result(attempt, outcome="failed", reason="engine_busy", transient=transient)

    machines = Machines(answer=fails)
    measuring = measure(tmp_path, planned(repeats=3, canary="off"), machines)
    fences: dict[str, list[int]] = {}
    for attempt in machines.ran:
        fences.setdefault(attempt.trial.trial_id, []).append(attempt.fence)
    assert list(fences.values()) == [list(range(tries))] * 6
    assert (measuring.done, measuring.failed, measuring.waiting) == (0, 6, 0)


def test_a_result_that_cannot_be_stored_is_set_aside_and_stops_nothing(tmp_path: Path) -> None:
    def answer(attempt: Attempt) -> TrialResult:
        poisoned = attempt.trial.block == 1 and attempt.trial.settings["num_batch"] == 8
        return result(attempt, **({"suspended_ns": 2**63} if poisoned else {}))

    talk, plan = Quiet(tmp_path), planned(repeats=3, canary="off")
    machines = Machines(answer=answer)
    measuring = measure(tmp_path, plan, machines, talk)
    assert (measuring.done, measuring.failed, measuring.waiting) == (5, 1, 0)
    assert len(machines.acknowledged) == 6
    [file] = tmp_path.glob("spool/*/set-aside/*.json")
    why = "suspended_ns does not fit its column of int64"
    assert file.with_suffix(".txt").read_text().startswith(why)
    assert talk.said[0] == f"here: a result cannot be stored; it is kept in {file}"
    assert talk.said[1:] == ["6 trials asked for: 5 measured, 1 failed"]
    [failed] = [each for each in talk.results if each.outcome == "failed"]
    assert (failed.reason, failed.attempt_id) == ("unstorable", file.stem)
    with closing(Home(tmp_path).ledger()) as ledger:
        rows = ledger.status()[0].states
    assert [(row.state, row.trials) for row in rows] == [("done", 5), ("failed", 1)]
    [reason] = [row.reason for row in rows if row.state == "failed"]
    assert reason.startswith(f"unstorable: {why}")
    again = Machines()
    assert measure(tmp_path, plan, again).done == 1, "it is measured anew, and nothing else"


def test_an_aa_run_is_never_cut_short(tmp_path: Path) -> None:
    asked = planned(settings={"num_batch": 8}, repeats=5).request
    plan = expand(asked.model_copy(update={"role": "noise"}), [HERE])
    machines = Machines()
    assert measure(tmp_path, plan, machines).done == 10
    sides: Sequence[str] = [a.trial.side for a in machines.ran]
    assert sorted(sides) == ["a"] * 5 + ["b"] * 5


@pytest.mark.parametrize("seed", range(4))
def test_a_control_ends_with_the_cell_that_it_controls(tmp_path: Path, seed: int) -> None:
    """A block ends with whatever comes last in it."""
    machines = Machines()
    plan = planned(control="on", canary="off", seed=seed)
    measuring = measure(tmp_path, plan, machines)
    ran = [a.trial for a in machines.ran]
    assert Counter((trial.block, trial.role) for trial in ran) == {
        (block, role): 2 for block in range(3) for role in ("measure", "noise")
    }
    assert {trial.settings["num_batch"] for trial in ran if trial.role == "noise"} == {8}
    assert (measuring.done, measuring.waiting) == (12, 0)
    again = Machines()
    measure(tmp_path, plan, again)
    assert again.ran == []


def test_a_control_makes_no_blocks_of_its_cell(tmp_path: Path) -> None:
    factors = iter([1.0, 1.3, 0.8, 1.2, 0.7, 1.1, 1.4, 0.9] * 8)
    machines = Machines(answer=lambda attempt: result(attempt, next(factors)))
    measure(tmp_path, planned(control="on", canary="off"), machines)
    counts = Counter((a.trial.settings["num_batch"], a.trial.role) for a in machines.ran)
    assert counts == {(8, "measure"): 8, (8, "noise"): 16, (512, "measure"): 8}


def test_a_control_that_fails_loses_no_cell(tmp_path: Path) -> None:
    """Where its cell were lost, nothing would be compared, and each side end with its own noise."""
    spread = {8: (1.0, 1.001, 0.999, 1.002, 1.0), 512: (1.0, 1.4, 0.7, 1.3, 0.8)}

    def answer(attempt: Attempt) -> TrialResult:
        if attempt.trial.role == "noise":
            return result(attempt, outcome="failed", reason="request_refused", transient=False)
        factors = spread[int(attempt.trial.settings["num_batch"])]
        return result(attempt, factors[attempt.trial.block])

    wide = planned(control="on", canary="off", repeats={"least": 3, "most": 5})
    machines = Machines(answer=answer)
    measuring = measure(tmp_path, wide, machines)
    assert measuring.done == 10


@pytest.mark.parametrize("packed", [False, True])
def test_the_open_store_sees_what_comes_and_survives_a_packer(tmp_path: Path, packed: bool) -> None:
    plan, home = planned(), Home(tmp_path)
    work = [trial for trial in plan.trials() if trial.role == "measure"]
    wanted = plan.contrasts
    with closing(Widths(tmp_path, plan)) as widths:
        assert widths.read(wanted) == {}
        seen = []
        for block in range(4):
            for trial in work:
                if trial.block == block:
                    factor = 1 + 0.001 * block * (trial.settings["num_batch"] == 8)
                    home.store.write(result(Attempt(trial=trial, fence=0), factor))
            if packed:
                home.store.pack(force=True)
            seen += widths.read(wanted).values()
    assert len(seen) == 4
    assert seen[0] == float("inf")
    assert all(later < earlier for earlier, later in pairwise(seen))


@dataclass
class Hasty(Machines):
    """It has begun the next trial when it is told that it need not."""

    def drop(self, machine_id: str, trial_ids: Iterable[str]) -> None:
        ids = list(trial_ids)
        super().drop(machine_id, ids[1:] if not self.dropped else ids)


@dataclass
class Heard(Quiet):
    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)


def fails_at_the_end(attempt: Attempt) -> TrialResult:
    failed = {"outcome": "failed", "reason": "stream_broken", "transient": False}
    return result(attempt, **(failed if attempt.trial.block == 1 else {}))


@pytest.mark.parametrize("machines", [Machines(), Hasty(), Machines(answer=fails_at_the_end)])
def test_the_trials_asked_for_add_up_whatever_became_of_them(
    tmp_path: Path, machines: Machines
) -> None:
    plan, talk = planned(canary="off", repeats={"least": 2, "most": 8}), Heard(tmp_path)
    measuring = measure(tmp_path, plan, machines, talk)
    told = [int(word) for word in talk.lines[-1].split() if word.isdigit()]
    assert told[0] == len(list(plan.trials())) == sum(told[1:])
    ran = [attempt for attempt in machines.ran if attempt.trial.role == "measure"]
    assert measuring.done + measuring.failed == len(ran)
    assert measuring.done + measuring.failed + measuring.not_needed + measuring.waiting == told[0]
    if isinstance(machines, Hasty):
        assert "here: block 3 had begun, so it is measured too" in talk.lines


def test_a_cell_that_stands_alone_is_measured_until_its_own_interval_is_close(
    tmp_path: Path,
) -> None:
    """At a spread of a half to the last block; without any to the least."""
    alone = {"settings": {"num_batch": 8}, "canary": "off", "repeats": {"least": 3, "most": 8}}
    wild = measure(
        tmp_path / "wild",
        planned(**alone),
        Machines(answer=lambda a: result(a, 1 + 0.5 * (a.trial.block % 2))),
    )
    assert (wild.done, wild.not_needed) == (8, 0)
    calm = measure(tmp_path / "calm", planned(**alone), Machines())
    assert (calm.done, calm.not_needed) == (3, 5)


def test_a_side_without_a_valid_request_leaves_its_contrast_unknown(tmp_path: Path) -> None:
    """The other side alone is known closely, and that says nothing of the ratio."""

    def answer(attempt: Attempt) -> TrialResult:
        whole = result(attempt)
        if attempt.trial.settings["num_batch"] == 8:
            return whole
        [record] = whole.requests
        cut = replace(record.reply, error="cut off", error_reason="stream_broken")
        return replace(whole, requests=(replace(record, reply=cut),))

    plan = planned(canary="off", repeats={"least": 2, "most": 4})
    assert measure(tmp_path, plan, Machines(answer=answer)).done == 8


def test_a_trial_is_told_with_the_speed_that_the_views_give_it(tmp_path: Path) -> None:
    """Each trial is a cell's only one here, so its line and its row show the same median."""
    talk = Quiet(tmp_path)
    measure(tmp_path, planned(repeats=1, canary="off"), Machines(), talk)
    with closing(open_store([results_folder(tmp_path)])) as con:
        shown = {row.id: row.decode_tokens_per_s for row in results(con)}
    assert {trial_id for trial_id, _ in talk.speeds} == set(shown)
    assert len(shown) == 2
    for trial_id, speeds in talk.speeds:
        assert speeds == f"{show_number(shown[trial_id] or 0)} tokens/s"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_ns": 2000}, "1 request left out: above_ceiling clock"),
        ({"output_tokens": 1, "output_ns": 1, "ended_ns": 61 * builders.MS}, ""),
        ({"output_tokens": None, "output_ns": None}, "1 request left out: aborted"),
    ],
)
def test_a_speed_that_the_views_leave_out_is_not_told(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    def odd(attempt: Attempt) -> TrialResult:
        given = {"output_tokens": 129, "ended_ns": 10**9, **changes}
        reply = builders.reply(**given)
        asked = given["output_tokens"] or 129
        record = builders.record(reply=reply, output_tokens_asked=asked, point="chat")
        return replace(result(attempt), requests=(record,))

    talk = Quiet(tmp_path)
    measure(tmp_path, planned(repeats=1, canary="off"), Machines(answer=odd), talk)
    assert {speeds for _, speeds in talk.speeds} == {said}
