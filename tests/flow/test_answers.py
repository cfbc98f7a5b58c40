"""fleet answers on answers that were really given: two tiny models in llama.cpp, two machines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment, machine

QUESTION = {
    "name": "sides",
    "prompt": "why is gold yellow?",
    "points": [{"output_tokens": 140}],
    "requests": 1,
    "warmup": 0,
    "load": "request",
    "fixed_prompt": True,
    "keep_text": True,
    "checks": [{"contains": "gold"}, {"regex": "[a-z]{4}"}],
}

REFERENCE = """\
---
name: OpenAI GPT-5 Pro
time: 2m18s
job: sides
source: pasted by hand
---
Gold is yellow: its 5d electrons take the blue light.
"""


def _fleet(folder: Path) -> Fleet:
    fleet = Fleet(folder)
    (folder / "jobs" / "sides.yaml").write_text(json.dumps(QUESTION))
    (folder / "gpt5.txt").write_text(REFERENCE)
    return fleet


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two models, one of which thinks, in two blocks."""
    pytest.importorskip("xllamacpp", reason="needs the extra `embedded`")
    fleet = _fleet(tmp_path_factory.mktemp("answers"))
    asked: dict[str, Any] = {
        "version": 1,
        "name": "demo",
        "models": ["tiny-gpt-oss", "tiny-llama"],
        "jobs": ["sides"],
        "settings": {"num_ctx": 512},
        "repeats": 2,
        "gates": "record",
        "engine": {"kind": "embedded"},
    }
    fleet("submit", fleet.write(asked))
    return fleet


def test_two_models_and_a_reference_stand_side_by_side(answered: Fleet) -> None:
    wide = {"COLUMNS": "160"}
    told = answered("answers", "--reference", "gpt5.txt", env=wide)
    lines = told.out.splitlines()
    assert told.err == ""
    assert lines[0] == 'sides   "why is gold yellow?"'
    assert re.split(r"  +", lines[2].strip()) == [
        *("tiny-gpt-oss", "tiny-llama", "OpenAI GPT-5 Pro (reference)"),
    ]
    by_title = {line[:20].strip(): line for line in lines}
    assert "2m18s" in by_title["total"]
    assert "first answer token" in by_title
    assert by_title['contains "gold"'].split()[-3:] == ["no", "no", "yes"]
    same = "2 outputs to 1 prompt on "
    assert [line.split(",")[0] for line in lines if same in line and "always" in line] == [
        *("tiny-gpt-oss", "tiny-llama"),
    ]
    assert "\x1b" not in told.out
    assert "(thinking)" not in told.out
    assert "(thinking)" in answered("answers", "--thinking", env=wide).out


def test_the_page_and_the_json_hold_the_same(answered: Fleet) -> None:
    told = answered("answers", "--reference", "gpt5.txt", "--diff", "--html", "a.html")
    assert (told.out, told.err) == ("", "written: a.html\n")
    page = (answered.folder / "a.html").read_text()
    [sheet] = answered("answers", "--reference", "gpt5.txt", "--diff", "--json").json()
    thinks, plain, given = sheet["answers"]
    assert (thinks["name"], plain["name"], given["is_reference"]) == (
        *("tiny-gpt-oss", "tiny-llama"),
        True,
    )
    assert thinks["thinking"]
    assert thinks["output_tokens"] == plain["output_tokens"] == 140
    [timed] = thinks["timed"]
    assert timed["first_token_ns"] < timed["first_answer_ns"] < timed["total_ns"]
    assert timed["decode_tokens_per_s"] > 0
    for each in sheet["answers"]:
        assert each["text"].strip() in page
        assert each["name"] in page
    assert len(sheet["contrasts"]) == 2
    assert "<summary>thinking" in page
    answered("answers", "--html", "a.html")  # a page of before may be written over


def test_the_stored_answers_can_be_checked_anew(answered: Fleet) -> None:
    (job,) = answered("answers", "--json", "--check", "json", "--model", "tiny-llama").json()
    (answer,) = job["answers"]
    assert [(each["check"], each["passed"]) for each in answer["scores"]] == [
        *(('contains "gold"', False), ('regex "[a-z]{4}"', True), ("valid JSON", False)),
    ]


def test_a_job_whose_file_is_elsewhere_is_told(answered: Fleet, tmp_path: Path) -> None:
    moved = answered.copied_to(tmp_path / "moved")
    (moved.folder / "jobs" / "sides.yaml").unlink()
    told = moved("answers")
    assert told.err == "sides: the file of this job is not here, so only --check applies\n"
    assert 'contains "gold"' not in told.out


BAD = {
    "no such reference": (("--reference", "none.txt"), "none.txt:1:1: no such file"),
    "an empty reference": (("--reference", "empty.txt"), "empty.txt:1:1: there is no answer"),
    "a binary reference": (("--reference", "binary.txt"), "binary.txt:1:1: is a binary file"),
    "a wrong head": (("--reference", "head.txt"), "head.txt:2:1: tim: unknown key"),
    "no such model": (("--model", "tiny-lama"), "did you mean tiny-llama"),
    "a bad pattern": (("--check", "regex=("), "is no regular expression"),
    "a page over something else": (("--html", "gpt5.txt"), "gpt5.txt exists and is not an HTML"),
    "a page nowhere": (("--html", "no/where/a.html"), "no/where/a.html: cannot be written"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_people_get_wrong_ends_in_one_message(answered: Fleet, name: str) -> None:
    words, said = BAD[name]
    folder = answered.folder
    (folder / "empty.txt").write_text("\n\n")
    (folder / "binary.txt").write_bytes(b"\0\1\2")
    (folder / "head.txt").write_text("---\ntim: 2m\n---\nx")
    done = answered("answers", *words, code=2)
    assert said in done.err
    assert done.out == ""
    assert (folder / "gpt5.txt").read_text() == REFERENCE


def test_machines_that_answer_alike_share_a_column(tmp_path: Path) -> None:
    fleet = _fleet(tmp_path)
    machines = {"alpha": machine(), "beta": machine(memory_gb=128)}
    fleet("submit", fleet.write(experiment(machines, jobs=["sides"])))
    [sheet] = fleet("answers", "--json").json()
    [answer] = sheet["answers"]
    assert [timed["machine"] for timed in answer["timed"]] == ["alpha", "beta"]
    assert "4 outputs to 1 prompt on alpha, beta: the same prompt always" in fleet("answers").out
    empty = Fleet(tmp_path / "other")
    assert "no results here" in empty("answers", code=2).err


def test_results_without_a_kept_answer_say_what_to_do(measured: Fleet) -> None:
    told = measured("answers")
    assert "keep_text" in told.out
    assert "exact pp512" in told.out
    assert "no prompt was asked twice" not in told.out  # both machines were asked the same
