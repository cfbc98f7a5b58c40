"""What is finished, what would be measured again and why, and what fits the time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import PlanRefused
from fleet.model.hours import Hours
from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.plan.digests import digests, with_digests
from fleet.plan.expand import Plan, PlanOptions, expand
from fleet.plan.resume import remaining
from fleet.plan.time_budget import within
from tests.builders_plan import machine, model, past, request

HERE = machine("here", models=[model("a"), model("b")], gpu_limit_mb=73_728)
THERE = machine("there", models=[model("a"), model("b")])
AGREED = {"a": "a-digest", "b": "b-digest"}


def plan(*machines: Machine, repeats: int = 2, **fields: Any) -> Plan:
    asked = request(models=["a", "b"], repeats=repeats, **fields)
    return with_digests(expand(asked, machines or (HERE, THERE)), AGREED)


def done(of: Plan, **changed: Any) -> list[Any]:
    return [past(t, one.machine, **changed) for one in of.machines for t in one.trials]


def test_a_first_run_has_everything_before_it() -> None:
    left = remaining(plan(), [])
    assert [a.trial for a in left.attempts["id-here"]] == list(plan().machines[0].trials)
    assert {a.fence for queue in left.attempts.values() for a in queue} == {0}
    assert (left.finished, left.redo) == (0, ())


@given(st.integers(1, 3), st.sampled_from([(HERE,), (THERE, HERE)]))
def test_nothing_remains_after_all_is_done(repeats: int, machines: tuple[Machine, ...]) -> None:
    whole = plan(*machines, repeats=repeats)
    left = remaining(whole, done(whole))
    assert left.attempts == {}
    assert left.finished == len(list(whole.trials()))
    assert left.redo == ()


@given(st.sets(st.integers(0, 7)))
def test_what_is_done_and_what_remains_are_the_whole(finished: set[int]) -> None:
    whole = plan()
    attempts = [attempt for i, attempt in enumerate(done(whole)) if i in finished]
    left = remaining(whole, attempts)
    ids = Counter(a.trial.trial_id for queue in left.attempts.values() for a in queue)
    assert ids + Counter(a.trial_id for a in attempts) == Counter(
        t.trial_id for t in whole.trials()
    )
    assert left.finished == len(finished)


@pytest.mark.parametrize(
    ("changed", "finished"),
    [
        ({"outcome": "failed", "reason": "out_of_memory"}, True),
        ({"outcome": "failed", "transient": True, "reason": "engine_busy"}, False),
        ({"outcome": "cancelled"}, False),
        ({"outcome": "failed", "engine_version": "0.1"}, False),
    ],
)
def test_a_failure_is_finished_only_if_asking_again_is_useless(
    changed: dict[str, Any], finished: bool
) -> None:
    whole = plan(HERE)
    left = remaining(whole, done(whole, **changed))
    assert (left.attempts == {}) is finished
    assert left.redo == ()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"engine_version": "0.32.14"}, "Ollama 0.32.14 -> 0.32.15"),
        ({"engine_version": None}, "Ollama unknown -> 0.32.15"),
        ({"digest": "0123456789abcdef"}, "a 0123456789ab -> a-digest"),
        (
            {"engine_environment": '{"OLLAMA_FLASH_ATTENTION":"1"}'},
            "OLLAMA_FLASH_ATTENTION 1 -> not set",
        ),
        ({"engine_environment": "?"}, "engine environment unknown before"),
        ({"hardware_id": "hw-old"}, "hardware hw-old -> hw-here"),
        ({"gpu_limit_mb": 65_536}, "GPU limit 65536 MiB -> 73728 MiB"),
        ({"gpu_limit_mb": None}, "GPU limit not known -> 73728 MiB"),
    ],
)
def test_a_change_underneath_is_new_work_in_words(changed: dict[str, Any], words: str) -> None:
    whole = expand(request(models=["a"], repeats=1), [HERE])
    attempts = done(with_digests(whole, AGREED), **changed)
    left = remaining(with_digests(whole, AGREED), attempts)
    assert [redo.words for redo in left.redo] == [words]
    assert left.changes() == {words: 1}
    assert [a.fence for a in left.attempts["id-here"]] == [1]
    kept = remaining(with_digests(whole, AGREED), attempts, missing_only=True)
    assert (kept.attempts, kept.finished) == ({}, 1)
    assert [redo.words for redo in kept.redo] == [words]


def test_a_setting_of_the_engine_that_came_is_named() -> None:
    now = machine("here", environment={"OLLAMA_NUM_PARALLEL": "1"}, models=[model("a")])
    whole = expand(request(models=["a"], repeats=1), [now])
    (redo,) = remaining(whole, done(whole, engine_environment="{}")).redo
    assert redo.words == "OLLAMA_NUM_PARALLEL not set -> 1"


def test_missing_only_still_asks_what_never_went_well() -> None:
    whole = plan(HERE)
    attempts = done(whole, outcome="failed", engine_version="0.1")
    assert len(remaining(whole, attempts, missing_only=True).attempts["id-here"]) == 4


def test_one_good_attempt_among_others_is_enough() -> None:
    whole = plan(HERE)
    first = next(iter(whole.trials()))
    tries = [
        past(first, HERE, fence=0, outcome="failed", transient=True),
        past(first, HERE, fence=1),
        past(first, HERE, fence=2, engine_version="0.1"),
    ]
    left = remaining(whole, tries)
    assert first not in [a.trial for a in left.attempts["id-here"]]
    assert left.redo == ()


def test_the_change_is_told_from_the_latest_good_attempt() -> None:
    whole = plan(HERE, repeats=1)
    first = next(iter(whole.trials()))
    tries = [past(first, HERE, fence=n, engine_version=f"0.{n}") for n in (0, 2, 1)]
    (redo,) = remaining(whole, tries).redo
    assert redo.words == "Ollama 0.2 -> 0.32.15"


def test_the_next_fence_is_above_every_past_one() -> None:
    whole = plan(HERE)
    first = next(iter(whole.trials()))
    tries = [past(first, HERE, fence=fence, outcome="cancelled") for fence in (0, 4, 2)]
    left = remaining(whole, tries).attempts["id-here"]
    fences = {attempt.trial.trial_id: attempt.fence for attempt in left}
    assert fences[first.trial_id] == 5
    assert sorted(fences.values()) == [0, 0, 0, 5]


def test_before_the_models_are_fetched_the_machines_own_digest_counts() -> None:
    bare = expand(request(models=["a", "b"], repeats=1), [HERE])
    assert remaining(bare, done(bare)).attempts == {}
    assert len(remaining(bare, done(bare, digest="old")).redo) == 2
    absent = machine("here", gpu_limit_mb=73_728)
    bare = expand(request(models=["a"], repeats=1), [absent])
    assert remaining(bare, done(bare, digest="old")).attempts == {}


def test_a_digest_is_the_same_with_and_without_its_prefix() -> None:
    whole = expand(request(models=["a"], repeats=1), [HERE])
    attempts = done(with_digests(whole, {"a": "f00"}))
    assert remaining(with_digests(whole, {"a": "sha256:f00"}), attempts).attempts == {}


def test_attempts_of_other_trials_change_nothing() -> None:
    other = plan(HERE, name="another")
    assert remaining(plan(HERE), done(other)).finished == 0


NAMES = {"1": "one", "2": "two", "3": "three"}


def held(*values: str) -> dict[str, list[Any]]:
    return {
        str(i): [model("gpt-oss:20b", digest=value), model("other")]
        for i, value in enumerate(values, 1)
    }


def test_equal_digests_are_agreed_on() -> None:
    models = held("sha256:f00", "f00")
    assert digests(models, NAMES, ["gpt-oss:20b", "other:latest", "nobody"]) == {
        "gpt-oss:20b": "sha256:f00",
        "other:latest": "other-digest",
    }


def test_the_machine_that_differs_from_the_others_is_told_to_pull() -> None:
    with pytest.raises(PlanRefused) as refused:
        digests(held("a" * 64, "b" * 64, "a" * 64), NAMES, ["gpt-oss:20b"])
    assert str(refused.value) == (
        "gpt-oss:20b is not the same model on every machine: "
        "one has aaaaaaaaaaaa, two has bbbbbbbbbbbb, three has aaaaaaaaaaaa\n"
        "  on two: ollama pull gpt-oss:20b"
    )


def test_without_a_majority_all_are_told_to_pull() -> None:
    with pytest.raises(PlanRefused) as refused:
        digests(held("a" * 64, "b" * 64), NAMES, ["gpt-oss:20b"])
    assert refused.value.hint == (
        "on one: ollama pull gpt-oss:20b\n  on two: ollama pull gpt-oss:20b"
    )


def queues(whole: Plan) -> dict[str, tuple[Attempt, ...]]:
    return dict(remaining(whole, []).attempts)


@given(st.floats(0, 500), st.integers(1, 4), st.integers(0, 3))
def test_the_time_holds_whole_blocks_only(seconds: float, repeats: int, begun: int) -> None:
    whole = plan(repeats=repeats)
    attempts = {m: queue[begun:] for m, queue in queues(whole).items()}
    fits = within(attempts, seconds=seconds)
    for machine_id, queue in attempts.items():
        kept = fits.kept.get(machine_id, ())
        assert kept == tuple(queue[: len(kept)])
        assert sum(a.trial.estimate_s for a in kept) <= seconds
        assert not {a.trial.block for a in kept} & {a.trial.block for a in queue[len(kept) :]}
        left = [
            block
            for each in fits.left_out
            if each.machine_id == machine_id
            for block in each.blocks
        ]
        assert left == sorted({a.trial.block for a in queue[len(kept) :]})


def test_the_first_block_too_long_ends_it_with_the_reason() -> None:
    settings = expand(request(models=["a"]), [HERE]).machines[0].trials[0].cell()[3]
    cell = ("id-here", "a", "chat", settings)
    whole = expand(
        request(models=["a"], repeats=4), [HERE], PlanOptions(past_seconds={cell: 120.0})
    )
    fits = within(queues(whole), seconds=290)
    assert [a.trial.block for a in fits.kept["id-here"]] == [0, 1]
    (left,) = fits.left_out
    assert (left.machine, left.blocks) == ("here", (2, 3))
    assert left.reason == "block 3 takes about 2 min, 50 s are left"


def test_a_machine_with_hours_has_only_those_of_the_time() -> None:
    """Of four hours from 6:00 on, one is within 22-07."""
    settings = expand(request(models=["a"]), [HERE]).machines[0].trials[0].cell()[3]
    cell = ("id-here", "a", "chat", settings)
    whole = expand(
        request(models=["a"], repeats=4), [HERE], PlanOptions(past_seconds={cell: 1500.0})
    )
    night = replace(HERE, hours=Hours.read("22-07"), minute_of_day=360)
    fits = within(queues(whole), seconds=4 * 3600, machines={"id-here": night})
    assert [a.trial.block for a in fits.kept["id-here"]] == [0, 1]
    assert fits.left_out[0].reason == "block 3 takes about 25 min, 10 min are left"
    assert within(queues(whole), seconds=4 * 3600, machines={"id-here": HERE}).left_out == ()


def test_no_time_keeps_nothing() -> None:
    fits = within(queues(plan()), seconds=-1)
    assert fits.kept == {}
    assert fits.left_out[0].reason.endswith(", 0 s are left")


def test_after_a_block_too_long_no_shorter_one_is_started() -> None:
    whole = plan(HERE)
    queue = queues(whole)["id-here"][:3]  # block 0 whole, half of block 1
    assert within({"id-here": queue}, seconds=queue[2].trial.estimate_s).kept == {}
