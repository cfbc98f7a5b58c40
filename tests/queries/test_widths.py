"""How closely contrasts and lone cells are known, on golden stores; and what submit says of it."""

from __future__ import annotations

import datetime
import math
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.compare.precision import Precision, precisions
from fleet.compare.request import NO_AXIS
from fleet.query.open_store import open_store
from fleet.report.precision_text import precision_lines
from fleet.stats import ratios as estimates
from tests.builders_compare import START, GoldenStore, of_golden, request, widths

Opened = Callable[[GoldenStore], duckdb.DuckDBPyConnection]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda store: open_store([store.write(tmp_path / "results")])


CELL = ("machine-studio", "gpt-oss:20b", "chat", "num_ctx=8192 num_batch=512")


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(50, 200), min_size=1, max_size=6),
    st.lists(st.floats(500, 2000), min_size=1, max_size=6),
)
def test_a_lone_cell_is_known_as_closely_as_its_own_trials_tell(
    decode: list[float], prefill: list[float]
) -> None:
    """The widest of its points and metrics counts; the formula is that of the mean logarithm."""
    store = GoldenStore()
    for block, (rate, fast) in enumerate(zip(decode, prefill, strict=False)):
        own = request(decode=rate, prefill=fast)
        long = request(decode=rate, prefill=fast, point="long")
        store.trial(f"t{block}", block=block, requests=[own, long])
    with (
        tempfile.TemporaryDirectory() as place,
        open_store([store.write(Path(place) / "results")]) as con,
    ):
        found = widths(con, NO_AXIS)
    n = min(len(decode), len(prefill))
    expected = max(half_width(decode[:n]), half_width(prefill[:n]))
    assert found == {frozenset([CELL]): pytest.approx(expected, rel=1e-4, abs=1e-9)}


def half_width(rates: list[float]) -> float:
    if len(rates) < 2:
        return math.inf
    logs = [math.log(rate) for rate in rates]
    quantile = estimates.t_quantile(0.975, len(logs) - 1)
    return math.expm1(quantile * statistics.stdev(logs) / math.sqrt(len(logs)))


def trials(store: GoldenStore, name: str, *rates: float, **columns: Any) -> GoldenStore:
    for block, rate in enumerate(rates):
        started = START + datetime.timedelta(minutes=block)
        store.trial(f"{name}-{block}", decode=rate, block=block, started_at=started, **columns)
    return store


def batch(value: int) -> dict[str, Any]:
    return {"num_batch": value, "settings": f"num_ctx=8192 num_batch={value}"}


def test_each_job_of_one_model_on_one_machine_is_a_cell_of_its_own(opened: Opened) -> None:
    store = trials(GoldenStore(), "a", 100, 101, 99)
    trials(store, "b", 100, 200, 50, job="long", job_content="{}")
    found = {p.job: p for p in precisions(opened(store), of_golden(NO_AXIS))}
    assert found["chat"].half_width < 0.03 < 1 < found["long"].half_width
    assert {p.sides for p in found.values()} == {()}


def test_where_an_axis_is_compared_the_cells_that_match_none_are_there_too(
    opened: Opened,
) -> None:
    store = trials(GoldenStore(), "a", 100, 101, 99, **batch(8))
    trials(store, "b", 100, 101, 99, **batch(512))
    trials(store, "c", 100, 150, 70, model="other", **batch(8))
    found = precisions(opened(store), of_golden("num_batch"))
    assert [(p.model, p.sides, p.machine) for p in found] == [
        ("gpt-oss:20b", ("8", "512"), "studio"),
        ("other", (), "studio"),
    ]
    lines = precision_lines(found, 0.03)
    assert lines[0] == "not known within 3 % as asked (half of the 95 % interval):"
    assert lines[1].startswith("  other chat num_batch=8 on studio: known within ")
    assert lines[1].endswith(" % (decode)")
    assert len(lines) == 2


def test_the_noise_floor_of_a_machine_holds_for_a_lone_cell_too(opened: Opened) -> None:
    class Known:
        sd_log, ratio, ratio_low, ratio_high, p, n, settings = 0.05, 1.0, 0.9, 1.1, 0.5, 10, ""

    con = opened(trials(GoldenStore(), "a", 100, 100.1, 99.9))
    key = ("machine-studio", "decode")
    bare = widths(con, NO_AXIS)[frozenset([CELL])]
    floored = widths(con, NO_AXIS, floors=lambda _: {key: Known()})[frozenset([CELL])]
    assert bare < 0.01 < floored


def test_work_without_any_value_has_no_width_and_times_count_where_no_rate_can_be(
    opened: Opened,
) -> None:
    store = GoldenStore()
    for block in range(3):
        store.trial(f"d{block}", block=block, requests=[request(error="x")], job="dead")
        short = {"prompt": 20, "output": 20}
        store.trial(f"s{block}", block=block, job="hello", ask=short, load_ns=10**9 * (1 + block))
    [found] = precisions(opened(store), of_golden(NO_AXIS))
    assert (found.job, found.metric) == ("hello", "load")


def precision(width: float, **changes: Any) -> Precision:
    plain: dict[str, Any] = {
        "cells": frozenset([CELL]),
        "half_width": width,
        "metric": "decode",
        "sides": (),
        "machine": "vm",
        "model": "tiny",
        "job": "exact",
        "settings": "num_ctx=1024 num_batch=512",
    }
    return Precision(**{**plain, **changes})


def test_what_was_not_reached_is_said_the_widest_first() -> None:
    found = [
        precision(0.02, settings="num_ctx=1024 num_batch=8"),
        precision(0.041, sides=("8", "512"), settings="num_ctx=1024"),
        precision(0.6),
        precision(math.inf, machine=None, sides=("a", "b"), settings="num_ctx=1024"),
    ]
    assert precision_lines(found, 0.025) == [
        "not known within 2.5 % as asked (half of the 95 % interval):",
        "  tiny exact, b against a: not known: it takes two valid trials a side",
        "  tiny exact num_batch=512 on vm: known within 60 % (decode)",
        "  tiny exact on vm, 512 against 8: known within 4.1 % (decode)",
    ]
    assert precision_lines(found[:1], 0.025) == []
    assert precision_lines([], 0.03) == []
    many = [precision(0.1 + n / 100, job=f"j{n}") for n in range(11)]
    assert precision_lines(many, 0.03)[-1] == "  and 3 more, known more closely than these"
