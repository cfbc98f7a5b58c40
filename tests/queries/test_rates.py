"""Rates that no machine can have: none is in any view."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.compare.reader import open_store, rows
from tests.builders_compare import GoldenStore, S, request

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
