"""Prompts from a file of the user: each a point; every mistake at its own line."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.config.prompts_file import MOST_PROMPTS, with_prompts
from fleet.config.reading import load_request
from fleet.errors import ConfigError
from fleet.model.job import Job, Point

JOB = Job(name="mine", prompts_file="p.jsonl", points=(Point(output_tokens=8, concurrency=2),))
HEAD = "version: 1\nname: x\nmodels: [m]\njobs: [mine]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "x.yaml").write_text(HEAD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, name: str) -> Job:
    Path("jobs/mine.yaml").write_text(f"name: mine\nprompts_file: {name}\n")
    Path("jobs", name).write_text(text)
    return load_request(Path("configs/x.yaml")).jobs[0]


def test_json_lines_become_points_named_by_their_ids(folder: Path) -> None:
    job = load('{"prompt": "why", "id": "gold"}\n\n"how"\n{"prompt": "who", "id": 7}\n', "p.jsonl")
    assert [(p.name("mine"), p.prompt) for p in job.points] == [
        ("gold", "why"), ("mine-2", "how"), ("7", "who"),
    ]  # fmt: skip


def test_paragraphs_become_points_by_number(folder: Path) -> None:
    job = load("\n\nfirst line\nsecond line\n \n\n  another\n", "p.txt")
    assert [(p.name("mine"), p.prompt) for p in job.points] == [
        ("mine-1", "first line\nsecond line"), ("mine-2", "another"),
    ]  # fmt: skip


def test_the_prompts_are_part_of_the_jobs_identity_and_the_files_name_is_not(folder: Path) -> None:
    one, same, other = (load(text, name) for text, name in (("a", "p"), ("a", "q"), ("b", "p")))
    assert one.content() == same.content() != other.content()


def test_each_point_is_as_the_written_one() -> None:
    job = with_prompts(JOB, '"a"\n"b"', "p", json_lines=True)
    assert [(p.output_tokens, p.concurrency, p.label) for p in job.points] == [
        (8, 2, "mine-1@c2"), (8, 2, "mine-2@c2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"a"\n{"promt": "b"}', "2:1: unknown key promt (did you mean prompt?)"),
        ('"a"\n{"prompt": 3}', "2:1: prompt must be text"),
        ('"a"\n{"id": "x"}', "2:1: prompt is missing"),
        ('"a"\n{"prompt": " "}', "2:1: prompt is empty"),
        ('"a"\n[1]', '2:1: must be text, or {"prompt": ..., "id": ...}'),
        ('"a"\n{"prompt": "b", "id": true}', "2:1: id must be text or a whole number"),
        ('"a"\n{"prompt" "b"}', "2:11: is not JSON: Expecting ':' delimiter"),
        (
            '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}',
            "2:1: id x stands in line 1 too",
        ),
        ('"a"\n' * (MOST_PROMPTS + 1), "1001:1: holds 1001 prompts: at most 1000 make one job"),
    ],
)
def test_a_mistake_stands_at_its_line(folder: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"jobs/p.jsonl:{said}")):
        load(text, "p.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [(" \n\n", "jobs/p.txt: the file is empty"), ("\0", "jobs/p.txt: is a binary file, not text")],
)
def test_a_file_that_holds_nothing_is_told_where_it_is_named(
    folder: Path, text: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, "p.txt")
    assert str(caught.value) == f"jobs/mine.yaml:2:15: prompts_file: {said}"


def test_a_file_that_is_not_there_is_told_where_it_is_named(folder: Path) -> None:
    Path("jobs/mine.yaml").write_text("name: mine\nprompts_file: no.txt\n")
    with pytest.raises(ConfigError, match=r"2:15: prompts_file: jobs/no\.txt: no such file"):
        load_request(Path("configs/x.yaml"))


@given(st.text(max_size=200), st.booleans())
def test_any_text_is_prompts_or_mistakes(text: str, json_lines: bool) -> None:
    with contextlib.suppress(ConfigError):
        job = with_prompts(JOB, text, "p", json_lines=json_lines)
        assert job.points
        assert all(point.prompt and point.prompt.strip() for point in job.points)
