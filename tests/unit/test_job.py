"""Jobs: grids unfold into points, identity stays, and what does not go together is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fleet.model.job import Grid, Job, Point


def values(strategy: st.SearchStrategy[int], least: int = 1) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(strategy, min_size=least, max_size=4, unique=True).map(tuple)


flat = st.builds(
    Grid,
    prompt_tokens=values(st.integers(16, 9000)),
    output_tokens=values(st.integers(1, 999)),
    concurrency=values(st.integers(1, 64)),
)
deep = st.builds(
    Grid,
    prompt_tokens=values(st.integers(16, 9000), least=0),
    output_tokens=values(st.integers(1, 999)),
    depth_tokens=values(st.integers(1, 9000)),
)


@given(st.one_of(flat, deep))
def test_a_grid_is_the_same_job_as_its_points_written_out(grid: Grid) -> None:
    job = Job(name="g", api="generate", grid=grid)
    assert len(job.points) == len({point.name("g") for point in job.points})
    for name, wanted in (
        ("prompt_tokens", grid.prompt_tokens or (None,)),
        ("output_tokens", grid.output_tokens),
        ("depth_tokens", grid.depth_tokens),
        ("concurrency", grid.concurrency),
    ):
        assert list(dict.fromkeys(getattr(point, name) for point in job.points)) == list(wanted)
    written = Job(name="g", api="generate", points=job.points)
    assert job.content() == written.content()
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_names_of_a_grid() -> None:
    grid = Grid(prompt_tokens=(512,), output_tokens=(1, 128), depth_tokens=(0, 4096))
    job = Job(name="g", api="generate", grid=grid, points=(Point(prompt_tokens=16),))
    assert [point.name("g") for point in job.points] == [
        "tg512", "pp512", "pp512@d4096", "pp512+tg128", "pp512+tg128@d4096",
    ]  # fmt: skip
    streams = Grid(prompt_tokens=(512,), output_tokens=(128,), concurrency=(1, 4))
    assert [point.name("g") for point in streams.points()] == ["pp512+tg128", "pp512+tg128@c4"]
    alone = Grid(depth_tokens=(4096,), output_tokens=(128,))
    assert [point.name("g") for point in alone.points()] == ["tg128@d4096"]


def test_what_identified_a_job_before_still_does() -> None:
    """These contents are in the ids of trials that people have measured."""
    exact = Job(
        name="prefill-decode",
        api="generate",
        points=(Point(prompt_tokens=512, output_tokens=1), Point(depth_tokens=8192)),
    )
    assert exact.content() == {
        "name": "prefill-decode",
        "api": "generate",
        "points": [{"prompt_tokens": 512, "output_tokens": 1}, {"depth_tokens": 8192}],
    }
    asked = Job(name="cold-load", prompt="Say hello.", load="request", warmup=0, why="not in it")
    assert asked.content() == {
        "name": "cold-load",
        "prompt": "Say hello.",
        "load": "request",
        "warmup": 0,
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"grid": {"prompt_tokens": [512], "output_tokens": [0]}}, "greater than or equal to 1"),
    ({"grid": {"prompt_tokens": [15]}}, "greater than or equal to 16"),
    ({"grid": {"prompt_tokens": [512, 512]}}, "prompt_tokens: each value only once"),
    ({"grid": {"output_tokens": [128]}}, "needs prompt_tokens, or depth_tokens above 0"),
    (
        {"grid": {"prompt_tokens": [512], "depth_tokens": [0, 1], "concurrency": [4]}},
        "depth_tokens is measured with one stream",
    ),
    ({"points": [{"prompt_tokens": 16, "prompt": "x"}]}, "has a text and an exact length"),
    ({"points": [{"prompt_tokens": 16, "concurrency": 0}]}, "greater than or equal to 1"),
    ({"points": [{"prompt_tokens": 16, "seconds": 0}]}, "greater than 0"),
    ({"prompt": "x", "text": "synthetic"}, "text is of points with exact prompt_tokens"),
    ({"prompt": "x", "reuse": False}, "reuse is of conversations"),
    ({"turns": ["x"]}, "turns need api: chat"),
    (
        {"turns": ["x"], "api": "chat", "prompt": "y"},
        "keep one of prompt, prompts_file, turns and session_file",
    ),
    ({"turns": ["x", " "], "api": "chat"}, "is empty"),
    (
        {"turns": ["x"], "api": "chat", "points": [{"seconds": 3}]},
        "points of a conversation have output_tokens, concurrency and label only",
    ),
    ({"prompt": "x", "page_cache": "drop"}, "page_cache: drop needs load: request"),
    (
        {"prompt": "x", "load": "request", "points": [{"concurrency": 2}]},
        "load: request is measured with one stream",
    ),
    ({"load": "request", "points": [{"depth_tokens": 99}]}, "leaves nothing in the context"),
    (
        {"prompts_file": "x", "points": [{}, {"label": "y"}]},
        "prompts_file makes the points",
    ),
]


@pytest.mark.parametrize(("fields", "said"), WRONG)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Job.model_validate({"name": "j", "api": "generate", **fields})


def test_the_least_that_the_context_must_hold() -> None:
    point = Point(prompt_tokens=512, output_tokens=128, depth_tokens=4096)
    assert Job(name="j", api="generate", points=(point,)).least_tokens(point) == 4096 + 512 + 128
    talk = Job(name="j", turns=("one two", "three"), points=(Point(output_tokens=100),))
    assert talk.least_tokens(talk.points[0]) == 3 + 200
    own = Point(prompt="one two three", output_tokens=10)
    assert Job(name="j", points=(own,)).least_tokens(own) == 13
