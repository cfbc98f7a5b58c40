"""The reading commands on a store that was measured: every one prints data, and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders_flow import REQUESTS_PER_TRIAL, Fleet, names

TRANSCRIPT = """\
studio:~ me$ ollama run --verbose big:120b
>>> why is gold yellow
Gold absorbs blue light.

total duration:       9.5s
load duration:        60ms
prompt eval count:    4000 token(s)
prompt eval duration: 4s
prompt eval rate:     1000.00 tokens/s
eval count:           200 token(s)
eval duration:        5s
eval rate:            40.00 tokens/s
>>> /bye
studio:~ me$ ollama run --verbose small:20b
>>> why is gold yellow
It is relativity.

total duration:       2.6s
load duration:        60ms
prompt eval count:    80 token(s)
prompt eval duration: 100ms
prompt eval rate:     800.00 tokens/s
eval count:           200 token(s)
eval duration:        2.5s
eval rate:            80.00 tokens/s
"""


def test_results_of_one_store_and_of_two(measured: Fleet, apart: Fleet) -> None:
    told = measured("results").out.splitlines()
    assert told[0].split()[:3] == ["machine", "model", "test"]
    assert [line.split()[0] for line in told[1:5]] == ["alpha", "alpha", "beta", "beta"]
    both = ("--store", str(measured.store), "--store", str(apart.store))
    rows = measured("results", "demo", "--json", *both).json()
    assert names(rows, "machine") == {"alpha", "beta", "gamma"}
    assert names(rows, "test") == {"pp512", "tg128"}
    assert names(rows, "session") == {0}
    wide = measured("compare", "demo", "--by", "machine", "--json", *both, code=None).json()
    assert {line["side"] for group in wide["groups"] for line in group["lines"]} == {
        *("alpha", "beta", "gamma"),
    }


def test_a_comparison_has_an_exit_code(measured: Fleet) -> None:
    slower = measured("compare", "--by", "machine", code=1).out
    assert "against alpha" in slower
    assert "slower" in slower
    faster = measured("compare", "demo", "--by", "machine", "--baseline", "beta").out
    assert "faster" in faster
    assert "slower" not in faster


def test_machines_and_status(measured: Fleet) -> None:
    rows = measured("machines", "--json").json()
    assert {row["machine"]: (row["chip"], row["memory_gb"], row["trials"]) for row in rows} == {
        "alpha": ("Apple M3 Ultra", 96, 2),
        "beta": ("Apple M3 Ultra", 128, 2),
    }
    assert "Apple M3 Ultra" in measured("machines").out
    [status] = measured("status", "--json").json()
    assert (status["experiment"], status["outcome"], status["alive"]) == ("demo", "done", False)
    assert [(row["machine"], row["state"]) for row in status["states"]] == [
        ("alpha", "done"),
        ("beta", "done"),
    ]


def test_one_trial_whole(measured: Fleet) -> None:
    [(first,), *_] = _tuples(measured, "select trial_id from trials order by all")
    shown = measured("show", str(first)).out
    assert shown.startswith(f"{first}   1 attempt, ")
    assert "Apple M3 Ultra" in shown
    assert "naive-decode" in shown
    assert shown.count("warm-up") == REQUESTS_PER_TRIAL - 2
    whole = measured("show", str(first), "--json").json()
    assert len(whole["requests"]) == REQUESTS_PER_TRIAL
    assert "unknown trial" in measured("show", "trial-none", code=2).err


def test_sql_reads_and_can_do_nothing_else(measured: Fleet) -> None:
    counts = "select machine, count(*) as n from trials group by 1 order by 1"
    assert measured("sql", counts, "--json").json() == [
        {"machine": "alpha", "n": 2},
        {"machine": "beta", "n": 2},
    ]
    target = measured.folder / "stolen.csv"
    for query in (
        f"copy (from trials) to '{target}'",
        "from read_csv('/etc/passwd')",
    ):
        refused = measured("sql", query, code=2)
        assert refused.err.strip(), query
        assert refused.out == ""
    assert not target.exists()


def test_a_bare_duckdb_gives_the_same_numbers(measured: Fleet) -> None:
    ours = {
        (row["machine"], row["test"]): (row["prefill_tokens_per_s"], row["decode_tokens_per_s"])
        for row in measured("results", "--json").json()
    }
    query = "select machine, point, prefill_tokens_per_s, decode_tokens_per_s from cells"
    bare = {(machine, point): tuple(rates) for machine, point, *rates in _tuples(measured, query)}
    assert ours == bare
    assert bare["alpha", "pp512"][0] == pytest.approx(20_000, rel=0.05)
    assert bare["beta", "tg128"][1] == pytest.approx(1_000, rel=0.05)


def test_every_answer_is_as_long_as_asked_or_flagged(measured: Fleet, apart: Fleet) -> None:
    unlike = "output_tokens is distinct from output_tokens_asked"
    silent = f"select count(*) as n from requests_flagged where {unlike} and valid"
    for fleet in (measured, apart):
        assert fleet.rows(silent) == [{"n": 0}]
    assert measured.rows(f"select count(*) as n from requests where {unlike}") == [{"n": 0}]
    [short] = apart.rows(f"from requests_flagged where {unlike}")
    assert (short["output_tokens"], short["output_tokens_asked"]) in ((64, 128), (1, 2))
    assert "wrong_count" in str(short)
    flagged = apart("results", "--flagged", "--json").json()
    assert [row["left_out"] for row in flagged] != []


def test_figures_of_others_are_stored_and_not_compared_blindly(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    (tmp_path / "notes.txt").write_text(TRANSCRIPT)
    told = ("--machine", "studio", "--date", "2025-08-09", "--source", "a terminal")
    first = fleet("import", "notes.txt", *told).out
    assert first.count("stored: ") == 2
    assert fleet("import", "notes.txt", *told).out.count("stored before: ") == 2
    query = "select prompt_tokens, prompt_duration_ns, output_duration_ns from requests order by 1"
    assert _tuples(fleet, query) == [
        (80, 100_000_000, 2_500_000_000),
        (4000, 4_000_000_000, 5_000_000_000),
    ]
    compared = fleet("compare", "imported", "--by", "model", code=None).out
    refused = [line for line in compared.splitlines() if "not comparable" in line]
    assert len(refused) == 1, compared
    assert "prompt tokens differ: 4000 against 80" in refused[0]


def _tuples(fleet: Fleet, query: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in fleet.rows(query)]
