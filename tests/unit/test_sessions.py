"""Recorded sessions of an agent: their file, what is sent of them, and how long that takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.config.reading import read_job
from fleet.errors import Mistake
from fleet.model.job import Job, Point
from fleet.model.session import MOST_TURNS, Session
from fleet.units import NS_PER_S
from tests.unit.test_runner_workloads import WorkEngine, measured, run

SHIPPED = Path(__file__).parents[2] / "jobs"
TURNS = [
    {"user": "mend it", "assistant": "I look first"},
    {"tool": "read_file", "result": "1  x = 1", "assistant": "I change it", "pause_s": 2.5},
    {"user": "thanks", "assistant": "it was a pleasure", "pause_s": 4},
]
SESSION: dict[str, Any] = {
    "version": 1,
    "why": "made up",
    "system": "You are an agent.\n",
    "tools": [{"name": "read_file", "description": "Reads.", "parameters": {"type": "object"}}],
    "turns": TURNS,
}


def session(**changes: Any) -> Session:
    return Session.model_validate({**SESSION, **changes})


def job(**changes: Any) -> Job:
    points = (Point(output_tokens=8),)
    return Job(name="agent", session=session(), points=points, requests=1, **changes)


def test_each_turn_sends_the_record_before_it_whatever_the_model_answered() -> None:
    engine = WorkEngine()
    result = run(engine, job())
    warm_up, *asks = engine.asked
    assert warm_up.history == ()
    assert [ask.prompt for ask in asks] == [
        "mend it",
        "Result of read_file:\n1  x = 1",
        "thanks",
    ]
    assert [len(ask.history) for ask in asks] == [0, 1, 2]
    assert asks[2].history == (
        ("mend it", "I look first"),
        ("Result of read_file:\n1  x = 1", "I change it"),
    )
    assert [ask.reuse for ask in asks] == [False, True, True]
    nonce, text, head, tool = str(asks[0].system).split("\n")
    assert nonce
    assert (text, head) == ("You are an agent.", "Tools:")
    assert json.loads(tool)["name"] == "read_file"
    assert {ask.system for ask in asks} == {asks[0].system}
    assert not any(ask.keep_text for ask in asks), "nobody needs what it says"
    assert [record.point for record in measured(result)] == [f"agent@t{n}" for n in range(3)]


def test_what_was_reused_is_what_the_engine_says_and_else_not_known() -> None:
    silent = run(WorkEngine(), job(warmup=0))
    assert [record.reused_tokens for record in measured(silent)] == [0, None, None]
    telling = WorkEngine(lambda ask, reply: replace(reply, cached_tokens=7))
    assert [r.reused_tokens for r in measured(run(telling, job(warmup=0)))] == [0, 7, 7]


def test_pauses_are_waited_for_but_not_in_a_warm_up() -> None:
    engine, still = WorkEngine(), WorkEngine()
    paused = run(engine, job())
    turns = [{**turn, "pause_s": 0} for turn in TURNS]
    without = run(still, job().model_copy(update={"session": session(turns=turns)}))
    waited_ns = paused.duration_ns - without.duration_ns
    assert waited_ns == round(6.5 * NS_PER_S)
    sent = [record.reply.sent_ns for record in measured(paused)]
    assert sent[1] - measured(paused)[0].reply.ended_ns >= 2.5 * NS_PER_S


def test_a_job_is_told_by_what_its_session_sends_and_not_by_why_or_by_its_file() -> None:
    other = job().model_copy(update={"session": session(why="another")})
    assert job().content() == other.content()
    assert "session_file" not in job().content()
    changed = [{**TURNS[0], "assistant": "I look twice"}, *TURNS[1:]]
    assert job().content() != job().model_copy(update={"session": session(turns=changed)}).content()


def test_the_context_holds_the_whole_record_and_one_answer() -> None:
    words = len(f"{session().system_text()} mend it I look first".split())
    needed = job().least_tokens(job().points[0])
    assert (
        needed
        == words
        + len("Result of read_file: 1 x = 1 I change it thanks it was a pleasure".split())
        + 8
    )


def written(folder: Path, content: object, **of_job: Any) -> tuple[Job | None, tuple[Mistake, ...]]:
    (folder / "mine.yaml").write_text(json.dumps(content))
    (folder / "agent.yaml").write_text(
        json.dumps({"name": "agent", "session_file": "mine.yaml", **of_job})
    )
    read = read_job(folder / "agent.yaml")
    return read.noun, read.mistakes


def test_a_job_takes_its_session_from_a_file(tmp_path: Path) -> None:
    read, mistakes = written(tmp_path, SESSION)
    assert mistakes == ()
    assert read is not None
    assert read.session == session()


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"turns": []}, "turns"),
        ({"turns": [{"assistant": "a"}]}, "needs user, or tool and result"),
        ({"turns": [{"user": "a", "tool": "b", "result": "c", "assistant": "d"}]}, "needs user"),
        ({"turns": [{"tool": "a", "assistant": "b"}]}, "tool and result belong together"),
        ({"turns": [{"user": " ", "assistant": "b"}]}, "is empty"),
        ({"turns": [{"user": "a", "assistant": "b", "pause_s": 601}]}, "at most 600"),
        ({"turns": [{"user": "a", "assistant": "b", "pause_s": -1}]}, "at least 0"),
        ({"turns": [{"user": "a", "assistent": "b"}]}, "did you mean assistant"),
        ({"turns": [{"user": "a", "assistant": "b"}] * (MOST_TURNS + 1)}, str(MOST_TURNS)),
        ({"system": ""}, "is empty"),
        ({"version": 2}, "version"),
        ({"tools": [{"name": "x"}]}, "description"),
    ],
)
def test_every_mistake_has_its_place_in_the_file_of_the_session(
    tmp_path: Path, changes: dict[str, Any], mistake: str
) -> None:
    _, mistakes = written(tmp_path, {**SESSION, **changes})
    assert mistakes
    assert mistake in " ".join(str(each) for each in mistakes)
    assert all(each.file.endswith("mine.yaml") for each in mistakes)
    assert all(each.column > 1 or each.line > 1 for each in mistakes)


@pytest.mark.parametrize(
    ("of_job", "mistake"),
    [
        ({"turns": ["a"]}, "keep one of"),
        ({"api": "generate"}, "turns need api: chat"),
        ({"load": "request"}, "not in a conversation"),
        ({"points": [{"prompt_tokens": 512}]}, "exact prompt_tokens need api: generate"),
    ],
)
def test_a_session_is_a_conversation(tmp_path: Path, of_job: dict[str, Any], mistake: str) -> None:
    _, mistakes = written(tmp_path, SESSION, **of_job)
    assert mistake in " ".join(str(each) for each in mistakes)


def test_the_shipped_session_fits_the_usual_context() -> None:
    shipped = read_job(SHIPPED / "agent.yaml").noun
    assert shipped is not None
    assert len(shipped.exchanges()) == 12
    text = sum(len(e.message) + len(e.answer or "") for e in shipped.exchanges())
    assert text / 3 < 8192 - 128, "three characters a token are few"
