"""Reference files and checks as words: what can be written, and each way to get it wrong."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.answers.references import check_from_word, declared_checks, read_reference
from fleet.config.reading import load_request
from fleet.errors import ConfigError, UserError

HEAD = """\
---
name: OpenAI GPT-5 Pro
time: 2m18s
Tokens: 1840

job: gold
source: "a page: its address"
---

Gold is yellow.

---
The end.
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_of(text: str | bytes) -> list[str]:
    path = Path("answer.txt")
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_reference(path)
    return [str(one).removeprefix("answer.txt:") for one in caught.value.mistakes]


def test_a_head_and_an_answer(folder: Path) -> None:
    Path("answer.txt").write_text(HEAD)
    found = read_reference(Path("answer.txt"))
    assert (found.name, found.time_ns, found.tokens) == ("OpenAI GPT-5 Pro", 138 * 10**9, 1840)
    assert (found.job, found.line, found.source) == ("gold", 6, "a page: its address")
    assert found.text == "Gold is yellow.\n\n---\nThe end."
    assert (found.prompt, found.prompt_line) == (None, 1)


def test_a_reference_can_say_which_prompt_it_answers(folder: Path) -> None:
    prompt = "why is gold: " + "very " * 100 + "yellow?"
    Path("answer.txt").write_text(f"---\nname: x\nprompt: {prompt}\n---\nIt is.\n")
    found = read_reference(Path("answer.txt"))
    assert (found.prompt, found.prompt_line) == (prompt, 3)


@pytest.mark.parametrize("text", ["just an answer\n", "\ufeffjust an answer", "\n\njust an answer"])
def test_an_answer_without_a_head_is_named_by_its_file(folder: Path, text: str) -> None:
    Path("gpt 5.txt").write_text(text)
    found = read_reference(Path("gpt 5.txt"))
    assert (found.name, found.text, found.job) == ("gpt 5", "just an answer", None)
    assert (found.time_ns, found.tokens) == (None, None)


def test_windows_lines_and_strange_breaks_stay_what_they_are(folder: Path) -> None:
    Path("a.txt").write_bytes("---\r\nname: x\r\n---\r\none\r\ntwo\u2028three\x0bfour".encode())
    assert read_reference(Path("a.txt")).text == "one\ntwo\u2028three\x0bfour"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: there is no answer: paste one"),
        (" \n\t\n", "1:1: there is no answer: paste one"),
        ("---\nname: x\n---\n\n", "3:1: there is no answer after its head: paste one"),
        (b"PK\x03\x04\x00\x00", "1:1: is a binary file, not text"),
        (b"one\ntwo \xff", "2:5: is not UTF-8 text (byte 0xff)"),
        ("---\nname: x\ntext", "1:1: the head that begins here has no end: put `---` after it"),
        ("---\nnam: x\n---\nA", "2:1: nam: unknown key (did you mean name?)"),
        ("---\ncolour: x\n---\nA", "2:1: colour: unknown key (there are name, time, tokens, job"),
        ("---\nname: x\nname: y\n---\nA", "3:1: name: stands here a second time, first in line 2"),
        ("---\nname: \n---\nA", "2:1: name: is empty"),
        (f"---\nname: {'x' * 300}\n---\nA", "2:1: name: is longer than 200 characters"),
        ("---\nhello there\n---\nA", "2:1: must be `key: value`, or `---` to end the head"),
        ("---\ntime: soon\n---\nA", "2:1: time: must be a time such as 2m18s or 41.5s, not 'soon'"),
        ("---\ntime: 0s\n---\nA", "2:1: time: must be a time such as"),
        ("---\ntokens: many\n---\nA", "2:1: tokens: must be a whole number of 1 or more, not"),
        ("---\ntokens: 0\n---\nA", "2:1: tokens: must be a whole number of 1 or more, not '0'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(folder: Path, text: str | bytes, said: str) -> None:
    [told] = said_of(text)
    assert told.startswith(said)


def test_all_mistakes_of_a_head_come_at_once(folder: Path) -> None:
    told = said_of("---\ntime: x\nnam: y\n---\nA")
    assert [line.split(":")[0] for line in told] == ["2", "3"]
    assert len(said_of("---\n" + "nonsense\n" * 100 + "---\nA")) == 8


@pytest.mark.parametrize("name", ["missing.txt", "jobs"])
def test_a_path_that_is_no_file(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no such file|is a folder"):
        read_reference(Path(name))


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="only where there is /dev/zero")
def test_a_file_without_end_is_not_read_to_its_end(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is not a regular file"):
        read_reference(Path("/dev/zero"))


@given(st.one_of(st.binary(max_size=80), st.text(max_size=80).map(lambda t: f"---\n{t}".encode())))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_an_answer_or_a_clear_mistake(folder: Path, data: bytes) -> None:
    Path("any.txt").write_bytes(data)
    with suppress(ConfigError):
        assert read_reference(Path("any.txt")).text.strip()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("contains=a=b", 'contains "a=b"'),
        ("regex=^x", 'regex "^x"'),
        ("exact=42", 'exact "42"'),
        ("json", "valid JSON"),
        ("json=true", "valid JSON"),
        ("similar_to_reference=0.6", "similar to reference >= 0.6"),
    ],
)
def test_checks_as_words(word: str, says: str) -> None:
    assert check_from_word(word).says() == says


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("contans=x", "--check contans=x: unknown check (did you mean contains?)"),
        ("contains", "--check contains: is empty"),
        ("regex=(", "--check regex=(: is no regular expression: missing )"),
        ("json=no", "--check json=no: "),
        ("similar_to_reference=2", "--check similar_to_reference=2: "),
        ("similar_to_reference=nan", "--check similar_to_reference=nan: "),
        ("similar_to_reference=much", "--check similar_to_reference=much: "),
    ],
)
def test_a_word_that_is_no_check(word: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_from_word(word)
    assert caught.value.what.startswith(said)
    assert len(caught.value.what) > len(said) or not said.endswith(": ")


def test_checks_are_those_of_the_file_as_it_is_now(folder: Path) -> None:
    path = Path("jobs/gold.yaml")
    path.write_text("name: gold\nprompt: why\nchecks: [{contains: '5d'}, {json: true}]\n")
    assert [each.says() for each in declared_checks("gold") or ()] == [
        *('contains "5d"', "valid JSON"),
    ]
    assert declared_checks("nowhere") is None
    path.write_text("name: gold\nprompt: why\nchecks: [{contains: 5}]\n")
    with pytest.raises(ConfigError, match=r"gold.yaml:3:21: checks.contains: must be text"):
        declared_checks("gold")


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ("[{regex: '('}]", "3:18: checks.regex: is no regular expression: missing )"),
        ("[{contans: x}]", "3:11: checks.contans: unknown key (did you mean contains?)"),
        ("[{}]", "3:10: checks: needs exactly one of exact, contains, regex, json, similar"),
        ("[{json: false}]", "3:17: checks.json: must be "),
        ("[{similar_to_reference: 3}]", "3:33: checks.similar_to_reference: must be at most 1"),
        ("contains", "3:9: checks: must be a list, not 'contains'"),
    ],
)
def test_a_wrong_check_is_told_with_its_place(folder: Path, checks: str, said: str) -> None:
    (folder / "configs").mkdir()
    config, job = Path("configs/x.yaml"), Path("jobs/gold.yaml")
    config.write_text("version: 1\nname: x\nmodels: [m]\njobs: [gold]\n")
    job.write_text(f"name: gold\nprompt: why\nchecks: {checks}\n")
    with pytest.raises(ConfigError) as caught:
        load_request(config)
    assert str(caught.value.mistakes[0]).startswith(f"jobs/gold.yaml:{said}")
