"""Transcripts as people copy them: out of terminals, logs, lists, mail and word processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.store.transcript_figures import figures_in
from fleet.store.transcripts import Contents, Transcript, read_contents

CASES = Path(__file__).parents[3] / "shared" / "cases"
FIGURES = """\
total duration:       4.1s
load duration:        50ms
prompt eval count:    20 token(s)
prompt eval duration: 100ms
prompt eval rate:     200.00 tokens/s
eval count:           200 token(s)
eval duration:        3.9s
eval rate:            51.28 tokens/s
"""
ALL = (4_100_000_000, 50_000_000, 20, None, 100_000_000, 200, 3_900_000_000)
ASKED = "$ ollama run m --verbose hi\n"


def values(turn: Transcript) -> tuple[int | None, ...]:
    return (
        *(turn.total_ns, turn.load_ns, turn.prompt_tokens, turn.cached_tokens),
        *(turn.prompt_ns, turn.output_tokens, turn.output_ns),
    )


def only(text: str) -> Transcript:
    contents = read_contents(text)
    assert contents.unread == contents.refused == ()
    [turn] = contents.transcripts
    return turn


def with_lines(form: str, begin: str = ASKED) -> str:
    return begin + "".join(form.format(line) + "\n" for line in FIGURES.splitlines())


@pytest.mark.parametrize(
    "form",
    [
        *("- {}", "* {}", "• {}", "+ {}", "> {}", "> > {}", "| {} |", "│ {} │", "1. {}", "12) {}"),
        *("[12:01:33] {}", "jo@studio: {}", "ollama-1  | {}", "2026-10-01T12:01:33Z {}", "\t{}"),
        *("**{}**", "`{}`", "- `{}`", "-{}", "\u200b{}", "  – {}", "{}\r", "<b>{}</b>"),
    ],
)
def test_what_stands_around_each_line_is_no_part_of_it(form: str) -> None:
    assert values(only(with_lines(form))) == ALL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" token(s)", " tokens"),
        (" token(s)", " token"),
        (" token(s)", "token(s)"),
        (" token(s)", "\u202ftokens"),
        (" tokens/s", " t/s"),
        (" tokens/s", "tok/s"),
        (" tokens/s", " tokens per second"),
        (":  ", ":**  "),
        ("ms", " ms"),
        ("eval count:           200", "Eval Count: 200"),
        ("200 token", "**200** token"),
        ("51.28 tokens/s", "**51.28 tokens/s**"),
        ("51.28 tokens/s", "51,28 tokens/s"),
        (" duration:", "\u00a0duration\u00a0:"),
        (":", "\uff1a"),
        ("4.1s", "4,1s"),
        ("4.1s\n", "\n4.1s\n\n"),
        ("prompt eval", "prompt\neval"),
    ],
)
def test_other_hands_write_the_same_figures_otherwise(old: str, new: str) -> None:
    assert old in FIGURES
    marked = FIGURES.replace(old, new).replace("**200** token", "200 token")
    assert values(only(ASKED + marked)) == ALL


def test_thousands_are_grouped_in_every_way() -> None:
    plain = FIGURES.replace("20 token(s)", "1374 token(s)").replace("200.00", "13740.00")
    for sign in (",", "\u202f", "\u2009", "\u00a0", "'", "\u2019", " "):
        text = plain.replace("1374 ", f"1{sign}374 ").replace("13740.00", f"13{sign}740.00")
        assert only(ASKED + text).prompt_tokens == 1374


def test_cached_tokens_are_read_and_the_rate_is_of_the_others() -> None:
    cached = "prompt eval cached:   12 token(s)\nprompt eval duration"
    newer = FIGURES.replace("prompt eval duration", cached).replace("200.00", "80.00")
    assert values(only(ASKED + newer)) == (*ALL[:3], 12, *ALL[4:])


@pytest.mark.parametrize(
    "label", [*(line.partition(":")[0] for line in FIGURES.splitlines()[1:]), ""]
)
def test_the_cached_tokens_may_stand_anywhere_in_a_turn(label: str) -> None:
    """`label`: of the line below them; none: they are the last."""
    line, newer = "prompt eval cached:   12 token(s)\n", FIGURES.replace("200.00", "80.00")
    text = newer.replace(f"\n{label}:", f"\n{line}{label}:") if label else f"{newer}{line}"
    assert values(only(f"{ASKED}{text}")) == (*ALL[:3], 12, *ALL[4:])
    twice = read_contents(f"{ASKED}{text}\n{line}")
    assert [(turn.cached_tokens, turn.figures) for turn in twice.transcripts] == [(12, 9)]
    assert len(twice.unread) == 1


@pytest.mark.parametrize(
    "odd",
    [
        "draft accept rate:     0.71",
        "(second run, 3 % slower)",
        "**peak memory: 5.1 GB**",
        "eval temperature: 0.7",
        "a table | of | 3",
    ],
)
@pytest.mark.parametrize("before", ["load duration", "prompt eval rate", "eval rate"])
def test_an_unknown_line_ends_nothing_and_is_named(odd: str, before: str) -> None:
    contents = read_contents(ASKED + FIGURES.replace(f"\n{before}", f"\n{odd}\n{before}"))
    [turn] = contents.transcripts
    assert values(turn) == ALL
    [unread] = contents.unread
    assert unread.text == odd.strip("*").replace("     ", " ")
    line = (
        (ASKED + FIGURES)
        .splitlines()
        .index(next(each for each in FIGURES.splitlines() if each.startswith(before)))
    )
    assert unread.line == line + 1


@pytest.mark.parametrize(
    "between", ["$ ollama run other --verbose\n", ">>> more\n", "# Another\n", "```\n"]
)
def test_figures_of_a_turn_that_was_cut_off_are_not_filled_up_by_the_next(between: str) -> None:
    head, rest = FIGURES.split("prompt eval count", 1)
    contents = read_contents(f"{ASKED}{head}{between}prompt eval count{rest}")
    assert [turn.figures for turn in contents.transcripts] == [2]
    assert [each.why for each in contents.unread] == [
        "the `total duration:` of its turn is missing"
    ] * 6


def test_an_unknown_figure_between_two_turns_is_named() -> None:
    contents = read_contents(f"{ASKED}{FIGURES}draft accept rate: 0.71\n\n{ASKED}{FIGURES}")
    assert [(each.line, each.text) for each in contents.unread] == [(10, "draft accept rate: 0.71")]
    assert len(contents.transcripts) == 2


def test_a_figure_below_the_last_one_is_named_and_the_next_words_are_not() -> None:
    contents = read_contents(f"{ASKED}{FIGURES}draft accept rate: 0.71\n\nThe answer: 42\n")
    assert [(each.line, each.text) for each in contents.unread] == [(10, "draft accept rate: 0.71")]


@pytest.mark.parametrize(
    ("old", "new", "line", "named", "why"),
    [
        ("50ms", "1,374ms", 3, "load duration: 1,374ms", "its comma may part thousands"),
        ("200 token(s)", "many", 7, "eval count: many", "no number of tokens"),
        ("200 token(s)", "200 chunks", 7, "eval count: 200 chunks", "no number of tokens"),
        ("200 token(s)", "1.374 token(s)", 7, "eval count: 1.374 token(s)", "1.374 is no number"),
        ("51.28 tokens/s", "NaN tokens/s", 9, "eval rate: NaN tokens/s", "no rate"),
        ("51.28 tokens/s", "~51 tokens/s", 9, "eval rate: ~51 tokens/s", "no rate"),
        ("load duration: ", "load duration ", 3, "load duration 50ms", "no colon"),
        ("3.9s", "3.9s (was 7s)", 8, "(was 7s)", "a remark"),
    ],
)
def test_what_cannot_be_read_is_named_and_the_rest_is_read(
    old: str, new: str, line: int, named: str, why: str
) -> None:
    contents = read_contents(ASKED + FIGURES.replace(old, new))
    [turn], [unread] = contents.transcripts, contents.unread
    assert (unread.line, unread.text) == (line, named)
    assert why in unread.why
    assert turn.total_ns == ALL[0]
    assert contents.printed == (9 if "remark" in why else 8)
    assert turn.figures == contents.printed - 1


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("200 token(s)", "99999999999999999999 token(s)", "more than 100,000,000 tokens"),
        ("200 token(s)", f"{'9' * 5000} token(s)", "more than 100,000,000 tokens"),
        ("3.9s", "99999999h", "more than 30 days"),
        ("50ms", "-50ms", "below zero"),
        ("50ms", "\u221250ms", "below zero"),
        ("4.1s", "2.1s", "is more than total duration: 2.1s"),
        ("51.28", "91.28", "eval rate: 91.28 tokens/s, but eval count: 200 token(s) in 3.9s"),
        ("200.00", "900.00", "prompt eval rate: 900.00 tokens/s"),
        (
            "prompt eval duration",
            "prompt eval cached: 21 token(s)\nprompt eval duration",
            "prompt eval cached: 21 token(s), but prompt eval count: 20 token(s)",
        ),
    ],
)
def test_figures_that_cannot_be_refuse_their_turn_and_no_other(
    old: str, new: str, why: str
) -> None:
    wrong = FIGURES.replace(old, new)
    contents = read_contents(f"{ASKED}{wrong}\n$ ollama run other --verbose hi\n{FIGURES}")
    assert [turn.model for turn in contents.transcripts] == ["other"]
    [refused] = contents.refused
    assert (refused.line, refused.model) == (2, "m")
    assert why in refused.why
    assert contents.printed == refused.figures + 8


@pytest.mark.parametrize(
    ("rate", "read"),
    [("51.28", True), ("51.3", True), ("51", True), ("51.5", False), ("52", False)],
)
def test_rounding_contradicts_nothing(rate: str, read: bool) -> None:
    contents = read_contents(ASKED + FIGURES.replace("51.28", rate).replace("3.9s", "3.90s"))
    assert bool(contents.transcripts) is read


def test_no_token_is_no_rate_and_no_contradiction() -> None:
    none = FIGURES.replace("200 token(s)", "0 token(s)").replace("51.28", "0.00")
    assert [turn.output_tokens for turn in read_contents(ASKED + none).transcripts] == [0]


@pytest.mark.parametrize(("cached", "read"), [(0, False), (1, True)])
def test_a_rate_of_a_prompt_may_leave_out_what_was_cached_and_nothing_else(
    cached: int, read: bool
) -> None:
    told = f"prompt eval cached: {cached} token(s)\nprompt eval duration"
    figures = FIGURES.replace("prompt eval duration", told).replace("200.00", "190.00")
    assert bool(read_contents(ASKED + figures).transcripts) is read


def named(contents: Contents) -> list[tuple[int, str]]:
    assert contents.transcripts == ()
    return [(each.line, each.why) for each in contents.unread]


def test_a_turn_without_its_beginning_says_what_is_missing() -> None:
    tail = FIGURES.partition("prompt eval rate")[2].partition("\n")[2]
    missing = "the `total duration:` of its turn is missing"
    assert named(read_contents(f"{ASKED}{tail}")) == [(line, missing) for line in (2, 3, 4)]
    unreadable = FIGURES.replace("4.1s", "long")
    lines = named(read_contents(ASKED + unreadable))
    assert [why for _, why in lines] == ["no duration stands behind it", *[missing] * 7]


def test_a_table_is_no_transcript() -> None:
    rows = [line.partition(":") for line in FIGURES.splitlines()]
    for form in ("| {0} | {1} |", "| {0} | {1} | {1} |", "| {0}: | {1} | {1} |"):
        table = "\n".join(form.format(name.title(), value) for name, _, value in rows)
        found = named(read_contents(f"{ASKED}| Metric | Mine |\n|---|---|\n{table}\n"))
        assert found == [(line, "a row of a table") for line in range(4, 12)]


def test_figures_in_another_order_refuse_their_turn() -> None:
    lines = FIGURES.splitlines(keepends=True)
    mixed = "".join([*lines[:2], *lines[5:7], *lines[2:5], lines[7]])
    contents = read_contents(ASKED + mixed)
    assert contents.transcripts == ()
    assert [turn.figures for turn in contents.refused] == [4]
    assert "do not stand in the order" in contents.refused[0].why
    assert contents.printed == 8


def test_the_same_label_twice_begins_another_turn() -> None:
    twice = FIGURES + FIGURES.partition("\n")[2]
    contents = read_contents(ASKED + twice)
    assert [values(turn) for turn in contents.transcripts] == [ALL]
    assert len(contents.unread) == 7


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ("ollama run m \u2013verbose", None),
        ("ollama run m \u2014verbose \u201cwhy is gold yellow?\u201d", "why is gold yellow?"),
        ("ollama run m \u2212\u2212verbose \u2018it\u2019s late\u2019", "it\u2019s late"),
        ("ollama run \u2013verbose m \u201eso\u201c", "so"),
        ("[12:01:33] jo@studio ~ % ollama run m --verbose 'why'", "why"),
        ("> $ ollama\u00a0run m --verbose why", "why"),
    ],
)
def test_dashes_and_quotation_marks_of_a_word_processor(line: str, prompt: str | None) -> None:
    turn = only(f"{line}\nan answer\n{FIGURES}")
    assert (turn.model, turn.prompt) == ("m", prompt)


def test_the_line_of_a_terminal_is_read_as_it_shows_it() -> None:
    """Words that Ollama took back to break a line, the mark that turns, the grey placeholder."""
    recorded = (
        "jo@studio ~ % ollama run m --verbose\r\n\x1b[?25l\x1b[1G\u2819 \x1b[K\x1b[2K\x1b[1G"
        ">>> \x1b[38;5;245mSend a message (/? for help)\x1b[28D\x1b[0m\x1b[Kwhy is gold\r\n"
        "\x1b[1G\u2819 \x1b[K\x1b[1G\u2839 \x1b[K\x1b[2K\x1b[1Gblue light is ta"
        "\x1b[2D\x1b[K\r\ntaken\r\n\r\n" + FIGURES.replace("\n", "\r\n") + ">>> /bye\r\n"
    )
    turn = only(recorded)
    assert (turn.prompt, turn.answer) == ("why is gold", "blue light is\u0020\ntaken")
    assert values(turn) == ALL


def test_an_answer_is_kept_without_what_stood_before_its_lines() -> None:
    asked = (
        "$ ollama run m --verbose hi\nThinking...\nshort\n...done thinking.\n\nOne.\n\n> Two.\n\n"
    )
    for before in ("", "> ", "[12:01:33] ", "> > ", "ollama-1  | "):
        turn = only("".join(f"{before}{line}\n" for line in (asked + FIGURES).split("\n")))
        assert (turn.thinking, turn.answer) == ("short", "One.\n\n> Two.")


def test_line_numbers_are_those_of_the_file() -> None:
    figures = figures_in("x\n\neval count: 5\n\n\neval rate: many tokens/s\n")
    assert [figure.line for figure in figures] == [3, 6]


SHARED = {
    "01": [("llama3.2:1b", 45, None, 249), ("qwen3:8b", 45, 32, 149)],
    "03": [("m1", 20, None, 200)],
    "05": [("m1", 20, None, 200)],
    "06": [(None, 24, None, 146), (None, 26, None, 120)],
    "07": [("qwen2.5-coder:32b", 40, None, 2750)],
    "10": [],
    "11": [("granite4:3b", 20, None, 200)],
    "14": [],
    "15": [],
}


@pytest.mark.parametrize("number", SHARED)
def test_the_copies_of_public_reports(number: str) -> None:
    if not CASES.is_dir():
        pytest.skip(f"no such folder here: {CASES}")
    [file] = CASES.glob(f"{number}-*")
    turns = read_contents(file.read_text()).transcripts
    assert [
        (turn.model, turn.prompt_tokens, turn.cached_tokens, turn.output_tokens) for turn in turns
    ] == SHARED[number]


@pytest.mark.parametrize(("lines", "read"), [(90, 8), (150, 2)])
def test_figures_far_below_are_of_no_turn_above(lines: int, read: int) -> None:
    head, rest = FIGURES.split("prompt eval count", 1)
    contents = read_contents(ASKED + head + "some words\n" * lines + "prompt eval count" + rest)
    assert [turn.figures for turn in contents.transcripts] == [read]
    assert contents.printed == 8
