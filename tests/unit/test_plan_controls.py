"""The A/A control of an experiment: which cells it measures twice more, and where it is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from fleet.model.experiment import Request
from fleet.plan.expand import Plan, expand
from fleet.report.plan_text import as_data, order_lines, plan_lines
from tests.builders_plan import CHAT, SWEEP, machine, model, request

HERE = machine("here", models=[model("a"), model("b")])


def asked(**changes: Any) -> Request:
    fields: dict[str, Any] = {
        "models": ["a", "b"],
        "jobs": [CHAT],
        "settings": {"num_batch": [8, 128, 512]},
        "repeats": 5,
        "control": "on",
    }
    return request(**{**fields, **changes})


def pairs(plan: Plan) -> Counter[tuple[Any, ...]]:
    """How often each side of each cell is asked in a block."""
    return Counter(
        (t.block, t.model, t.job.name, t.settings["num_batch"], t.side)
        for t in plan.trials()
        if t.role == "noise"
    )


def test_each_block_has_the_baseline_cell_of_each_model_and_job_twice_more() -> None:
    plan = expand(asked(jobs=[CHAT, SWEEP]), [HERE])
    found = pairs(plan)
    assert set(found.values()) == {1}
    assert set(found) == {
        (block, name, job, 8, side)
        for block in range(5)
        for name in "ab"
        for job in ("chat", "sweep")
        for side in "ab"
    }
    assert sum(trial.role == "measure" for trial in plan.trials()) == 5 * 2 * 2 * 3
    assert len({trial.trial_id for trial in plan.trials()}) == 5 * 2 * 2 * (3 + 2)


@pytest.mark.parametrize(
    ("changes", "cells"),
    [
        ({"baseline": "128"}, {128}),
        ({"baseline": "128", "compare_by": "num_batch"}, {128}),
        ({"baseline": "b", "compare_by": "model"}, {8}),
        ({"compare_by": "machine"}, {8}),
        ({"settings": {"num_batch": 64}}, {64}),
    ],
)
def test_the_baseline_is_the_one_named_or_the_first(
    changes: dict[str, Any], cells: set[int]
) -> None:
    assert {key[3] for key in pairs(expand(asked(**changes), [HERE]))} == cells


def test_the_measured_trials_are_those_without_a_control() -> None:
    with_control, without = (expand(asked(control=c), [HERE]) for c in ("on", "off"))
    measured = {t.trial_id for t in with_control.trials() if t.role == "measure"}
    assert measured == {t.trial_id for t in without.trials()}
    assert not without.controls()


def test_a_run_that_is_all_control_has_no_further_one() -> None:
    plan = expand(asked().model_copy(update={"role": "noise"}), [HERE])
    assert len(pairs(plan)) == sum(pairs(plan).values()) == 5 * 2 * 3 * 2
    assert not plan.controls()


def test_the_plan_tells_of_it() -> None:
    plan = expand(asked(repeats=4), [HERE])
    [line] = [line for line in plan_lines(plan) if "control" in line]
    assert line.strip() == (
        "with a control, twice more in each block: a chat num_batch=8, b chat num_batch=8; "
        "below 5 repeats it gives no noise floor"
    )
    assert "below 5" not in "\n".join(plan_lines(expand(asked(), [HERE])))
    assert sum("control a  a" in line for line in order_lines(plan)) == 1
    [told] = as_data(plan)["machines"]  # type: ignore[misc, union-attr]
    assert Counter(trial["role"] for trial in told["trials"]) == {"measure": 24, "noise": 16}
