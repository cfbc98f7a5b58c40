"""Every command that the program prints works in the state in which it prints it.

What is printed is read as a user would: a command ends where the line does, at two spaces, or at a
comma, a semicolon or a bracket that a space follows. Words in capitals stand for what only the user
knows. `fleet submit` is looked at as `fleet plan`, which refuses the same; one is measured.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest

from tests.builders_flow import Done, Fleet, experiment, machine, model

NAMES = (
    "submit|plan|results|show|machines|compare|noise|answers|sql|status|cancel|energy|metrics"
    "|doctor|config"
)
PRINTED = re.compile(
    rf"(?<![\w`/])fleet (?:{NAMES})\b(?:'[^'\n]*'|\"[^\"\n]*\"|[^\n`'\"])*?"
    r"(?=\s{2,}|[;,)](?:\s|$)|$)",
    re.MULTILINE,
)
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")
GOES_ON = " \\\n"
NOT_OF_A_PLAN = ("--again", "--yes", "--mine")
GPT_OSS = {name: model() for name in ("gpt-oss:20b", "gpt-oss:120b", "gpt-oss:latest")}


@pytest.fixture(scope="module")
def ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with Ollama's protocol that has the models of the examples."""
    script = tmp_path_factory.mktemp("ollama") / "script.json"
    script.write_text(json.dumps(machine(models=GPT_OSS)))
    server = subprocess.Popen(
        [sys.executable, "-m", "fleet.engines.simulated", str(script)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.wait()
    server.stdout.close()


def commands(text: str) -> list[str]:
    """Those printed in a text, without what only the user can fill in."""
    whole = re.sub(re.escape(GOES_ON) + r"\s*", " ", text)
    found = [match[0].strip() for match in PRINTED.finditer(whole)]
    return [command for command in dict.fromkeys(found) if not PLACEHOLDER.search(command)]


def follow(fleet: Fleet, printed: Done, ollama: str) -> list[str]:
    """Types each command that was printed. 1 is the exit code of a verdict."""
    typed = commands(printed.out + "\n" + printed.err)
    for command in typed:
        words = shlex.split(command)[1:]
        if words[0] == "submit":
            words = ["plan", *(word for word in words[1:] if word not in NOT_OF_A_PLAN)]
        codes = (0, 1) if words[0] in ("compare", "doctor") else (0,)
        done = fleet(*words, code=None, env={"OLLAMA_HOST": ollama})
        assert done.code in codes, f"{command}: {done.code}\n{done.out}\n{done.err}"
    return typed


def test_commands_are_found_as_a_reader_finds_them() -> None:
    text = (
        "next:  fleet results demo\n       fleet compare demo --by \\\n         machine\n"
        "  measure first: fleet submit gpt-oss:20b, or name another folder with --home\n"
        "  fleet status a    or    fleet cancel a\n  `fleet leave` ends it; fleet results FILE\n"
        "  see: fleet sql \"show tables\", fleet sql 'describe speeds'\n"
    )
    assert commands(text) == [
        "fleet results demo",
        "fleet compare demo --by machine",
        "fleet submit gpt-oss:20b",
        "fleet status a",
        "fleet cancel a",
        'fleet sql "show tables"',
        "fleet sql 'describe speeds'",
    ]


EMPTY: Sequence[tuple[str, ...]] = (
    ("results",),
    ("show", "x"),
    ("compare",),
    ("machines",),
    ("sql", "from cells"),
    ("status",),
    ("status", "x"),
    ("cancel", "x"),
    ("answers",),
    ("energy", "show"),
    ("compare", "--by", "nonsuch"),
)


def test_what_an_empty_home_proposes(fleet: Fleet, ollama: str) -> None:
    typed = [command for words in EMPTY for command in _after(fleet, words, ollama)]
    assert typed.count("fleet submit gpt-oss:20b") >= len(EMPTY) - 2


MEASURED: Sequence[tuple[str, ...]] = (
    ("results", "nonsuch"),
    ("show", "nonsuch"),
    ("show", "trial-"),
    ("compare", "nonsuch"),
    ("compare", "--by", "nonsuch"),
    ("compare", "--by", "model"),
    ("compare", "--by", "machine", "--metric", "nonsuch"),
    ("compare", "--by", "machine", "--metric", "energy"),
    ("compare", "--by", "machine", "--where", "nonsuch=1"),
    ("compare", "--by", "date", "2020-01-01", "2020-01-02"),
    ("sql", "nonsense"),
    ("status", "nonsuch"),
    ("cancel", "nonsuch"),
    ("answers", "--job", "nonsuch"),
    ("energy", "show", "nonsuch"),
    ("config", "schema", "nonsuch"),
)


@pytest.mark.parametrize("words", MEASURED, ids=" ".join)
def test_what_a_mistake_proposes(measured: Fleet, words: tuple[str, ...], ollama: str) -> None:
    assert _after(measured, words, ollama)


def test_what_a_submit_of_two_machines_proposes(first: tuple[Fleet, Done], ollama: str) -> None:
    fleet, submitted = first
    assert follow(fleet, submitted, ollama)[:2] == [
        "fleet results demo",
        "fleet compare demo --by machine",
    ]


def test_a_trial_is_measured_again_by_the_line_that_shows_it(fleet: Fleet, ollama: str) -> None:
    submitted = fleet("submit", fleet.write(experiment({"alpha": machine()}, repeats=1)))
    steps = follow(fleet, submitted, ollama)
    assert not any(step.startswith("fleet compare") for step in steps)  # there is one cell only
    [shown] = [step for step in steps if step.startswith("fleet show")]
    printed = fleet(*shlex.split(shown)[1:])
    [again] = commands(printed.out)
    assert again.startswith("fleet submit demo --again --only machine=alpha")
    (fleet.folder / "configs" / "demo.yaml").unlink()  # the home knows what it was asked
    fleet(*shlex.split(again)[1:])
    assert [row["session"] for row in fleet.rows("from trials order by session")] == [0, 1]


def test_a_trial_whose_experiment_was_submitted_elsewhere_proposes_nothing(
    measured: Fleet, tmp_path: Path
) -> None:
    copied = measured.copied_to(tmp_path / "copied")
    (copied.store / "ledger.sqlite").unlink()
    [trial, *_] = [row["id"] for row in copied("results", "--json").json()]
    assert commands(copied("show", trial).out) == []


def test_what_a_quick_look_proposes(fleet: Fleet, ollama: str) -> None:
    quick = fleet("submit", "gpt-oss:20b", "--quick", env={"OLLAMA_HOST": ollama})
    steps = follow(fleet, quick, ollama)
    assert steps == ["fleet submit gpt-oss:20b", "fleet results gpt-oss-20b-quick"]
    rows = fleet("results", "--json").json()
    assert {row["test"] for row in rows} == {"pp512", "tg128", "chat"}
    assert all("quick" in row["flags"].split() for row in rows)


def test_a_quick_look_at_a_loaded_model_proposes_to_unload_it(fleet: Fleet, ollama: str) -> None:
    """The measurement loads the model anew, and would wait until nobody uses it."""
    loaded = {"model": "gpt-oss:120b", "prompt": "", "options": {"num_ctx": 8192}}
    httpx.post(f"{ollama}/api/generate", json=loaded).raise_for_status()
    quick = fleet("submit", "gpt-oss:120b", "--quick", env={"OLLAMA_HOST": ollama})
    steps = follow(fleet, quick, ollama)
    assert steps == ["fleet submit gpt-oss:120b --mine", "fleet results gpt-oss-120b-quick"]


def test_an_import_proposes_to_compare_models_only_where_there_can_be_a_verdict(
    fleet: Fleet, ollama: str
) -> None:
    turns = [
        f"$ ollama run {name} --verbose\n>>> why\nSo.\n\n"
        f"total duration: 1{tenth}s\neval count: 51{tenth} token(s)\neval duration: 10s\n"
        for tenth, name in enumerate(["gpt-oss:20b", "gpt-oss:120b"] * 2, 1)
    ]
    where = ("--machine", "studio-96", "--date", "2025-08-09", "--source", "mine")
    for count, steps in ((2, ["results imported"]), (4, ["results imported", "compare imported"])):
        (fleet.folder / "figures.txt").write_text("".join(turns[:count]))
        typed = follow(fleet, fleet("import", "figures.txt", *where), ollama)
        assert [" ".join(command.split()[1:3]) for command in typed] == steps


AMBIGUOUS: Sequence[tuple[tuple[str, ...], str]] = (
    (("submit", "gpt-oss"), "fleet submit configs/gpt-oss.yaml"),
    (("submit", "gpt-oss"), "fleet submit gpt-oss:latest"),
    (("plan", "gpt-oss:20b", "practice"), "fleet submit practice"),
    (("submit", "side-by-side"), "fleet submit gpt-oss:20b --job side-by-side"),
    (("noise", "gpt-oss"), "fleet noise gpt-oss:20b"),
    (("noise", "side-by-side"), "fleet submit gpt-oss:20b --job side-by-side"),
    (("submit", "gpt-oss:20b", "--engine", "simulated"), "fleet submit practice"),
)


@pytest.mark.parametrize(("words", "proposed"), AMBIGUOUS, ids=str)
def test_a_word_that_is_no_model_is_refused_with_what_is_meant(
    fleet: Fleet, words: tuple[str, ...], proposed: str, ollama: str
) -> None:
    done = fleet(*words, code=2, env={"OLLAMA_HOST": ollama})
    assert proposed in commands(done.err)
    for command in commands(done.err):
        if command.startswith("fleet submit"):
            fleet("plan", *shlex.split(command)[2:], env={"OLLAMA_HOST": ollama})


def test_a_shipped_experiment_is_found_by_its_name(fleet: Fleet) -> None:
    assert fleet("plan", "practice").out == fleet("plan", "configs/practice.yaml").out


def test_a_refused_comparison_proposes_itself_with_what_may_differ(
    fleet: Fleet, ollama: str
) -> None:
    machines = {"alpha": machine(), "beta": machine(engine_version="0.33.0")}
    fleet("submit", fleet.write(experiment(machines, repeats=2)), code=None)
    refused = fleet("compare", "demo", "--by", "machine", "--metric", "ttft", code=2)
    [step] = [each for each in commands(refused.err) if each.startswith("fleet compare")]
    assert step == "fleet compare demo --by machine --metric ttft --allow-diff engine_version"
    follow(fleet, refused, ollama)


def _after(fleet: Fleet, words: Sequence[str], ollama: str) -> list[str]:
    return follow(fleet, fleet(*words, code=None), ollama)
