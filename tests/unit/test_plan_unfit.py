"""What of the workloads cannot run, said before anything runs."""

from __future__ import annotations

from dataclasses import replace

from fleet.model.job import Job, Point
from fleet.plan.expand import expand
from tests.builders_plan import CHAT, machine, request


def test_a_text_that_cannot_fit_the_context_is_left_out() -> None:
    """A word has a token or more."""
    words = Job(name="long", prompt="word " * 300, points=(Point(output_tokens=8),))
    talk = Job(name="talk", turns=("why",) * 4, points=(Point(output_tokens=64),))
    plan = expand(request(jobs=[words, talk, CHAT], settings={"num_ctx": 256}), [machine()])
    assert [str(left) for left in plan.left_out] == [
        "long: long needs num_ctx >= 512, settings.num_ctx is 256",
        "talk: talk needs num_ctx >= 512, settings.num_ctx is 256",
    ]


def test_streams_are_left_out_where_the_engine_answers_one_at_a_time() -> None:
    points = tuple(Point(output_tokens=8, concurrency=count) for count in (1, 4))
    asked = request(jobs=[CHAT.model_copy(update={"points": points})])
    assert not expand(asked, [machine()]).left_out
    engine = machine().engine
    assert engine is not None
    alone = replace(machine(), engine=replace(engine, kind="embedded", concurrent=False))
    plan = expand(asked, [alone])
    (left,) = plan.left_out
    assert str(left) == "chat: embedded answers one request at a time, not 4 streams"
    assert {trial.job.points for trial in plan.trials()} == {points[:1]}
