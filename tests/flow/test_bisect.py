"""fleet bisect on a scripted machine: the step of the script, resumed, and what is refused."""

from __future__ import annotations

import pytest

from tests.builders_flow import Fleet, experiment, machine

VERSIONS = ("v1", "v2", "v3", "v4")


def programs(slow_from: int) -> dict[str, dict[str, object]]:
    return {
        label: {"engine_version": f"0.{30 + number}.0", "speed": 0.8 if number >= slow_from else 1}
        for number, label in enumerate(VERSIONS)
    }


@pytest.fixture
def config(fleet: Fleet) -> str:
    machines = {"alpha": machine(programs=programs(2)), "beta": machine(programs=programs(2))}
    return fleet.write(experiment(machines))


def test_the_step_of_the_script_is_found_and_not_measured_twice(fleet: Fleet, config: str) -> None:
    words = ("bisect", *VERSIONS, "--config", config, "--machines", "alpha", "--job", "exact")
    first = fleet(*words)
    assert "slower from v3 (0.32.0) on: 0.8" in first.out
    assert "of v2 (0.31.0)" in first.out
    assert "at most 5 of 100 such searches end at a wrong pair" in first.out
    versions = {row["engine_version"] for row in fleet.rows("select engine_version from trials")}
    assert versions <= {f"0.{30 + number}.0" for number in range(4)}
    again = fleet(*words, "--json")
    assert " asked for: " not in again.err
    data = again.json()
    assert data["conclusion"]["ending"] == "step"
    assert [data["conclusion"][end] for end in ("after", "at")] == ["v2", "v3"]
    assert data["machine"] == "alpha"
    assert len(data["looks"]) == first.out.count(" x  ")


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (("v1",), "a search needs two versions or more"),
        (("v1", "v2", "v1"), "v1 is named twice"),
        (("v1", "v2", "--repeats", "2"), "a step needs 3 blocks or more"),
        (("v1", "v2", "--metric", "decoed"), "decoed: unknown metric (did you mean decode?)"),
        (("v1", "v2", "--metric", "energy", "--machines", "alpha"), "energy is not searched by"),
        (("v1", "v2", "--set", "num_batch=8,16"), "a search measures one cell"),
        (("v1", "v2"), "a search measures one machine, not alpha, beta"),
        (("v1", "v9", "--machines", "alpha"), "fleet join --allow engine-binary v9=PATH"),
        (("v1", "v2", "--machines", "gamma"), "gamma"),
    ],
)
def test_what_is_no_search_is_refused(
    fleet: Fleet, config: str, words: tuple[str, ...], mistake: str
) -> None:
    done = fleet("bisect", *words, "--config", config, "--job", "exact", code=None)
    assert done.code in (2, 3)
    assert mistake in done.err
    assert fleet.parquet() == []
