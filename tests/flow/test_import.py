"""`fleet import` as a user runs it: each figure is stored or named, and a day stays that day."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.builders_flow import Fleet, experiment, machine

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
ASKED = '$ ollama run tiny --verbose "why is gold yellow?"\nIt takes up blue light.\n\n'
TOLD = ("--machine", "studio", "--date", "2026-10-01", "--source", "a terminal")
WEST, EAST, NEW_YORK = "<-11>11", "<+14>-14", "EST5EDT,M3.2.0,M11.1.0"
ZONES = ("UTC0", WEST, EAST, NEW_YORK)


def write(fleet: Fleet, text: str | bytes, name: str = "notes.md") -> str:
    data = text.encode() if isinstance(text, str) else text
    (fleet.folder / name).write_bytes(data)
    return name


def test_what_is_read_and_what_is_not_adds_up(fleet: Fleet) -> None:
    odd = FIGURES.replace("\neval count", "\ndraft accept rate: 0.71\neval count")
    wrong = FIGURES.replace("51.28", "91.28")
    file = write(fleet, f"{ASKED}{odd}\n$ ollama run other --verbose hi\nyes\n\n{wrong}")
    done = fleet("import", file, *TOLD, code=1)
    assert "stored: tiny  why-is-gold-yellow-" in done.out
    assert "refused: line 17 (other): eval rate: 91.28 tokens/s, but eval count: 200" in done.out
    assert "not read: line 9: draft accept rate: 0.71" in done.out
    assert "17 figures printed: 8 read, 8 refused, 1 not read" in done.out
    data = fleet("import", file, *TOLD, "--json", code=1).json()
    assert [(each["line"], each["new"], each["output_tokens"]) for each in data["stored"]] == [
        (4, False, 200)
    ]
    assert [each["line"] for each in data["refused"]] == [17]
    assert [(each["line"], each["text"]) for each in data["unread"]] == [
        (9, "draft accept rate: 0.71")
    ]
    assert data["figures_printed"] == (
        data["figures_read"] + data["figures_refused"] + data["figures_unread"]
    )
    query = """select model, prompt_tokens, output_tokens, output_duration_ns
        from requests join trials using (attempt_id)"""
    assert [tuple(row.values()) for row in fleet.rows(query)] == [("tiny", 20, 200, 3_900_000_000)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("eval count: 74 token(s)\neval duration: 5.6s\n", "the total duration is missing"),
        ("| total duration | 15.2s | 20.8s |\n", "a table is no transcript"),
        (ASKED + FIGURES.replace("200 token", f"{'9' * 20} token"), "more than 100,000,000 tokens"),
        (FIGURES, "say it: --model NAME"),
        ("nothing\n", "make one: ollama run MODEL"),
        (FIGURES.encode("utf-16-le"), "is in UTF-16"),
        (b"\x7fELF\0\0\x01", "is a binary file"),
        ("\x1b]0;x\x07total duration: \x1b[31m\x02x5\n", "\\x02"),
    ],
)
def test_a_file_of_which_nothing_can_be_stored_is_one_message(
    fleet: Fleet, text: str | bytes, says: str
) -> None:
    done = fleet("import", write(fleet, text), *TOLD, code=2)
    assert done.out == ""
    assert says in done.err
    assert "\x1b" not in done.err
    assert fleet.parquet() == []


@pytest.mark.parametrize("date", ["9999-12-31", "0001-01-01", "2026-02-30", "2200-01", "x"])
def test_a_day_that_cannot_be_is_one_message(fleet: Fleet, date: str) -> None:
    told = [*TOLD[:3], date, *TOLD[4:]]
    done = fleet("import", write(fleet, ASKED + FIGURES), *told, code=2, env={"TZ": EAST})
    assert date[:4] in done.err
    assert len(done.err.splitlines()) == 2
    assert fleet.parquet() == []


def test_a_kept_text_is_for_fleet_answers_and_may_be_kept_later(fleet: Fleet) -> None:
    file = write(fleet, ASKED + FIGURES)
    fleet("import", file, *TOLD)
    assert fleet("answers").out.startswith("no answers yet")
    assert "with its text" in fleet("import", file, *TOLD, "--keep-text").out
    assert "its text was stored before" in fleet("import", file, *TOLD, "--keep-text").out
    [sheet] = fleet("answers", "--json").json()
    assert sheet["prompt"] == "why is gold yellow?"
    [answer] = sheet["answers"]
    assert (answer["name"], answer["text"]) == ("tiny", "It takes up blue light.")
    assert answer["timed"][0]["source"] == "imported: a terminal"


def test_a_day_given_in_one_zone_is_that_day_in_every_other(fleet: Fleet) -> None:
    file = write(
        fleet, f"# 2 October 2026\n{ASKED}{FIGURES}# later\n{ASKED}{FIGURES.replace('4.1', '4.2')}"
    )
    fleet("import", file, *TOLD[:3], "2026-11-20", *TOLD[4:], env={"TZ": NEW_YORK})
    offsets = "select utc_offset_s from trials order by started_at"
    assert [row["utc_offset_s"] for row in fleet.rows(offsets)] == [-4 * 3600, -5 * 3600]
    for zone in ZONES:
        days = ("compare", "--by", "date", "2026-10-02", "2026-11-20")
        compared = fleet(*days, code=None, env={"TZ": zone}).out
        assert "against 2026-10-02 (51 tokens/s" in compared
        assert "\n  2026-11-20  51 tokens/s" in compared
        [last] = fleet("results", "--json", env={"TZ": zone}).json()
        assert last["last_at"] == "2026-11-20T00:00:00-05:00"
        shown = fleet("show", last["id"], env={"TZ": zone}).out
        assert ", 2026-11-20 00:00:00-05:00" in shown.splitlines()[0]


def test_a_measured_trial_has_the_day_of_its_machine_everywhere(tmp_path: Path) -> None:
    """In a zone whose day is not that of UTC just now."""
    fleet = Fleet(tmp_path)
    hour = time.gmtime().tm_hour
    zone, hours = (WEST, -11) if hour < 11 else (EAST, 14)
    try:
        file = fleet.write(experiment({"alpha": machine()}, repeats=1))
        fleet("submit", file, "--yes", env={"TZ": zone})
        query = "select utc_offset_s, started_local::date as day, zero_unix_ns from trials"
        [row] = fleet.rows(query)
        local = time.gmtime(row["zero_unix_ns"] / 1e9 + hours * 3600)
        day = time.strftime("%Y-%m-%d", local)
        assert (row["utc_offset_s"], str(row["day"])) == (hours * 3600, day)
        assert day != time.strftime("%Y-%m-%d", time.gmtime(row["zero_unix_ns"] / 1e9))
        for reader in ("UTC0", WEST, EAST):
            [cell, *_] = fleet("results", "--json", env={"TZ": reader}).json()
            assert cell["last_at"].startswith(day)
            seen = fleet("machines", "--json", env={"TZ": reader}).json()[0]["last_seen"]
            assert seen.startswith(day)
            only = fleet("compare", "--by", "date", day, code=2, env={"TZ": reader})
            assert f"there is only {day}" in only.err
    finally:
        fleet.clear()
