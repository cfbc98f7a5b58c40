"""Results, single trials, unusable stores, and free SQL that can change nothing."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleet.errors import StoreUnusable, UnknownName, UserError
from fleet.query.adhoc_sql import sql
from fleet.query.one_trial import show
from fleet.query.open_store import open_store, rows
from fleet.query.results import results
from fleet.query.sandbox import open_locked
from fleet.report.comparison_text import results_lines
from fleet.report.trial_text import shown_lines
from tests.builders_compare import GoldenStore, request, transcripts

SHOWN = ("trials", "requests", "readings")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = GoldenStore()
    for block, rate in enumerate((95, 100, 105)):
        store.trial(f"aa{block}", decode=rate, block=block, why="to see")
    store.trial(
        "part", model="m", requests=[request(), request(output_tokens=3), request(error="x")]
    )
    store.trial("none", model="n", requests=[request(error="gone"), request(done_reason="stop")])
    store.trial("broken", outcome="failed", reason="stream_broken", requests=[request(error="x")])
    return store.write(tmp_path / "results", files=2)


def test_results_have_a_row_per_cell_and_count_what_was_left_out(folder: Path) -> None:
    found = {row.model: row for row in results(open_store([folder]))}
    assert found["gpt-oss:20b"].trials == 3
    assert found["gpt-oss:20b"].decode_tokens_per_s == pytest.approx(100)
    assert found["gpt-oss:20b"].spread_percent == pytest.approx(5)
    assert found["gpt-oss:20b"].id == "trial-aa2"
    assert found["m"].left_out == {"short": 1, "aborted": 1}
    assert (found["n"].trials, found["n"].decode_note) == (0, "no valid request")
    assert found["n"].left_out == {"short": 1, "aborted": 1}
    text = results_lines(list(found.values()))
    assert text[-1] == "requests left out: 2 aborted, 2 short"
    assert len({line.index("decode") for line in text[:1]}) == 1


@pytest.mark.parametrize(
    ("before", "now", "states"),
    [
        ({"hardware_id": "hardware-0"}, {}, ("hardware-0", "hardware-1")),
        ({"os_version": "26.0"}, {}, ("OS 26.0", "OS 26.1")),
        (
            {"os_build": "A", "kernel": "1"},
            {},
            ("build A, kernel 1", "build unknown, kernel unknown"),
        ),
        ({"gpu_driver": "580"}, {"gpu_driver": "595"}, ("driver 580", "driver 595")),
        ({"gpu_limit_mb": 65_536}, {}, ("GPU limit 65536", "GPU limit 73728")),
        ({"engine_version": "0.33.0"}, {}, ("engine 0.33.0", "engine 0.32.15")),
    ],
)
def test_a_machine_that_has_changed_makes_a_row_of_its_own(
    tmp_path: Path, before: dict[str, str], now: dict[str, str], states: tuple[str, str]
) -> None:
    store = GoldenStore()
    store.trial("old", decode=50, block=0, **before)
    store.trial("new", decode=100, block=1, **now)
    found = results(open_store([store.write(tmp_path)]))
    assert [(row.state, row.trials) for row in found] == [(states[0], 1), (states[1], 1)]
    assert found[0].decode_tokens_per_s == pytest.approx(50)
    text = results_lines(found)
    assert "state" in text[0]
    assert states[0] in text[1]


def test_trials_of_one_state_are_one_row_without_a_word_of_it(tmp_path: Path) -> None:
    store = GoldenStore()
    for block in range(2):
        store.trial(f"t{block}", block=block)
    [row] = results(open_store([store.write(tmp_path)]))
    assert (row.state, row.trials) == ("", 2)
    assert "state" not in results_lines([row])[0]


def test_results_of_imported_trials_are_called_naive(tmp_path: Path) -> None:
    con = open_store([transcripts(GoldenStore()).write(tmp_path)])
    text = "\n".join(results_lines(results(con, "imported")))
    assert "1 374 naive" in text
    assert "4.47" in text


def test_a_cell_that_throttled_shows_both_its_speeds_and_streams_what_they_do_together(
    tmp_path: Path,
) -> None:
    store = GoldenStore()
    store.trial("steady")
    slower = [30_000] * 67 + [31_000] * 67 + [40_000] * 67
    store.trial("hot", model="m", decode=30, ask={"chunk_gaps_us": slower, "output": 202})
    store.trial("two", model="n", ask={"concurrency": 2})
    steady, hot, two = results(open_store([store.write(tmp_path)]))
    title, *lines = results_lines([steady, hot])[:3]
    for column, speed in (("burst", "33.3"), ("sustained", "25")):
        end = title.index(column) + len(column)
        assert lines[0][title.index(column) : end].strip() == ""
        assert lines[1][:end].endswith(speed)
    assert "burst" not in results_lines([steady])[0]
    assert "together" in results_lines([two])[0]


def test_an_unknown_experiment_is_named_with_the_nearest(folder: Path) -> None:
    con = open_store([folder])
    with pytest.raises(UnknownName, match="did you mean golden"):
        results(con, "goldn")


def test_show_takes_the_beginning_of_an_id(folder: Path) -> None:
    con = open_store([folder], SHOWN)
    shown = show(con, "aa1")
    assert shown.trial["trial_id"] == "trial-aa1"
    assert shown.requests[0]["naive_decode_tokens_per_s"] == pytest.approx(100 * 201 / 200)
    assert shown.requests[0]["decode_tokens_per_s"] == pytest.approx(100)
    with pytest.raises(UserError, match="3 trials begin so"):
        show(con, "trial-aa")
    with pytest.raises(UnknownName, match="did you mean trial-broken"):
        show(con, "trial-brocken")
    with pytest.raises(UnknownName):
        show(con, "")


def test_show_of_a_failed_trial_has_no_rates(folder: Path) -> None:
    shown = show(open_store([folder], SHOWN), "trial-broken")
    assert (shown.trial["counted"], shown.trial["reason"]) == (False, "stream_broken")
    assert len(shown.requests) == 1
    assert not any("per_s" in name for name in shown.requests[0])


def test_the_times_of_a_trial_are_shown_in_their_units(tmp_path: Path) -> None:
    store = GoldenStore()
    asked = request(load_duration_ns=2_300_000, prompt_duration_ns=1_040_000_000)
    store.trial("t", requests=[asked], load_ns=7_340_000_000, duration_ns=62_200_000_000)
    con = open_store([store.write(tmp_path)], SHOWN)
    lines = shown_lines(show(con, "trial-t"))
    assert "  times      load 7.34 s  whole trial 62.2 s" in lines
    heads, cells = (
        re.split(r"\s{2,}", line.strip()) for line in lines if "prompt" in line or "chat" in line
    )
    assert cells[heads.index("load")] == "2.3 ms"
    assert cells[heads.index("read")] == "1.04 s"


def test_no_results_here(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="no results here") as caught:
        open_store([tmp_path])
    assert "fleet submit" in caught.value.hint
    with pytest.raises(StoreUnusable, match="no results folder"):
        open_store([])


def test_a_lost_table_is_named(folder: Path) -> None:
    (folder / "current" / "answers" / "_schema.parquet").unlink()
    with pytest.raises(StoreUnusable, match="current/answers"):
        open_store([folder])


@pytest.mark.parametrize("table", ["trials", "requests"])
@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "foreign", "other_type"])
def test_a_file_that_cannot_be_read_is_named(folder: Path, table: str, kind: str) -> None:
    bad = folder / "current" / table / "zz-bad.parquet"
    good = (folder / "current" / table / "part-0.parquet").read_bytes()
    if kind == "foreign":
        pq.write_table(pa.table({"colour": ["red"]}), bad)
    elif kind == "other_type":
        pq.write_table(pa.table({"attempt_id": ["x"], "seed": ["red"], "outcome": ["ok"]}), bad)
    else:
        bad.write_bytes({"truncated": good[: len(good) // 2], "empty": b"", "text": b"no"}[kind])
    with pytest.raises(StoreUnusable, match="zz-bad") as caught:
        rows(open_store([folder]), "select * from speeds")
    assert "fleet store repair" in caught.value.hint


@pytest.mark.parametrize("table", ["trials", "requests", "readings", "answers"])
def test_what_macos_leaves_beside_a_file_is_no_result(folder: Path, table: str) -> None:
    before = rows(open_store([folder]), "select count(*) as n from speeds")
    (folder / "current" / table / "._part-0.parquet").write_bytes(b"\0\5\x16\7")
    assert rows(open_store([folder]), "select count(*) as n from speeds") == before
    assert sql([folder], "select count(*) from speeds")[1] == [[before[0]["n"]]]


@pytest.mark.parametrize(
    "query",
    [
        "select repeat('x', 150_000_000) as x",
        "select repeat('x', 1_000_000) as x from range(200)",
        "select i from range(3_000_000) r(i)",
    ],
)
def test_an_answer_larger_than_anybody_reads_is_refused(folder: Path, query: str) -> None:
    with pytest.raises(UserError, match="the answer is larger than 128 MiB"):
        sql([folder], query)


def test_a_file_of_an_older_form_is_read_with_the_rest(folder: Path) -> None:
    before = rows(open_store([folder]), "select count(*) as n, max(role) as role from attempts")
    path = folder / "current" / "trials" / "part-0.parquet"
    older = pq.read_table(path).drop_columns(["role", "foreign_cpu_percent", "os_build"])
    path.unlink()
    pq.write_table(older, path.with_name("older.parquet"))
    con = open_store([folder])
    assert rows(con, "select count(*) as n, max(role) as role from attempts") == before
    assert len(rows(con, "select os_build, flags from speeds")) > 0


def test_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("t")
    folder = store.write(tmp_path / "it's [a] *?")
    assert rows(open_store([folder]), "select count(*) as n from speeds") == [{"n": 1}]


def test_free_sql_answers_as_the_views_do(folder: Path) -> None:
    query = "select model, trials, last_started_at from cells order by model limit 1"
    columns, found = sql([folder], query)
    assert columns == ["model", "trials", "last_started_at"]
    assert found == [["gpt-oss:20b", 3, "2026-11-01T00:02:00+00:00"]]


def content(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "attempt",
    [
        "copy (select 1 as a) to '{home}/out.csv'",
        "copy (select 1 as a) to '{trials}/part-0.parquet' (use_tmp_file false)",
        "copy (select 1 as a) to '{trials}/new.parquet'",
        "with x as (copy (select 1) to '{trials}/new.parquet') from x",
        "explain analyze copy (select 1) to '{trials}/new.parquet'",
        "attach '{home}/new.duckdb'",
        "select * from read_text('/etc/passwd')",
        "select * from read_parquet('{trials}/*.parquet')",
        "select * from glob('/etc/*')",
        "set memory_limit = '100GB'",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "install httpfs",
        "load httpfs",
    ],
)
def test_the_locked_views_can_change_and_reach_nothing(
    folder: Path, tmp_path: Path, attempt: str
) -> None:
    root = (folder / "current").resolve()
    con, before = open_locked([root]), content(tmp_path)
    with pytest.raises(duckdb.Error, match=r"disabled|locked|Cannot|not allowed"):
        con.execute(attempt.format(home=tmp_path, trials=root / "trials")).fetchall()
    assert content(tmp_path) == before


def test_free_sql_runs_locked_and_says_so_in_one_line(folder: Path, tmp_path: Path) -> None:
    before = content(tmp_path)
    target = folder / "current" / "trials" / "part-0.parquet"
    with pytest.raises(UserError, match="disabled by configuration") as caught:
        sql([folder], f"copy (select 1 as a) to '{target.resolve()}' (use_tmp_file false)")
    assert "\n" not in caught.value.what
    assert content(tmp_path) == before


def test_no_file_grows_in_the_process_of_free_sql(tmp_path: Path) -> None:
    """A second lock, should the first one fail."""
    program = (
        "from fleet.query.sandbox import limit_process\n"
        "import sys\n"
        "limit_process()\n"
        "try:\n"
        "    print('x', file=open(sys.argv[1], 'w'), flush=True)\n"
        "except OSError as problem:\n"
        "    print(problem)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new")], capture_output=True, text=True
    )
    assert "File too large" in said.stdout
    assert (tmp_path / "new").stat().st_size == 0


def test_free_sql_ends_in_time_and_says_what_is_wrong(folder: Path) -> None:
    endless = (
        "select count(*) from range(100000000) a, range(100000000) b where a.range + b.range = 3"
    )
    with pytest.raises(UserError, match="longer than 2 s"):
        sql([folder], endless, timeout_s=2)
    with pytest.raises(
        UserError, match=r"speedz does not exist! Did you mean \"speeds\""
    ) as caught:
        sql([folder], "from speedz")
    assert "describe speeds" in caught.value.hint
    with pytest.raises(UserError, match="empty"):
        sql([folder], "  ")


def test_the_views_bind_in_a_plain_duckdb_of_another_schema(folder: Path) -> None:
    """The tables may gain columns: the views pass them on."""
    table = pq.read_table(folder / "current" / "trials" / "part-0.parquet")
    newer = table.append_column("room_celsius", pa.array([21.5] * len(table)))
    for name in ("_schema", "part-0"):
        path = folder / "current" / "trials" / f"{name}.parquet"
        path.unlink()
        pq.write_table(newer if name == "part-0" else newer.slice(0, 0), path)
    con = open_store([folder])
    assert {row["room_celsius"] for row in rows(con, "select room_celsius from speeds")} == {
        21.5,
        None,
    }
    assert isinstance(con, duckdb.DuckDBPyConnection)
