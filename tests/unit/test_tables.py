"""Tables of any width: nothing is lost without being named, and no name is taken for another."""

from __future__ import annotations

import csv

from hypothesis import given
from hypothesis import strategies as st

from fleet.report.tables import (
    Column,
    aligned,
    comma_separated,
    described,
    fitted,
    shortened,
)
from fleet.terminal import cells, figures_wrapped, wrapped

COLUMNS = (
    Column(title="machine", shared=True),
    Column(title="model"),
    Column(title="decode", right=True),
    Column(title="spread", right=True, rank=2),
    Column(title="id", rank=1),
)
ROWS = (
    ("studio", "gpt-oss:20b", "108", "1.2 %", "trial-1"),
    ("studio", "gpt-oss:120b", "69", "3.0 %", "trial-2"),
)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
TABLES = st.integers(1, 5).flatmap(
    lambda width: st.lists(st.lists(WORDS, min_size=width, max_size=width), min_size=1, max_size=4)
)


def test_a_table_that_fits_is_left_alone() -> None:
    whole = fitted(COLUMNS, ROWS, None)
    assert whole == [
        "machine  model         decode  spread  id",
        "studio   gpt-oss:20b      108   1.2 %  trial-1",
        "studio   gpt-oss:120b      69   3.0 %  trial-2",
    ]
    assert fitted(COLUMNS, ROWS, max(map(cells, whole))) == whole


def test_what_all_rows_share_goes_first_then_the_least_important() -> None:
    assert fitted(COLUMNS, ROWS, 40) == [
        "model         decode  spread  id",
        "gpt-oss:20b      108   1.2 %  trial-1",
        "gpt-oss:120b      69   3.0 %  trial-2",
        "all rows: machine studio",
    ]
    narrow = fitted(COLUMNS, ROWS, 30, wider="--json")
    assert narrow[0] == "model         decode  id"
    assert narrow[-2:] == ["all rows: machine studio", "left out: spread (--json)"]


def test_one_row_shares_nothing() -> None:
    assert fitted(COLUMNS, ROWS[:1], 25)[0].startswith("machine  model")


def test_long_names_are_cut_apart_and_told_whole() -> None:
    long = "hf.co/unsloth/a-model-with-a-name-that-is-long-{}-GGUF:Q4_K_M"
    rows = [(long.format(1), "10"), (long.format(2), "20")]
    lines = fitted((Column(title="model"), Column(title="decode", right=True)), rows, 40)
    assert all(cells(line) <= 40 for line in lines[:3])
    names = [line.split()[0] for line in lines[1:3]]
    assert len(set(names)) == 2
    told = " ".join(lines[3:]).replace(" ", "")
    assert all(f"{name}is{long.format(at)}" in told for at, name in enumerate(names, 1))


@given(st.lists(WORDS, min_size=1, max_size=12), st.integers(8, 40))
def test_shortened_names_stay_different(names: list[str], letters: int) -> None:
    short = shortened(names, letters)
    assert set(short) == set(names)
    assert len(set(short.values())) == len(set(names))


@given(TABLES, st.integers(20, 100))
def test_every_column_is_shown_or_named(rows: list[list[str]], width: int) -> None:
    columns = [Column(title=f"c{at}", rank=at, shared=at % 2 == 0) for at in range(len(rows[0]))]
    lines = fitted(columns, rows, width)
    text = " ".join(lines)
    assert all(f"c{at}" in text for at in range(len(columns)))
    body = lines[: len(rows) + 1]
    if cells(body[0]) > width:  # then only names that are cut already are left
        assert all(column.rank == 0 for column in columns[: len(body[0].split())])


@given(TABLES)
def test_without_a_width_every_cell_is_there(rows: list[list[str]]) -> None:
    columns = [Column(title=f"c{at}", rank=at, shared=True) for at in range(len(rows[0]))]
    for line, row in zip(fitted(columns, rows, None)[1:], rows, strict=True):
        assert [word for word in line.split(" ") if word] == row


def test_wide_letters_and_escapes_keep_columns_aligned() -> None:
    lines = aligned((), [("金", "x"), ("ab", "y"), ("a\x1b[31m", "z")])
    assert lines == ["金         x", "ab         y", r"a\x1b[31m  z"]


def test_a_sentence_goes_on_below_itself() -> None:
    rows = [("ok", "disk", "seventy gibibytes are free in the folder"), ("", "", "  df -h")]
    assert described(rows, 30) == [
        "ok  disk  seventy gibibytes",
        "          are free in the",
        "          folder",
        "            df -h",
    ]


@given(TABLES)
def test_csv_reads_back(rows: list[list[str]]) -> None:
    titles = [f"c{at}" for at in range(len(rows[0]))]
    assert list(csv.reader(comma_separated(titles, rows))) == [titles, *rows]


def test_lines_break_where_columns_meet_and_never_before_a_unit() -> None:
    line = "studio-96: block 1  gpt-oss:20b  noise   pp512+tg128 2 130 tokens/s   4 s left"
    assert figures_wrapped(line, 60, "  ") == [
        "studio-96: block 1  gpt-oss:20b  noise",
        "  pp512+tg128 2 130 tokens/s   4 s left",
    ]
    assert figures_wrapped("it takes about 21 s", 17, "  ") == ["it takes about", "  21 s"]
    assert wrapped("it takes about 21 s", 17, "  ") == ["it takes about 21", "  s"]


def test_cells_of_several_words_go_on_below_themselves_before_any_name_is_cut() -> None:
    """No word is broken, and no number is parted from its unit."""
    columns = (
        Column(title="model"),
        Column(title="settings"),
        Column(title="prefill", right=True),
    )
    rows = [
        ("gpt-oss:20b", "num_batch=512 temperature=0.0", "no valid request"),
        ("gpt-oss:120b", "num_batch=64", "1 000"),
    ]
    assert fitted(columns, rows, 40) == [
        "model         settings          prefill",
        "gpt-oss:20b   num_batch=512    no valid",
        "              temperature=0.0   request",
        "gpt-oss:120b  num_batch=64        1 000",
    ]


def test_settings_with_numbers_are_broken_between_them() -> None:
    settings = "num_ctx=8192 num_batch=512 temperature=0.5 repeat_penalty=1.0 num_thread=8"
    assert figures_wrapped(f"settings of all: {settings}", 50, "  ") == [
        "settings of all: num_ctx=8192 num_batch=512",
        "  temperature=0.5 repeat_penalty=1.0 num_thread=8",
    ]
