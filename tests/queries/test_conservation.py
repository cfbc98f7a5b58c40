"""Nothing that was read is lost: cells = compared + named, requests = valid + by flag + warm-up."""

from __future__ import annotations

import datetime
import itertools
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.compare.result import Comparison
from fleet.errors import FleetError, UserError
from fleet.query.one_trial import show
from fleet.query.open_store import WITH_READINGS, open_store, rows
from fleet.query.request_counts import RequestCounts, check_sums
from fleet.query.results import results
from fleet.report.comparison_text import comparison_lines, results_lines, to_json
from fleet.report.trial_text import shown_lines
from tests.builders_compare import START, GoldenStore, compare, request

Opened = Callable[[GoldenStore], duckdb.DuckDBPyConnection]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda store: open_store([store.write(tmp_path / "results")])


THINKS = {"gemma3:4b": None, "gpt-oss:20b": "low", "qwen3:8b": "false"}
"""As a model sends it; every other fact of a cell is drawn."""

trials = st.fixed_dictionaries(
    {
        "model": st.sampled_from(sorted(THINKS)),
        "num_ctx": st.sampled_from((4096, 8192)),
        "num_batch": st.sampled_from((64, 512)),
        "experiment": st.sampled_from(("now", "before")),
        "session": st.integers(0, 1),
        "engine_version": st.sampled_from(("0.32.15", "0.33.0")),
        "power_source": st.sampled_from(("ac", "battery")),
        "outcome": st.sampled_from(("ok", "ok", "ok", "failed")),
        "error": st.sampled_from((None, None, None, "the runner died")),
        "hours": st.integers(0, 99),
    }
)


def stored(drawn: list[dict[str, Any]], place: Path) -> Path:
    store = GoldenStore()
    for number, columns in enumerate(drawn):
        own = dict(columns)
        error, hours = own.pop("error"), own.pop("hours")
        failed = own["outcome"] == "failed"
        store.trial(
            f"t{number}",
            block=number,
            digest=f"digest of {own['model']}",
            think=THINKS[own["model"]],
            context_length=own["num_ctx"],
            reason="out_of_memory" if failed else "",
            requests=[] if failed else [request(error=error)],
            started_at=START + datetime.timedelta(hours=hours),
            **own,
        )
    return store.write(place / "results")


@settings(max_examples=20, deadline=None)
@given(st.lists(trials, min_size=1, max_size=14), st.sampled_from(("model", "num_batch")))
def test_cells_read_are_compared_or_named_with_the_reason(
    drawn: list[dict[str, Any]], axis: str
) -> None:
    other = "num_batch" if axis == "model" else "model"
    with tempfile.TemporaryDirectory() as place, open_store([stored(drawn, Path(place))]) as con:
        every = {
            tuple(row.values())
            for row in rows(
                con,
                "select distinct experiment, session, model, settings from trials",
            )
        }
        measured = rows(con, "select model, num_ctx, num_batch, settings from speeds")
        lines = rows(con, "select * from cells")
        try:
            found: Any = to_json(compare(con, axis=axis, metrics=["decode"]))
        except UserError:
            assert_no_pair(measured, axis, other)
            return
    [count] = found["cells"]
    assert count["read"] == count["compared"] + count["left_out"]
    failed = [left for left in found["left_out"] if left["side"] is None]
    silent = [left for left in found["left_out"] if left["reason"] == "no valid request"]
    assert count["read"] == len(lines) + len(silent)
    assert len(found["left_out"]) == count["left_out"] + len(failed)
    assert all(left["reason"] for left in found["left_out"])
    sides = [(group, line) for group in found["groups"] for line in group["lines"]]
    compared = sum(line["trials"] for _, line in sides)
    apart = sum(left["trials"] for left in found["left_out"] if left not in (*failed, *silent))
    assert compared + apart == len(measured)
    well = [each for each in drawn if each["outcome"] == "ok"]
    assert sum(left["trials"] for left in silent) == len(well) - len(measured)

    places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for at, group in enumerate(found["groups"]):
        shared = dict(part.split("=") for part in group["settings"].split())
        for line in group["lines"]:
            own = [row for row in measured if str(row[axis]) == line["side"]]
            if axis == "num_batch":
                own = [row for row in own if row["model"] == group["model"]]
            cell = [line["side"]]
            for name in (other, "num_ctx"):
                # what no side varies may differ between them, and is no setting of the group
                alone = {str(row[name]) for row in own}
                cell.append(shared.get(name) or (alone.pop() if len(alone) == 1 else "?"))
            places[cell[0], cell[1], cell[2]].append(at)
    assert all(len(at) == 1 for at in places.values())
    for one, two in pairs(measured, axis, other):
        assert places[one] == places[two] != []
    named = {(e["experiment"], e["session"], e["model"], e["settings"]) for e in failed + silent}
    spoken = {(row["experiment"], row["session"], row["model"], row["settings"]) for row in lines}
    assert named >= every - spoken, "a cell without any speed is named too"
    of_failed = {(e["experiment"], e["session"], e["model"], e["settings"]) for e in failed}
    assert not of_failed & spoken


def pairs(measured: list[dict[str, Any]], axis: str, other: str) -> list[tuple[Any, Any]]:
    """Cells that differ in the axis alone; what a model thinks comes with the model."""
    cells = {(str(row[axis]), str(row[other]), str(row["num_ctx"])) for row in measured}
    return [
        (one, two)
        for one, two in itertools.combinations(sorted(cells), 2)
        if one[0] != two[0] and one[1:] == two[1:]
    ]


def assert_no_pair(measured: list[dict[str, Any]], axis: str, other: str) -> None:
    assert pairs(measured, axis, other) == []


def batch(value: int) -> dict[str, Any]:
    return {"num_batch": value, "settings": f"num_ctx=8192 num_batch={value}"}


def two_models(store: GoldenStore, *batches: int) -> GoldenStore:
    for value, block in itertools.product(batches, range(3)):
        for model, think, rate in (("gemma3:4b", "false", 100), ("gpt-oss:20b", "low", 50)):
            store.trial(
                f"{model}-{value}-{block}",
                model=model,
                digest=model,
                think=think,
                block=block,
                decode=rate * (1 + block / 100),
                **batch(value),
            )
    return store


def reasons(found: Comparison) -> dict[str, int]:
    return dict(Counter(left.reason for left in found.left_out))


def test_models_that_think_unlike_get_one_verdict_for_each_value_of_the_other_axis(
    opened: Opened,
) -> None:
    store = two_models(GoldenStore(), 64, 512)
    own = {"model": "gemma3:4b", "digest": "gemma3:4b", "think": "false"}
    store.trial("older", experiment="other", **own, **batch(128))
    found = compare(opened(store), axis="model", metrics=["decode"])
    assert [(group.settings, group.lines[1].verdict) for group in found.groups] == [
        ("num_ctx=8192 num_batch=64", "slower"),
        ("num_ctx=8192 num_batch=512", "slower"),
    ]
    for group in found.groups:
        assert group.lines[1].reasons == ("also differs: thinking low / false",)
    assert found.kept_apart == {}
    assert "not compared: 1 cell (1 trial): only gemma3:4b has num_batch=128" in (
        comparison_lines(found)
    )


def test_a_cell_without_a_speed_is_named(opened: Opened) -> None:
    store = two_models(GoldenStore(), 64)
    store.trial("a", outcome="failed", reason="out_of_memory", requests=[], **batch(512))
    store.trial("b", outcome="failed", reason="stream_broken", requests=[], **batch(512))
    store.trial("c", requests=[request(error="x")], **batch(1024))
    store.trial("d", outcome="failed", requests=[], reason="stream_broken", **batch(64))
    warm = [request(warmup=True)]
    store.trial("e", outcome="failed", requests=warm, reason="stream_broken", **batch(2048))
    con = opened(store)
    found = compare(con, axis="model")
    assert reasons(found) == {
        "every trial failed (out_of_memory, stream_broken)": 1,
        "every trial failed (stream_broken)": 1,
        "no valid request": 1,
    }
    assert {left.trials for left in found.left_out if "memory" in left.reason} == {2}
    narrow = compare(con, axis="model", where="num_batch<=512")
    assert reasons(narrow) == {"every trial failed (out_of_memory, stream_broken)": 1}
    by_speed = compare(con, axis="model", where="decode_tokens_per_s>1")
    assert by_speed.left_out == (), "the question is about what has a speed"


def test_sides_that_were_not_named_are_in_the_data_and_not_in_the_text(opened: Opened) -> None:
    store = two_models(GoldenStore(), 64)
    store.trial("other", model="qwen3:8b", **batch(64))
    found = compare(opened(store), axis="model", sides=["gemma3:4b", "gpt-oss:20b"])
    assert reasons(found) == {"not a side that was named": 1}
    assert [(c.read, c.compared, c.left_out) for c in found.cells] == [(3, 2, 1)]
    assert not any("not compared" in line for line in comparison_lines(found))


def test_work_too_short_for_any_rate_is_named(opened: Opened) -> None:
    store = two_models(GoldenStore(), 64)
    for model in ("gemma3:4b", "gpt-oss:20b"):
        short = {"prompt": 20, "output": 20}
        store.trial(f"s-{model}", model=model, job="hello", ask=short, **batch(64))
    found = compare(opened(store), axis="model")
    assert reasons(found) == {"too short for a rate": 2}


def test_where_nothing_can_be_compared_the_reasons_are_told(opened: Opened) -> None:
    store = GoldenStore()
    for value, model in ((64, "a"), (128, "a"), (512, "b")):
        store.trial(f"{model}-{value}", model=model, **batch(value))
    con = opened(store)
    with pytest.raises(UserError) as nothing:
        compare(con, axis="model")
    assert nothing.value.what.splitlines() == [
        "nothing to compare by model: no two of a, b did the same work",
        "  only a has num_batch=64",
        "  only a has num_batch=128",
        "  only b has num_batch=512",
    ]
    assert nothing.value.hint.startswith("fleet compare --by model --allow-diff num_batch, ")
    [group] = compare(con, axis="model", allow_diff=["num_batch"]).groups[:1]
    assert [line.side for line in group.lines] == ["a", "b"]


def test_many_reasons_are_told_in_short(opened: Opened) -> None:
    store = two_models(GoldenStore(), 64)
    for value in range(1, 9):
        store.trial(f"x{value}", model="gpt-oss:20b", digest="gpt-oss:20b", **batch(value))
    lines = comparison_lines(compare(opened(store), axis="model", metrics=["decode"]))
    told = [line for line in lines if line.startswith("not compared")]
    assert len(told) == 6
    assert told[-1] == "not compared: 3 cells (3 trials) for 3 more reasons (--json lists them)"


FAULTS: dict[str, dict[str, Any]] = {
    "aborted": {"error": "the runner died"},
    "short": {"output_tokens": 150},
    "wrong_count": {"prompt_tokens_asked": 900},
    "cached_prefix": {"cached_tokens": 300},
    "not_reused": {"depth_tokens": 300, "reused_tokens": None, "prompt_tokens_asked": 1000},
    "clock": {"ended_ns": 9 * 10**9},
    "above_ceiling": {"least_output_ns": 3 * 10**9},
    "unasked_thinking": {"think": "false", "first_thinking_ns": 1},
}

COUNTS = re.compile(r"\d+ requests?: ")
sent = st.tuples(
    st.booleans(), st.frozensets(st.sampled_from(sorted(FAULTS)), max_size=3), st.sampled_from("pq")
)
attempts = st.tuples(
    st.lists(sent, max_size=6),
    st.sampled_from(({}, {"suspended_ns": 10**10}, {"context_length": 4096})),
    st.sampled_from(("ok", "ok", "failed")),
    st.sampled_from(("0.32.15", "0.33.0")),
)


@settings(max_examples=12, deadline=None)
@given(st.lists(attempts, min_size=1, max_size=5))
def test_requests_of_a_trial_are_valid_or_left_out_by_flag_or_warm_ups(drawn: list[Any]) -> None:
    store = GoldenStore()
    for number, (asked, whole, outcome, version) in enumerate(drawn):
        requests = [
            request(
                **{k: v for fault in sorted(faults) for k, v in FAULTS[fault].items()},
                warmup=warm,
                point=point,
            )
            for warm, faults, point in asked
        ]
        store.trial(
            f"t{number}", requests=requests, outcome=outcome, engine_version=version, **whole
        )
    with tempfile.TemporaryDirectory() as place:
        folder = store.write(Path(place) / "results")
        with open_store([folder], WITH_READINGS) as con:
            judged = rows(con, "from requests_flagged")
            speeds = rows(con, "from speeds")
            found = results(con)
            shown = {f"t{n}": show(con, f"trial-t{n}") for n in range(len(drawn))}
    assert all((row["invalid"] == "") is row["valid"] for row in judged)
    by_trial = Counter(row["trial_id"] for row in judged)
    for number, (asked, whole, outcome, _) in enumerate(drawn):
        one = shown[f"t{number}"]
        assert by_trial[f"trial-t{number}"] == (len(asked) if outcome == "ok" else 0)
        assert len(one.requests) == len(asked), "of a trial that failed too"
        valid = sum(bool(row["valid"]) and not row["warmup"] for row in one.requests)
        clean = sum(not warm and not faults for warm, faults, _ in asked)
        assert valid == (clean if outcome == "ok" and not whole else 0)
        told = [re.findall(r"\d+", text) for text in shown_lines(one) if COUNTS.match(text)]
        assert [(int(n[0]), sum(map(int, n[1:]))) for n in told] == [(len(asked),) * 2] * bool(
            asked
        )
    for row in found:
        assert row.requests == row.valid + sum(row.left_out.values()) + row.warm_ups
    assert sum(row.requests for row in found) == len(judged)
    assert sum(row.valid for row in found) == sum(row["requests"] for row in speeds)
    assert sum(row.warm_ups for row in found) == sum(bool(row["warmup"]) for row in judged)


def test_a_request_with_two_flags_counts_once(opened: Opened) -> None:
    store = GoldenStore()
    both = {**FAULTS["short"], **FAULTS["cached_prefix"]}
    asked = [request(), request(**FAULTS["short"]), request(**both), request(warmup=True)]
    store.trial("t", requests=asked)
    [row] = results(opened(store))
    assert (row.requests, row.valid, row.warm_ups) == (4, 1, 1)
    assert row.left_out == {"short": 1, "short cached_prefix": 1}
    assert results_lines([row])[-1] == "requests left out: 1 short, 1 short and cached_prefix"


def test_requests_lost_on_the_way_are_an_internal_error_that_is_said() -> None:
    counts = RequestCounts(row={}, valid=2, warm_ups=1, left_out={"short": 1})
    check_sums([4], [counts])
    with pytest.raises(FleetError, match="4 requests were sent and 3 are accounted for"):
        check_sums([3], [counts])
