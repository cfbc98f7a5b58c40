"""Rates that no machine can have: none is in any view."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.query.open_store import open_store, rows
from fleet.query.views import question
from tests.builders_compare import GoldenStore, S, compare, request

MS = S // 1000
RATES = (
    *("decode_tokens_per_s", "prefill_tokens_per_s"),
    *("naive_decode_tokens_per_s", "naive_prefill_tokens_per_s"),
    *("burst_decode_tokens_per_s", "sustained_decode_tokens_per_s"),
)


def flagged(folder: Path, **columns: Any) -> dict[str, Any]:
    """The one request of a store, as the views have it."""
    store = GoldenStore()
    store.trial("odd", requests=[request(**columns)])
    with closing(open_store([store.write(folder)])) as con:
        [row] = rows(con, "from requests_flagged")
    return row


def test_one_token_has_no_rate(tmp_path: Path) -> None:
    row = flagged(tmp_path, output=1, output_duration_ns=1000, ended_ns=1_005 * MS)
    assert (row["output_tokens"], row["invalid"]) == (1, "")
    assert row["decode_tokens_per_s"] is row["naive_decode_tokens_per_s"] is None
    assert row["decode_note"] == "one token has no rate"
    assert row["prefill_tokens_per_s"] == pytest.approx(1000)
    prompt = flagged(tmp_path / "prompt", prompt_tokens=9, cached_tokens=8, reused_tokens=8)
    assert prompt["naive_prefill_tokens_per_s"] is None


DURATIONS = st.none() | st.integers(0, 10**13)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    columns=st.fixed_dictionaries(
        {
            "output_tokens": st.none() | st.integers(0, 10**6),
            "prompt_tokens": st.none() | st.integers(0, 10**6),
            "output_duration_ns": DURATIONS,
            "prompt_duration_ns": DURATIONS,
            "cached_tokens": st.none() | st.integers(0, 10**6),
        }
    )
)
def test_no_counters_whatever_give_an_impossible_rate(
    tmp_path_factory: pytest.TempPathFactory, columns: dict[str, Any]
) -> None:
    row = flagged(tmp_path_factory.mktemp("odd"), **columns)
    for name in RATES:
        ceiling = 1.1e7 if "prefill" in name and columns["prompt_tokens"] else 2.1e5
        if name == "naive_prefill_tokens_per_s":
            continue  # counts what was cached, as the engine prints it
        assert row[name] is None or 0 <= row[name] <= ceiling, (name, columns)


def test_the_rates_by_the_client_s_clock_are_told_beside_the_engine_s(tmp_path: Path) -> None:
    """200 tokens in 4 s after the first; a prompt of 1000 read between the load and the first."""
    times = {
        "sent_ns": 0,
        "first_chunk_ns": 1_250 * MS,
        "last_chunk_ns": 5_250 * MS,
        "ended_ns": 5_260 * MS,
        "load_duration_ns": 250 * MS,
    }
    store = GoldenStore()
    store.trial("t", requests=[request(decode=50, **times)], zero_ns=7)
    with closing(open_store([store.write(tmp_path)])) as con:
        [row] = rows(con, question("selftest"))
    assert row["client_decode_tokens_per_s"] == pytest.approx(200 / 4)
    assert row["client_prefill_tokens_per_s"] == pytest.approx(1000 / 1)
    assert row["decode_tokens_per_s"] == pytest.approx(50)
    assert (row["sent_ns"], row["flags"], row["load_duration_ns"]) == (7, "", 250 * MS)


def test_two_tokens_are_a_rate_as_ollama_prints_it_and_none_of_ours(tmp_path: Path) -> None:
    row = flagged(tmp_path, output=2, output_duration_ns=20 * MS, ended_ns=1_024 * MS)
    assert row["naive_decode_tokens_per_s"] == pytest.approx(2 / 0.02)
    assert row["decode_tokens_per_s"] is None
    assert row["decode_note"] == "too short for a rate"


QUICK = {"most_output_ns": 3 * S}


def test_a_quick_look_has_rates_of_short_answers_and_its_flag(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("quick", ask={"output": 31, **QUICK})
    store.trial("brief", ask={"output": 15, **QUICK}, model="brief")
    store.trial("whole", ask={"output": 31}, model="whole")
    with closing(open_store([store.write(tmp_path)])) as con:
        speeds = {str(row["trial_id"]): row for row in rows(con, "from speeds")}
        cells = rows(con, "select distinct model, flags from cells order by all")
    assert speeds["trial-quick"]["decode_tokens_per_s"] == pytest.approx(100)
    assert speeds["trial-quick"]["flags"] == "quick"
    for short in ("brief", "whole"):
        assert speeds[f"trial-{short}"]["decode_tokens_per_s"] is None
        assert speeds[f"trial-{short}"]["decode_note"] == "too short for a rate"
    assert speeds["trial-whole"]["flags"] == ""
    assert [tuple(row.values()) for row in cells] == [
        ("brief", "quick"),
        ("gpt-oss:20b", "quick"),
        ("whole", ""),
    ]


def test_no_comparison_judges_a_quick_look(tmp_path: Path) -> None:
    store = GoldenStore()
    for at in range(5):
        for model, rate in (("a", 100), ("b", 50)):
            ask = QUICK if model == "b" else {}
            store.trial(f"{model}{at}", model=model, block=at, decode=rate + at, ask=ask)
    with closing(open_store([store.write(tmp_path)])) as con:
        found = compare(con, axis="model", metrics=("decode",))
    [side] = found.sides()
    assert side.verdict == "not comparable"
    assert side.estimate is None
    assert "a quick look, no measurement" in side.reasons[0]


def test_measured_trials_are_compared_without_those_of_a_quick_look(tmp_path: Path) -> None:
    store = GoldenStore()
    for at in range(5):
        for model, rate in (("a", 100), ("b", 50)):
            store.trial(f"{model}{at}", model=model, block=at, decode=rate + at)
    store.trial("glance", model="b", block=9, decode=500, ask=QUICK)
    with closing(open_store([store.write(tmp_path)])) as con:
        found = compare(con, axis="model", metrics=("decode",))
    [side] = found.sides()
    assert (side.verdict, side.trials) == ("slower", 5)
    assert found.kept_apart == {"b (quick)": 1}
