"""What is compared with what, when enough is known, and when a cell takes too long."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import UnknownName
from fleet.model.experiment import Repeats
from fleet.model.job import Job
from fleet.model.trial import Trial
from fleet.plan.contrasts import axis_of
from fleet.plan.expand import Cell, Plan, expand
from fleet.plan.stopping import WORTH_CUTTING_S, Progress, cut, stopped
from tests.builders_plan import CHAT, SWEEP, machine, request

A, B = machine("m-a", memory_gb=96), machine("m-b", memory_gb=128)
C = machine("m-c", memory_gb=96)
STRICT = Repeats(least=3, most=6, half_width_percent=3)


@pytest.mark.parametrize(
    ("fields", "machines", "expected"),
    [
        ({"settings": {"num_batch": [8, 512]}, "models": ["a", "b"]}, [A, B], "num_batch"),
        ({"models": ["a", "b"]}, [A, B], "machine"),
        ({"models": ["a", "b"]}, [A], "model"),
        ({}, [A], ""),
        ({"compare_by": "memory_gb"}, [A, B], "memory_gb"),
        ({"compare_by": "model", "settings": {"num_batch": [8, 512]}}, [A, B], "model"),
    ],
)
def test_the_axis_is_the_one_thing_that_varies(
    fields: dict[str, Any], machines: list[Any], expected: str
) -> None:
    assert axis_of(request(**fields), machines) == expected


def test_an_unknown_axis_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName) as unknown:
        axis_of(request(compare_by="memory"), [A])
    assert str(unknown.value).startswith(
        "compare_by: memory is nothing to compare by (did you mean memory_gb?)\n"
        "  there are machine, model, job, num_ctx, num_batch,"
    )


def shown(plan: Plan) -> list[dict[str, set[tuple[str, str, str]]]]:
    return [
        {side: {cell[:3] for cell in cells} for side, cells in contrast.sides}
        for contrast in plan.contrasts
    ]


def test_contrasts_of_a_setting_hold_machine_model_and_job() -> None:
    jobs = [CHAT, CHAT.model_copy(update={"name": "talk"})]
    settings = {"num_batch": [8, 512], "temperature": [0, 1]}
    found = expand(request(models=["a", "b"], jobs=jobs, settings=settings), [A, B]).contrasts
    assert len(found) == 2 * 2 * 2 * 2
    for contrast in found:
        assert [side for side, _ in contrast.sides] == ["8", "512"]
        assert len({cell[:3] for cell in contrast.cells}) == 1
        assert len({cell[3].split("temperature=")[1] for cell in contrast.cells}) == 1


def test_contrasts_of_machines_and_of_models() -> None:
    asked = request(models=["a", "b"], repeats=2)
    assert shown(expand(asked, [A, B])) == [
        {"m-a": {("id-m-a", m, "chat")}, "m-b": {("id-m-b", m, "chat")}} for m in "ab"
    ]
    assert shown(expand(asked, [A])) == [
        {"a": {("id-m-a", "a", "chat")}, "b": {("id-m-a", "b", "chat")}}
    ]


def test_contrasts_of_jobs_hold_machine_and_model() -> None:
    jobs = [CHAT, CHAT.model_copy(update={"name": "talk"})]
    asked = request(models=["a", "b"], jobs=jobs, compare_by="job")
    assert shown(expand(asked, [A])) == [
        {"chat": {("id-m-a", m, "chat")}, "talk": {("id-m-a", m, "talk")}} for m in "ab"
    ]


def test_contrasts_of_a_fact_group_the_machines() -> None:
    asked = request(models=["a"], compare_by="memory_gb")
    untold = machine("m-d", memory_gb=None)
    assert shown(expand(asked, [A, B, C, untold])) == [
        {
            "96": {("id-m-a", "a", "chat"), ("id-m-c", "a", "chat")},
            "128": {("id-m-b", "a", "chat")},
        }
    ]


def test_one_side_is_no_contrast() -> None:
    assert expand(request(), [A]).contrasts == ()
    assert expand(request(compare_by="memory_gb"), [A, C]).contrasts == ()


def test_a_job_that_lost_a_point_is_still_compared() -> None:
    asked = request(jobs=[SWEEP], settings={"num_ctx": [8192, 16384]})
    (contrast,) = expand(asked, [A]).contrasts
    assert [side for side, _ in contrast.sides] == ["8192", "16384"]


PLAN = expand(request(models=["a", "b"], repeats={"least": 3, "most": 6}), [A, B])
TRIALS = list(PLAN.trials())
CELLS = sorted({trial.cell() for trial in TRIALS})
CONTRASTS = PLAN.contrasts
FIRST, SECOND = (contrast.cells for contrast in CONTRASTS)


def stop(widths: dict[frozenset[Cell], float], done: dict[Cell, int], **more: Any) -> set[Cell]:
    ids = stopped(TRIALS, CONTRASTS, STRICT, Progress(widths=widths, done_blocks=done, **more))
    cells = {trial.cell() for trial in TRIALS if trial.trial_id in ids}
    assert ids == {trial.trial_id for trial in TRIALS if trial.cell() in cells}
    return cells


@given(
    st.dictionaries(st.sampled_from([FIRST, SECOND]), st.floats(0, 0.1)),
    st.dictionaries(st.sampled_from(CELLS), st.integers(0, 6)),
    st.sets(st.sampled_from(CELLS)),
)
def test_nothing_stops_below_least_or_goes_on_at_most(
    widths: dict[frozenset[Cell], float], done: dict[Cell, int], lost: set[Cell]
) -> None:
    ended = stop(widths, done, lost=lost)
    assert all(done.get(cell, 0) >= STRICT.least for cell in ended)
    assert {cell for cell, blocks in done.items() if blocks >= STRICT.most} <= ended


@pytest.mark.parametrize(
    ("width", "blocks", "stops"),
    [(0.03, 3, True), (0.0301, 3, False), (0.001, 2, False), (float("nan"), 5, False)],
)
def test_a_contrast_stops_when_it_is_known_closely(width: float, blocks: int, stops: bool) -> None:
    done = dict.fromkeys(CELLS, blocks)
    assert stop({FIRST: width}, done) == (set(FIRST) if stops else set())


def test_every_cell_of_a_contrast_must_have_its_least() -> None:
    late = next(iter(FIRST))
    assert stop({FIRST: 0.001}, {**dict.fromkeys(CELLS, 4), late: 2}) == set()


def test_a_cell_waits_for_every_contrast_that_holds_it() -> None:
    overlap = CONTRASTS[0].sides[0][1] | CONTRASTS[1].sides[0][1]
    both = [*CONTRASTS, type(CONTRASTS[0])(axis="x", sides=(("1", overlap), ("2", FIRST)))]
    done = dict.fromkeys(CELLS, 4)
    ids = stopped(TRIALS, both, STRICT, Progress(widths={FIRST: 0.01}, done_blocks=done))
    assert ids == frozenset()


def test_a_width_not_known_is_no_reason_to_stop() -> None:
    assert stop({}, dict.fromkeys(CELLS, 5)) == set()


def test_no_contrast_waits_for_a_cell_that_fails_for_good() -> None:
    lost = next(iter(FIRST))
    (other,) = FIRST - {lost}
    assert stop({}, {other: 3}, lost=[lost]) == {other}


def test_a_cell_that_nothing_is_compared_with_ends_at_least() -> None:
    plan = expand(request(), [A])
    trials = list(plan.trials())
    for blocks, expected in ((4, 0), (5, 12)):
        ids = stopped(
            trials,
            plan.contrasts,
            plan.repeats,
            Progress(widths={}, done_blocks={trials[0].cell(): blocks}),
        )
        assert len(ids) == expected


def test_a_cell_over_three_times_its_estimate_is_cut() -> None:
    (trial, *_) = expand(request(jobs=[CHAT]), [A]).trials()
    estimate = trial.estimate_s
    assert cut(trial, 3 * estimate) is trial
    short = cut(trial, 4 * estimate)
    assert short.cut
    assert short.trial_id == trial.trial_id
    assert short.estimate_s == pytest.approx(4 * estimate * 2 / 4)  # 1 + 1 of 3 + 1 requests
    assert cut(short, 1000 * estimate) is short


def test_a_short_cell_is_never_cut() -> None:
    (trial, *_) = expand(request(jobs=[CHAT]), [A]).trials()
    short = replace(trial, estimate_s=0.5)
    assert cut(short, WORTH_CUTTING_S) is short
    assert cut(short, WORTH_CUTTING_S + 1).cut


def test_a_cut_job_of_one_request_keeps_its_time() -> None:
    job = Job(name="once", prompt="x", requests=1, warmup=0)
    (trial, *_) = expand(request(jobs=[job]), [A]).trials()
    assert cut(trial, 4 * trial.estimate_s).estimate_s == pytest.approx(4 * trial.estimate_s)


@given(st.data())
def test_stopping_leaves_whole_blocks_whatever_the_widths_and_the_pace(data: st.DataObject) -> None:
    """Two machines at their own pace, widths that come and go; each trial is one step."""
    asked = request(
        models=["a", "b"],
        settings={"num_batch": [8, 512]},
        canary="on",
        repeats={"least": 2, "most": 5},
    )
    plan = expand(asked, [A, B])
    every = plan.contrasts
    queues = {one.machine.machine_id: list(one.trials) for one in plan.machines}
    measured: dict[str, list[Trial]] = {key: [] for key in queues}
    done: Counter[Cell] = Counter()
    while any(queues.values()):
        machine_id = data.draw(st.sampled_from([key for key, left in queues.items() if left]))
        trial = queues[machine_id].pop(0)
        if trial.role == "canary":
            continue
        measured[machine_id].append(trial)
        done[trial.cell()] += 1
        begun = {key: max((t.block for t in mine), default=-1) for key, mine in measured.items()}
        widths = {each.cells: data.draw(st.sampled_from([0.01, 0.5])) for each in every}
        gone = stopped(
            [t for left in queues.values() for t in left],
            every,
            plan.repeats,
            Progress(widths=widths, done_blocks=done, begun=begun),
        )
        for left in queues.values():
            left[:] = [t for t in left if t.trial_id not in gone]
    for mine in measured.values():
        for cell in {trial.cell() for trial in mine}:
            blocks = sorted(trial.block for trial in mine if trial.cell() == cell)
            assert blocks == list(range(len(blocks))), "no block of a cell is left out"
            assert 2 <= len(blocks) <= 5
    for each in every:
        for key in measured:
            sides = {done[cell] for cell in each.cells if cell[0] == key}
            assert len(sides) <= 1, "the sides are paired by block"


ALONE = expand(request(jobs=[CHAT, SWEEP], repeats={"least": 3, "most": 6}), [A])
"""Two jobs of one model on one machine: nothing is compared with anything."""

LONE = [frozenset([cell]) for cell in sorted({trial.cell() for trial in ALONE.trials()})]


def stop_alone(
    widths: dict[frozenset[Cell], float], done: dict[Cell, int], **more: Any
) -> set[Cell]:
    trials = [trial for trial in ALONE.trials() if trial.role == "measure"]
    ids = stopped(
        trials, ALONE.contrasts, ALONE.repeats, Progress(widths=widths, done_blocks=done, **more)
    )
    return {trial.cell() for trial in trials if trial.trial_id in ids}


@given(
    st.fixed_dictionaries({cell: st.floats(0, 0.1) for cell in LONE}),
    st.fixed_dictionaries({cell: st.integers(0, 6) for (cell,) in LONE}),
)
def test_a_cell_that_stands_alone_ends_on_its_own_interval(
    widths: dict[frozenset[Cell], float], done: dict[Cell, int]
) -> None:
    """Half of it within 3 %, not before three blocks and not after six, whatever the others do."""
    assert stop_alone(widths, done) == {
        cell
        for (cell,) in LONE
        if done[cell] >= 6 or (done[cell] >= 3 and widths[frozenset([cell])] <= 0.03)
    }


@pytest.mark.parametrize(("width", "stops"), [(0.48, False), (float("inf"), False), (0.03, True)])
def test_one_cell_is_not_known_at_a_spread_of_half(width: float, stops: bool) -> None:
    (cell,) = LONE[0]
    assert (cell in stop_alone({LONE[0]: width}, {cell: 4})) is stops


def test_a_cell_whose_partners_fail_for_good_stands_alone() -> None:
    """Its own interval counts then, and that of the contrast no more."""
    lost = next(iter(FIRST))
    (other,) = FIRST - {lost}
    done = {other: 4}
    own = frozenset([other])
    assert stop({own: 0.2, FIRST: 0.001}, done, lost=[lost]) == set()
    assert stop({own: 0.02, FIRST: float("inf")}, done, lost=[lost]) == {other}


def test_the_own_interval_of_a_cell_that_is_compared_counts_for_nothing() -> None:
    done = dict.fromkeys(CELLS, 4)
    own = {frozenset([cell]): 0.9 for cell in FIRST}
    assert stop({FIRST: 0.01, **own}, done) == set(FIRST)


def test_canaries_and_a_run_that_is_all_noise_are_not_stopped_by_any_width() -> None:
    plan = expand(request(canary="on", repeats={"least": 2, "most": 4}), [A])
    (cell,) = {trial.cell() for trial in plan.trials() if trial.role == "measure"}
    ids = stopped(
        list(plan.trials()),
        (),
        plan.repeats,
        Progress(widths={frozenset([cell]): 0.0}, done_blocks={cell: 2}),
    )
    roles = {trial.role for trial in plan.trials() if trial.trial_id in ids}
    assert roles == {"measure"}
