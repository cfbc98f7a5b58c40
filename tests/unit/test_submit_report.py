"""What the end of a submit says of the ratios and medians that the plan wanted to know."""

from __future__ import annotations

import math

from fleet.app.submit_report import wanted_precisions
from fleet.compare.precision import Precision
from fleet.plan.expand import Cell, Plan, expand
from fleet.report.precision_text import precision_lines
from tests.builders_plan import CHAT, SWEEP, machine, model, request

A = machine("m-a", models=[model("a"), model("b")])


def planned(**changes: object) -> Plan:
    return expand(request(**{"repeats": {"least": 3, "most": 6}, **changes}), [A])


def cells(plan: Plan) -> list[Cell]:
    return sorted({trial.cell() for trial in plan.trials() if trial.role == "measure"})


def known(width: float, *of: Cell, sides: tuple[str, ...] = ()) -> Precision:
    return Precision(
        cells=frozenset(of),
        half_width=width,
        metric="decode",
        sides=sides,
        machine="m-a",
        model=of[0][1],
        job=of[0][2],
        settings=of[0][3],
    )


def test_each_contrast_and_each_lone_cell_of_the_plan_is_there_once() -> None:
    plan = planned(models=["a", "b"], settings={"num_batch": [8, 512]})
    a8, a512, b8, b512 = sorted(cells(plan), key=lambda c: (c[1], len(c[3]), c[3]))
    found = [
        known(0.02, a8, a512, sides=("8", "512")),
        known(0.001, b8),  # its partner has no valid request: it tells nothing of the ratio
    ]
    wanted = wanted_precisions(found, plan)
    assert [(each.model, each.half_width, each.sides) for each in wanted] == [
        ("a", 0.02, ("8", "512")),
        ("b", math.inf, ("8", "512")),
    ]
    assert {b8, b512} == wanted[1].cells
    assert precision_lines(wanted, 0.03) == [
        "not known within 3 % as asked (half of the 95 % interval):",
        "  b chat on m-a, 512 against 8: not known: it takes two valid trials a side",
    ]


def test_a_lone_cell_without_any_value_is_not_known() -> None:
    plan = planned(jobs=[CHAT, SWEEP], models=["a"])
    first, second = cells(plan)
    wanted = wanted_precisions([known(0.5, first)], plan)
    assert {each.job: each.half_width for each in wanted} == {
        first[2]: 0.5,
        second[2]: math.inf,
    }
    lines = precision_lines(wanted, 0.03)
    assert f"  a {second[2]} on m-a: not known: it takes two valid trials" in lines
    assert f"  a {first[2]} on m-a: known within 50 % (decode)" in lines
