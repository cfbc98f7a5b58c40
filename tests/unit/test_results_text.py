"""The table of `fleet results` where several experiments stand in it."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

from fleet.query.results import ResultRow
from fleet.report.results_text import results_csv, results_lines

DAY = datetime(2026, 11, 30, tzinfo=UTC)
COMMON = "num_ctx=8192 temperature=0.0"


def row(experiment: str, settings: str, **changes: object) -> ResultRow:
    plain: dict[str, object] = {
        "session": 0,
        "machine_id": "m",
        "machine": "vm",
        "model": "tiny",
        "job": "exact",
        "point": "pp512",
        "prefill_tokens_per_s": 1000.0,
        "left_out": {},
        "id": "trial-0123456789",
        **changes,
    }
    return ResultRow(experiment=experiment, settings=f"{COMMON} {settings}", **plain)  # type: ignore[arg-type]


ROWS = [
    row("first", "num_batch=512"),
    row("second", "num_batch=8 num_thread=1"),
    row("second", "num_batch=512 num_thread=1"),
]


def test_settings_that_an_experiment_has_throughout_are_said_once_of_it() -> None:
    title, *rows = results_lines(ROWS, 80)[:4]
    at = title.index("settings")
    assert [line[at:].split()[0] for line in rows[1:]] == ["num_batch=8", "num_batch=512"]
    assert rows[0][at:].split()[0] == "1"
    notes = results_lines(ROWS, 80)[4:]
    assert f"settings of all: {COMMON}" in notes
    assert "settings of all of first: num_batch=512" in notes
    assert "settings of all of second: num_thread=1" in notes


def test_each_row_of_a_spreadsheet_has_all_that_tells_it_from_the_others() -> None:
    lines = [line for line in results_csv(ROWS, []) if not line.startswith("#")]
    assert [cells["settings"] for cells in csv.DictReader(lines)] == [
        "num_batch=512",
        "num_batch=8 num_thread=1",
        "num_batch=512 num_thread=1",
    ]


def test_a_row_without_a_date_is_no_second_date() -> None:
    assert "date" not in results_lines([row("a", ""), row("a", "", last_at=DAY)])[0]


NVFP4 = {"model_format": "safetensors", "quantization": "nvfp4", "drafts": "yes"}
MXFP4 = {"model_format": "gguf", "quantization": "MXFP4", "drafts": "no"}


def test_formats_that_differ_stand_in_their_rows_and_equal_ones_below() -> None:
    both = results_lines([row("e", "", **NVFP4), row("e", "", **MXFP4)], 80)
    at = both[0].index("format")
    assert [line[at:].split("  ")[0] for line in both[1:3]] == [
        *("safetensors nvfp4 with drafts", "gguf MXFP4"),
    ]
    alike = results_lines([row("e", "", **NVFP4)] * 2, 80)
    assert "format" not in alike[0]
    assert "format of all: safetensors nvfp4 with drafts" in alike
    assert max(map(len, both + alike)) <= 80


def test_formats_that_are_not_known_are_told_once() -> None:
    rows = [row("e", "", **MXFP4), row("e", ""), row("e", "")]
    told = [line for line in results_lines(rows, 120) if "not known" in line]
    assert told == ["format of 2 rows not known: an older fleet measured them"]
    assert not any("format" in line for line in results_lines([row("e", "")], 120))


def test_two_clocks_that_disagree_are_told_below() -> None:
    odd = row("e", "", decode_second_opinion="client 50, engine 48 tokens/s")
    assert results_lines([odd, row("e", "", decode_second_opinion="")], 120)[-1] == (
        "decode of tiny pp512 on vm by two clocks: client 50, engine 48 tokens/s"
    )
