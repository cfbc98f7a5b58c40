"""Canary trials: where they stand, and that nothing takes them for work."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.model.machine import EngineRestart
from fleet.model.trial import Trial
from fleet.plan import canaries
from fleet.plan.expand import Plan, PlanOptions, expand
from fleet.plan.resume import remaining
from fleet.plan.stopping import Progress, stopped
from fleet.plan.time_budget import within
from fleet.ports import PastAttempt
from tests.builders_plan import CHAT, SWEEP, machine, past, request

A, B = machine("m-a"), machine("m-b")


def planned(repeats: Any = 3, canary: str | None = "on", **fields: Any) -> Plan:
    asked = request(models=["a", "b"], repeats=repeats, canary=canary, **fields)
    return expand(asked, [A, B])


def birds(trials: Any) -> list[Trial]:
    return [trial for trial in trials if trial.role == "canary"]


def work(trials: Any) -> list[Trial]:
    return [trial for trial in trials if trial.role == "measure"]


@given(st.integers(1, 4), st.sampled_from([[CHAT], [CHAT, SWEEP]]))
def test_canaries_open_every_block_and_end_the_last(repeats: int, jobs: list[Any]) -> None:
    for one in planned(repeats, jobs=jobs).machines:
        assert [trial.position for trial in one.trials] == list(range(len(one.trials)))
        places = [at for at, trial in enumerate(one.trials) if trial.role == "canary"]
        assert [one.trials[at].block for at in places] == list(range(repeats + 1))
        assert places[0] == 0
        assert places[-1] == len(one.trials) - 1
        for at in places[:-1]:
            assert one.trials[at + 1].block == one.trials[at].block
        for at in places[1:]:
            assert one.trials[at - 1].block == one.trials[at].block - 1


def test_a_plan_tells_its_canaries_apart_from_its_work() -> None:
    plan = planned(repeats=3)
    assert plan.canaries() == [trial for trial in plan.trials() if trial.role == "canary"]
    assert [trial.role for trial in plan.canaries()] == ["canary"] * 4 * len(plan.machines)
    assert {trial.role for trial in plan.work()} == {"measure"}
    assert planned(canary="off").canaries() == []


def test_all_canaries_of_a_machine_are_the_same_small_trial() -> None:
    there = birds(planned(settings={"num_batch": [8, 512], "num_thread": 4}).machines[0].trials)
    assert len({trial.cell() for trial in there}) == 1
    assert len({trial.trial_id for trial in there}) == 4
    (one, *_) = there
    assert (one.model, one.job.name, one.settings["num_thread"]) == ("a", "canary", 4)
    (point,) = one.job.points
    assert point.prompt_tokens >= 512, "a prefill rate"
    assert point.output_tokens >= 128, "a decode rate"
    assert point.prompt_tokens + point.output_tokens <= one.settings["num_ctx"]


@given(st.integers(1, 5), st.sampled_from(["off", None]))
def test_measured_trials_are_the_same_with_and_without_canaries(
    repeats: int, canary: str | None
) -> None:
    """The golden ids of test_plan hold for experiments with canaries too."""
    with_them, without = planned(repeats), planned(repeats, canary)
    assert [replace(t, position=0) for t in work(with_them.trials())] == [
        replace(t, position=0) for t in work(without.trials())
    ]


@pytest.mark.parametrize(
    ("repeats", "canary", "count"),
    [
        (2, None, 0),
        (3, None, 4),
        (3, "off", 0),
        (1, "on", 2),
        ({"least": 2, "most": 9}, None, 0),
        ({"least": 5, "most": 9}, None, 10),
    ],
)
def test_few_repeats_have_none_unless_asked(repeats: Any, canary: str | None, count: int) -> None:
    assert len(birds(planned(repeats, canary).machines[0].trials)) == count


def test_their_time_is_in_the_estimate() -> None:
    with_them, without = planned().machines[0], planned(canary="off").machines[0]
    cost = sum(trial.estimate_s for trial in birds(with_them.trials))
    assert cost > 0
    assert with_them.estimate_s == pytest.approx(without.estimate_s + cost)


def test_a_machine_that_measures_nothing_has_none() -> None:
    long = SWEEP.model_copy(update={"points": SWEEP.points[2:]})
    assert list(planned(jobs=[long]).trials()) == []


def test_the_canary_of_a_machine_is_the_first_model_that_it_measures() -> None:
    asked = request(models=["a", "b"], repeats=3, canary="on")
    (plan,) = expand(asked, [A], PlanOptions(only={"model": "b"})).machines
    assert {trial.model for trial in birds(plan.trials)} == {"b"}


def attempts(trials: list[Trial]) -> list[PastAttempt]:
    on = {each.machine_id: each for each in (A, B)}
    return [past(trial, on[trial.machine_id]) for trial in trials]


def test_where_all_work_is_done_no_canary_is_missing() -> None:
    plan = planned()
    left = remaining(plan, attempts(work(plan.trials())))
    assert (left.attempts, left.finished, left.redo) == ({}, 12, ())


def test_a_resume_asks_for_the_canaries_around_what_is_left() -> None:
    plan = planned(5)
    mine = list(plan.machines[0].trials)
    done = [t for t in work(plan.trials()) if t.machine_id == B.machine_id or t.block < 3]
    left = remaining(plan, attempts(done)).attempts
    assert list(left) == [A.machine_id]
    shown = [(a.trial.role, a.trial.block) for a in left[A.machine_id]]
    assert [shown[at] for at in (0, 3, 6)] == [("canary", 3), ("canary", 4), ("canary", 5)]
    assert [a.trial.position for a in left[A.machine_id]] == sorted(
        trial.position for trial in mine if trial.block >= 3
    )
    seen = remaining(plan, attempts([*done, *birds(mine)[:4]])).attempts[A.machine_id]
    assert [a.trial.block for a in seen if a.trial.role == "canary"] == [4, 5]


@given(st.data())
def test_resume_comes_to_an_end_whatever_was_measured(data: st.DataObject) -> None:
    plan = planned(2)
    trials = list(plan.trials())
    done = data.draw(st.lists(st.sampled_from(trials), unique_by=lambda trial: trial.trial_id))
    left = remaining(plan, attempts(done))
    asked = [a.trial for queue in left.attempts.values() for a in queue]
    assert {t.trial_id for t in work(asked)} == {t.trial_id for t in work(trials) if t not in done}
    again = remaining(plan, attempts([*done, *work(asked)]))
    assert again.attempts == {}, "canaries that never came are not missed"


def test_an_upgrade_redoes_no_canary() -> None:
    plan = planned()
    newer = [machine("m-a", version="0.33"), machine("m-b", version="0.33")]
    upgraded = expand(plan.request, newer)
    left = remaining(upgraded, attempts(list(plan.trials())))
    assert {redo.trial.role for redo in left.redo} == {"measure"}
    assert remaining(upgraded, attempts(list(plan.trials())), missing_only=True).attempts == {}


def test_a_budget_ends_with_the_canary_behind_its_last_block() -> None:
    plan = expand(request(repeats=4, canary="on"), [A])
    queue = remaining(plan, []).attempts
    canary, trial = (plan.machines[0].trials[at].estimate_s for at in (0, 1))
    for seconds, kept in ((2 * (canary + trial), 4), (2 * (canary + trial) + canary, 5)):
        found = within(queue, seconds=seconds + 0.001)
        assert [a.trial.position for a in found.kept[A.machine_id]] == list(range(kept))
        assert [left.blocks for left in found.left_out] == [(2, 3)]
    whole = within(queue, seconds=1e6)
    assert (len(whole.kept[A.machine_id]), whole.left_out) == (9, ())


def test_a_budget_that_lacks_only_the_last_canary_leaves_out_no_block() -> None:
    plan = expand(request(repeats=1, canary="on"), [A])
    canary, trial = (plan.machines[0].trials[at].estimate_s for at in (0, 1))
    found = within(remaining(plan, []).attempts, seconds=canary + trial + 0.001)
    assert (len(found.kept[A.machine_id]), found.left_out) == (2, ())


def test_no_contrast_and_no_stop_rule_holds_a_canary() -> None:
    plan = planned({"least": 3, "most": 6})
    cells = {trial.cell() for trial in birds(plan.trials())}
    assert not any(contrast.cells & cells for contrast in plan.contrasts)
    assert plan.contrasts == planned({"least": 3, "most": 6}, "off").contrasts
    done = {trial.cell(): 6 for trial in plan.trials()}
    ids = stopped(
        plan.trials(), plan.contrasts, plan.repeats, Progress(widths={}, done_blocks=done)
    )
    assert ids == {trial.trial_id for trial in work(plan.trials())}


@given(st.integers(-1, 5), st.integers(-1, 5))
def test_canaries_behind_all_work_go_but_for_the_one_that_ends_it(waiting: int, begun: int) -> None:
    plan = expand(request(repeats=6, canary="on"), [A])
    trials = plan.machines[0].trials
    left = [trial for trial in work(trials) if trial.block == waiting]
    gone = canaries.past_the_end(birds(trials), left, {A.machine_id: begun} if begun >= 0 else {})
    kept = [trial.block for trial in birds(trials) if trial.trial_id not in gone]
    last = max(waiting, begun)
    assert kept == (list(range(last + 2)) if last >= 0 else [])


def test_an_aa_run_measures_each_cell_as_two_sides_in_each_block() -> None:
    asked = request(models=["a"], repeats=8, canary=None).model_copy(update={"role": "noise"})
    (one,) = expand(asked, [A]).machines
    assert len({trial.trial_id for trial in one.trials}) == 16
    assert {trial.role for trial in one.trials} == {"noise"}
    order = ["".join(t.side for t in one.trials if t.block == block) for block in range(8)]
    assert set(order) == {"ab", "ba"}, "seeded, and not always the same side first"
    assert len({trial.cell() for trial in one.trials}) == 1
    assert expand(asked, [A, B]).contrasts == ()
    measured = {t.trial_id for t in expand(request(models=["a"], repeats=8), [A]).trials()}
    assert not measured & {trial.trial_id for trial in one.trials}


def test_an_aa_run_is_resumed_like_any_work() -> None:
    asked = request(models=["a"], repeats=5).model_copy(update={"role": "noise"})
    plan = expand(asked, [A])
    trials = list(plan.trials())
    left = remaining(plan, attempts(trials[:7]))
    assert (len(left.attempts[A.machine_id]), left.finished) == (3, 7)
    ids = stopped(trials, (), plan.repeats, Progress(widths={}, done_blocks={trials[0].cell(): 9}))
    assert ids == frozenset(), "the stop rule has no say in it"


def test_an_owner_s_ollama_is_restarted_only_where_that_machine_allows_it() -> None:
    why = "it is yours, and fleet may not restart it; on it: fleet join --allow restart-ollama"
    no = replace(A, restart=EngineRestart(how="systemctl restart it", refusal=why))
    yes = replace(B, restart=EngineRestart(how="systemctl restart it"))
    plan = expand(request(restart_engine=True), [no, yes])
    (refusal,) = plan.refusals
    assert refusal.startswith(f"restart_engine: Ollama on m-a: {why}; with a command of its own: ")
    assert "fleet join --restart-command 'systemctl restart ollama'" in refusal
    assert plan.restarts == ("m-b: restarts Ollama before each trial: systemctl restart it",)
    told = {"kind": "ollama", "restart": ["my", "own way"]}
    foreign = expand(request(restart_engine=True, engine=told), [no])
    assert (foreign.refusals, foreign.restarts) == (plan.refusals[:1], ())
    own = replace(A, restart=EngineRestart(how="my 'own way'"))
    allowed = expand(request(restart_engine=True), [own])
    assert (allowed.refusals, allowed.restarts) == (
        (),
        ("m-a: restarts Ollama before each trial: my 'own way'",),
    )
    assert all(trial.restart_engine for trial in allowed.trials())
    embedded = expand(request(restart_engine=True, engine={"kind": "embedded"}), [no])
    assert (embedded.refusals, embedded.restarts) == ((), ())
    assert expand(request(), [no, yes]).restarts == ()
