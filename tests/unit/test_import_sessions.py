"""Of which model, question and day figures are: by commands, headings, code, and the user."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fleet.errors import UserError
from fleet.store.imported import ImportedFile, Origin, read_file
from fleet.store.imported_models import ModelNames, model_names
from fleet.store.transcripts import read_contents, read_transcripts
from fleet.store.written_dates import check_date, date_in_heading, read_date

BLOCK = "total duration: 2s\nload duration: 1ms\neval count: 5 token(s)\neval duration: 1s\n"
OTHER_BLOCK = BLOCK.replace("2s", "3s")
A = "$ ollama run a:1b --verbose\n>>> hi\nyes\n\n" + BLOCK
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def turns(text: str) -> list[tuple[str | None, str | None, int]]:
    return [(turn.model, turn.prompt, turn.turn) for turn in read_transcripts(text)]


def import_text(path: Path, text: str, *models: str, given: datetime = NOW) -> ImportedFile:
    file = path / "notes.md"
    file.write_text(text)
    said = model_names(models)
    origin = Origin(machine="m", source="s", date=given, now=NOW, models=said)
    return read_file(file, origin)


def models(file: ImportedFile) -> list[str]:
    return [trial.model for trial in file.trials]


@pytest.mark.parametrize(
    "between",
    [
        "# Now the large one\n",
        "> ## Now the large one\n",
        "Now the large one\n=================\n",
        "Now the large one\n---\n",
        "**Now the large one:**\n",
        "<h3>Now the large one</h3>\n",
        "<details><summary>large</summary>\n",
        "gemma3:12b\n",
        "**`gemma3:12b`**:\n",
        "Model: gemma3:12b\n",
        "```\n",
        ">>> /bye\n",
    ],
)
def test_what_comes_after_a_heading_or_a_block_of_code_is_of_no_known_model(between: str) -> None:
    assert turns(f"{A}\n{between}>>> hey\nno\n\n{OTHER_BLOCK}") == [
        ("a:1b", "hi", 1),
        (None, "hey", 1),
    ]


def test_a_session_ends_with_the_block_of_code_it_stands_in() -> None:
    fenced = f"```\n{A}```\n"
    assert turns(f"{fenced}```\n>>> hey\nno\n\n{OTHER_BLOCK}```\n") == [
        ("a:1b", "hi", 1),
        (None, "hey", 1),
    ]
    shown = "Start it so:\n```\nollama run a:1b --verbose\n```\n"
    assert turns(f"{shown}```\n>>> hey\nno\n\n{BLOCK}```\n") == [(None, "hey", 1)]


def test_a_sentence_with_the_command_is_followed_by_its_block_of_code() -> None:
    said = "I ran `ollama run a:1b --verbose` and got\n```\n"
    assert turns(f"{said}>>> hi\nyes\n{BLOCK}>>> more\nno\n{OTHER_BLOCK}```\n") == [
        ("a:1b", "hi", 1),
        ("a:1b", "more", 2),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "# Step 1: do it\n\n**Bold**\n\n---\n\nText\n===\n",
        "```python\n>>> print(1)\n$ ollama run b:2b --verbose\n```\n",
        "```\ncode\n```\n# 2026-10-01\n",
        "see `ollama run b:2b`\n$ ollama run b:2b\n",
        "~~~\n# gemma3:12b\n~~~\n",
    ],
)
def test_an_answer_ends_nothing(answer: str) -> None:
    text = (
        f"$ ollama run a:1b --verbose\n>>> hi\n{answer}\n{BLOCK}>>> more\n{answer}\n{OTHER_BLOCK}"
    )
    assert turns(text) == [("a:1b", "hi", 1), ("a:1b", "more", 2)]


def test_a_remark_in_code_is_no_heading() -> None:
    fenced = f"```\n{A}# and once more, **slowly**\n**slowly**\n>>> hey\nno\n\n{OTHER_BLOCK}```\n"
    assert turns(fenced) == [("a:1b", "hi", 1), ("a:1b", "hey", 2)]


def test_an_answer_that_was_cut_off_does_not_reach_the_next_model() -> None:
    fenced = "```\n$ ollama run a:1b --verbose\n>>> hi\nyes, I\n```\n"
    assert turns(f"{fenced}# more\n```\n>>> hi\n{BLOCK}```\n") == [(None, "hi", 1)]
    plain = "$ ollama run a:1b --verbose\n>>> hi\nyes, I\n"
    assert turns(f"{plain}# Model b:2b\n>>> hi\n{BLOCK}") == [(None, "hi", 1)]


def test_a_command_that_brings_its_question_is_over_after_the_answer() -> None:
    once = f"$ ollama run a:1b --verbose hi\nyes\n{BLOCK}"
    assert turns(f"{once}>>> hey\nno\n{OTHER_BLOCK}") == [("a:1b", "hi", 1), (None, "hey", 1)]
    loop = f"$ for n in 1 2; do ollama run a:1b --verbose hi; done\nyes\n{BLOCK}no\n{OTHER_BLOCK}"
    assert turns(loop) == [("a:1b", "hi", 1), ("a:1b", None, 1)]
    fed = f"$ cat q | ollama run a:1b --verbose\n# Title\n```\n>>> x\n```\n{BLOCK}"
    assert turns(fed) == [("a:1b", None, 1)]


def test_a_new_command_begins_a_session_though_it_says_nothing_of_verbose() -> None:
    text = f"{A}\n$ ollama run b:2b\n>>> hey\nno\n{OTHER_BLOCK}"
    assert turns(text) == [("a:1b", "hi", 1), ("b:2b", "hey", 1)]
    quoted = f"{A}\nCompare `ollama run b:2b` with it.\n>>> hey\nno\n{OTHER_BLOCK}"
    assert turns(quoted)[1] == ("a:1b", "hey", 2)


TWO = (
    f"# Model `a:1b`\n```\n>>> hi\nyes\n{BLOCK}```\n"
    f"# Model `b:2b-q4`\n```\n>>> hi\nno\n{OTHER_BLOCK}```\n"
)


def test_the_model_is_asked_for_with_the_line_and_the_name_in_the_heading(tmp_path: Path) -> None:
    with pytest.raises(UserError) as problem:
        import_text(tmp_path, TWO)
    assert 'line 5 (below "Model `a:1b`"), line 14 (below "Model `b:2b-q4`")' in problem.value.what
    assert problem.value.hint == "say it: --model 5=a:1b --model 14=b:2b-q4"
    assert models(import_text(tmp_path, TWO, "5=a:1b", "14=b:2b-q4")) == ["a:1b", "b:2b-q4"]
    assert models(import_text(tmp_path, TWO, "14=b", "a:1b")) == ["a:1b", "b"]


def test_one_name_for_all_is_not_given_to_what_a_heading_calls_otherwise(tmp_path: Path) -> None:
    with pytest.raises(UserError) as problem:
        import_text(tmp_path, TWO, "a:1b")
    assert '--model a:1b, but the heading above it is "Model `b:2b-q4`"' in problem.value.what
    plain = TWO.replace("a:1b", "first").replace("b:2b-q4", "second")
    assert models(import_text(tmp_path, plain, "a:1b")) == ["a:1b", "a:1b"]


def test_a_name_for_lines_that_need_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--model 99=x is of no turn"):
        import_text(tmp_path, TWO, "1=y", "99=x")
    with pytest.raises(UserError, match="--model 1=x is of no turn"):
        import_text(tmp_path, A, "1=x")
    assert models(import_text(tmp_path, A, "x")) == ["a:1b"]


@pytest.mark.parametrize("words", [("",), ("a", "b"), ("3=",), (" ",)])
def test_names_that_say_nothing_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="--model"):
        model_names(words)


def test_names_by_line_hold_from_there_on() -> None:
    names = model_names(["9=b", "20=c", "a"])
    assert names == ModelNames("a", ((9, "b"), (20, "c")))
    assert [names.of(line) for line in (1, 8, 9, 19, 20, 99)] == ["a", "a", "b", "b", "c", "c"]


@pytest.mark.parametrize(
    ("heading", "day"),
    [
        ("2026-10-01 evening", date(2026, 10, 1)),
        ("Run of 2026/10/01", date(2026, 10, 1)),
        ("1 October 2026", date(2026, 10, 1)),
        ("1st of Oct. 2026", date(2026, 10, 1)),
        ("October 1, 2026", date(2026, 10, 1)),
        ("Sept 3rd 2026, v0.32.15", date(2026, 9, 3)),
        ("May 2026", date(2026, 5, 1)),
        ("31.10.2026", date(2026, 10, 31)),
        ("13/12/2026", date(2026, 12, 13)),
        ("10/10/2026", date(2026, 10, 10)),
        ("2026-10-01 (again 1 October 2026)", date(2026, 10, 1)),
    ],
)
def test_a_heading_that_can_be_only_one_day(heading: str, day: date) -> None:
    found = date_in_heading(heading, 3)
    assert found is not None
    assert found.day is not None
    assert (found.day.date(), found.line) == (day, 3)


@pytest.mark.parametrize(
    "heading", ["10/01/2026", "2026-13-45", "2026-10-01 to 2026-10-03", "30 February 2026"]
)
def test_a_heading_that_may_be_several_days_or_none(heading: str) -> None:
    found = date_in_heading(heading, 3)
    assert found is not None
    assert found.day is None


@pytest.mark.parametrize(
    "heading", ["Ollama 0.32.15", "gpt-4o-2024-08-06", "Step 1 of 2026", "1.2.3", "num_ctx 2048"]
)
def test_a_heading_without_a_day(heading: str) -> None:
    assert date_in_heading(heading, 3) is None


def test_a_headings_day_holds_below_it_and_goes_before_the_one_day(tmp_path: Path) -> None:
    ask = "$ ollama run a:1b --verbose {}\nyes\n" + BLOCK
    text = "# 2026-10-01\n" + ask.format("one")
    text += "## in the evening\n" + ask.format("two").replace("2s", "3s")
    text += "## 2 October 2026\n" + ask.format("three").replace("2s", "4s")
    text += "# later\n" + ask.format("four").replace("2s", "5s")
    text += "# 10/11/2026\n" + ask.format("five").replace("2s", "6s")
    file = import_text(tmp_path, text)
    assert [trial.began.date() for trial in file.trials] == [
        *(date(2026, 10, 1), date(2026, 10, 1), date(2026, 10, 2)),
        *(NOW.date(), NOW.date()),
    ]
    assert [(each.line, each.text) for each in file.contents.unclear_dates] == [(29, "10/11/2026")]


def test_a_headings_day_that_has_not_come_refuses_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"notes\.md:1: 2027-01-01 lies in the future"):
        import_text(tmp_path, f"# 2027-01-01\n{A}")


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("9999-12-31", "lies in the future"),
        ("2026-12-01", "lies in the future"),
        ("0001-01-01", "before Ollama"),
        ("2023-05-31", "before Ollama"),
        ("2026-11-30T23:00-11:00", ""),
        ("2026-12-01T01:00+14:00", ""),
        ("2026-12-01T03:00+14:00", ""),
        ("2026-12-01T01:00+01:00", "lies in the future"),
        ("2026-11-30", ""),
        ("2023-06", ""),
    ],
)
def test_a_day_on_which_nobody_can_have_measured_is_refused(written: str, why: str) -> None:
    if why:
        with pytest.raises(UserError, match=why):
            check_date(read_date(written), NOW, "--date")
    else:
        check_date(read_date(written), NOW, "--date")


def test_the_same_figures_again_are_one_trial_and_named(tmp_path: Path) -> None:
    file = import_text(tmp_path, A + A)
    [trial] = file.trials
    [(again, first)] = file.repeats
    assert (first.line, again.line) == (trial.transcript.line, 13)
    assert read_contents(A + A).printed == 8


def test_a_turn_without_a_heading_is_named_by_its_line_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError) as problem:
        import_text(tmp_path, f">>> hi\nyes\n{BLOCK}>>> ho\nno\n{OTHER_BLOCK}")
    assert "below" not in problem.value.what
    assert re.search(r"line \d+, line \d+", problem.value.what)
