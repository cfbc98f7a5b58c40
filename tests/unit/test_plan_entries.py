"""What the queue says of each trial before anything is dispatched."""

from __future__ import annotations

from fleet.plan.entries import QueueEntry, entries
from fleet.plan.expand import expand
from tests.builders_plan import machine, model, past, request


def test_what_failed_for_good_and_was_never_tried_are_told_apart() -> None:
    alpha = machine("alpha", models=[model("tiny")])
    plan = expand(request(models=["tiny"], repeats=3), [alpha])
    well, badly, never = plan.work()
    before = [past(well, alpha), past(badly, alpha, outcome="failed", reason="out_of_memory")]
    assert list(entries(plan, before, {}, {})) == [
        QueueEntry(trial=well, state="done"),
        QueueEntry(trial=badly, state="failed", reason="out_of_memory"),
        QueueEntry(trial=never, state="failed", reason="no attempt of it is stored"),
    ]
