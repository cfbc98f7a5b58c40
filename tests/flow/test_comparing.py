"""Unlike machines from the plan to the comparison; exit codes and forms of the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.builders_flow import Fleet, experiment, machine, model


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, str]:
    """Two machines whose engines have two versions; what the plan says before it is run."""
    fleet = Fleet(tmp_path_factory.mktemp("unlike"))
    slow = {"tiny": model(decode_tokens_per_s=1_000)}
    machines = {
        "alpha": machine(engine_version="0.32.15"),
        "beta": machine(engine_version="0.33.0", models=slow),
    }
    fleet.write(experiment(machines, repeats=3))
    return fleet, fleet("plan", "configs/demo.yaml").out


@pytest.fixture(scope="module")
def unlike(planned: tuple[Fleet, str]) -> Fleet:
    """The two, measured three times each."""
    planned[0]("submit", "configs/demo.yaml")
    return planned[0]


def test_the_plan_says_before_what_compare_refuses_after(
    planned: tuple[Fleet, str], unlike: Fleet
) -> None:
    assert "warning: beta: engine versions differ: 0.33.0 against 0.32.15 on alpha" in planned[1]
    assert "--allow-diff engine_version" in planned[1]
    refused = unlike("compare", "--by", "machine", code=2)
    assert refused.out.count("not comparable  engine versions differ: 0.33.0 against 0.32.15") == 2
    assert "nothing is comparable: engine_version differ" in refused.err
    assert "--allow-diff engine_version" in refused.err
    allowed = unlike("compare", "--by", "machine", "--allow-diff", "engine_version", code=1)
    assert "slower" in allowed.out
    assert "engine versions 0.33.0 / 0.32.15" in allowed.out
    assert allowed.err == ""


def test_exit_codes_are_the_users_to_choose(unlike: Fleet) -> None:
    words = ("compare", "--by", "machine", "--allow-diff", "engine_version", "--metric", "decode")
    unlike(*words, code=1)
    unlike(*words, "--fail-if", "never", code=0)
    unlike(*words, "--fail-if", "not-resolved", code=0)
    unlike(*words, "--baseline", "beta", code=0)
    unlike(*words, "--baseline", "beta", "--fail-if", "different", code=1)


def test_markdown_and_json(unlike: Fleet) -> None:
    words = ("compare", "--by", "machine", "--allow-diff", "engine_version")
    table = unlike(*words, "--format", "markdown", code=1).out
    assert "| alpha |" in table
    assert "| baseline |" in table
    found = unlike(*words, "--format", "json", code=1).json()
    assert found == unlike(*words, "--json", code=1).json()
    assert (found["speaks_of"], found["family"], found["same_within"]) == (
        "these machines",
        2,
        0.05,
    )
    line = found["groups"][1]["lines"][1]
    assert (line["design"], line["verdict"]) == ("these machines", "slower")
    assert found["groups"][0]["lines"][0]["verdict"] is None


def test_the_table_of_classes_is_printed_for_any_axis(unlike: Fleet) -> None:
    by_machine = unlike("compare", "--classes", "--json").json()
    assert (by_machine["chip"], by_machine["os_build"]) == ("implied", "listed")
    assert by_machine["engine_version"] == "refused"
    by_date = unlike("compare", "--by", "date", "--classes").out
    assert "engine_version         listed" in by_date
    unlike("compare", "--by", "nonsense", "--classes", code=2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--metric", "decod"), "decod: unknown metric (did you mean decode?)"),
        (("--by", "memory_gb"), "nothing to compare by memory_gb: there is only 96"),
        (("--by", "machine", "bta"), "bta: unknown machine (did you mean beta?)"),
        (("--allow-diff", "engine_versoin"), "did you mean engine_version"),
        (("--by", "date", "2025-01-01"), "2025-01-01: nothing was measured then (the nearest day"),
        (("--where", "chip"), "no clause like"),
        (("--same-within", "0"), "greater than or equal to 0.1"),
        (("--fail-if", "sloer"), "slower"),
    ],
)
def test_bad_words_are_one_clear_message(unlike: Fleet, words: tuple[str, ...], says: str) -> None:
    told = unlike("compare", *words, code=2)
    assert says in told.err
    assert told.out == ""


def test_too_few_trials_for_any_verdict(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    fleet.write(experiment({"alpha": machine(), "beta": machine()}, repeats=1))
    fleet("submit", "configs/demo.yaml")
    told = fleet("compare", "--by", "machine", code=2)
    assert told.out.count("one trial per side") == 2
    assert "too few trials for any verdict" in told.err
    assert "2 trials per side at least, 5 for a verdict worth having" in told.err
    data = json.loads(fleet("compare", "--by", "machine", "--json", code=2).out)
    assert {x["too_few"] for group in data["groups"] for x in group["lines"][1:]} == {True}
