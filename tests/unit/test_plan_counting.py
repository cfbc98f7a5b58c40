"""Every trial that an experiment asks for is planned, or counted with the reason why not."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.model.machine import Machine
from fleet.plan.absent import AbsentMachine, KnownMachine
from fleet.plan.expand import Plan, PlanOptions, expand
from tests.builders_plan import CHAT, GIB, SWEEP, machine, model, request

LONG = SWEEP.model_copy(update={"name": "long", "points": (SWEEP.points[2],)})
"""One point of 8192 tokens: a context of 2048 leaves nothing of it."""
BIG = model("big", size_bytes=100 * GIB)


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    least = draw(st.integers(1, 3))
    contexts = draw(st.lists(st.sampled_from([2048, 16384]), min_size=1, unique=True))
    batches = draw(st.lists(st.sampled_from([8, 64, 512]), min_size=1, unique=True))
    return {
        "jobs": draw(st.lists(st.sampled_from([CHAT, SWEEP, LONG]), min_size=1, unique=True)),
        "models": draw(st.lists(st.sampled_from(["tiny", "big"]), min_size=1, unique=True)),
        "settings": {"num_ctx": contexts, "num_batch": batches},
        "repeats": {"least": least, "most": draw(st.integers(least, 4))},
        "canary": draw(st.sampled_from(["on", "off"])),
        "control": draw(st.sampled_from(["on", "off"])),
    }


@st.composite
def machines(draw: st.DrawFn) -> list[Machine]:
    """Some answer, some do not, and on some the larger model spills."""
    return [
        machine(
            name,
            models=[model("tiny"), BIG],
            engine_error=draw(st.sampled_from(["", "", "no engine answers"])),
            gpu_limit_mb=draw(st.sampled_from([64 * 1024, 256 * 1024])),
        )
        for name in draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True))
    ]


@st.composite
def absentees(draw: st.DrawFn) -> list[AbsentMachine]:
    return [
        AbsentMachine(
            known=KnownMachine(
                name=name,
                machine_id=draw(st.sampled_from([f"id-{name}", None])),
                expected=draw(st.booleans()),
            ),
            state="absent",
            reason="it is not joined now",
        )
        for name in draw(st.lists(st.sampled_from("xyz"), unique=True))
    ]


@settings(deadline=None, max_examples=150)
@given(
    experiments(),
    machines(),
    absentees(),
    st.booleans(),
    st.sampled_from(["measure", "noise"]),
)
def test_asked_is_planned_plus_left_out(
    fields: dict[str, Any],
    present: list[Machine],
    away: list[AbsentMachine],
    skip_unfit: bool,
    role: Any,
) -> None:
    wanted = request(**fields).model_copy(update={"role": role})
    plan = expand(wanted, present, PlanOptions(skip_unfit=skip_unfit), absent=away)
    left = sum(cells.trials for cells in plan.left_trials)
    assert plan.trials_asked == len(list(plan.work())) + left
    assert all(cells.reason for cells in plan.left_trials)
    assert plan.trials_asked - controls(plan) == by_hand(fields, present, away, role)
    assert names_of(plan) == {each.name for each in (*present, *away)}


def controls(plan: Plan) -> int:
    return sum(t.role == "noise" for t in plan.work()) if plan.request.role == "measure" else 0


def by_hand(
    fields: dict[str, Any], present: list[Machine], away: list[AbsentMachine], role: str
) -> int:
    axes = fields["settings"]
    cells = len(fields["jobs"]) * len(fields["models"])
    cells *= len(axes["num_ctx"]) * len(axes["num_batch"])
    sides = 2 if role == "noise" else 1
    expected = sum(each.known.expected for each in away)
    return cells * fields["repeats"]["most"] * sides * (len(present) + expected)


def names_of(plan: Plan) -> set[str]:
    """Every machine is planned, refused, or named as absent."""
    planned = {each.machine.name for each in plan.machines}
    return planned | set(plan.refused) | {each.machine.name for each in plan.absent}


def test_a_model_left_out_by_the_users_own_words_is_no_loss() -> None:
    wanted = request(models=("tiny", "big"), repeats=2)
    small = machine("a", models=[model("tiny"), BIG], gpu_limit_mb=64 * 1024)
    plan = expand(wanted, [small], PlanOptions(skip_unfit=True))
    [left] = plan.left_trials
    assert (left.machine, left.trials, left.by_choice) == ("a", 2, True)
    assert "would spill to the CPU" in left.reason


def test_the_trials_of_an_absent_machine_have_the_ids_that_they_would_have() -> None:
    here = machine("a", models=[model("tiny")])
    away = AbsentMachine(
        known=KnownMachine(name="a", machine_id="id-a"), state="absent", reason="it is off"
    )
    wanted = request(repeats=2, canary="on")
    there = expand(wanted, [here])
    gone = expand(wanted, [machine("b", models=[model("tiny")])], absent=[away])
    [plan] = gone.absent
    assert [t.trial_id for t in plan.trials] == [t.trial_id for t in there.trials()]
