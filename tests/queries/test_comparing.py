"""Comparisons on golden stores: who stands against whom, what is refused, what is said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from fleet.compare import estimates
from fleet.compare.comparison import Comparison, Group, Line, compare
from fleet.compare.reader import open_store
from fleet.compare.text import comparison_lines, to_json
from fleet.compare.widths import widths
from fleet.errors import UnknownName, UserError
from tests.builders_compare import GoldenStore, transcripts

Opened = Callable[[GoldenStore], duckdb.DuckDBPyConnection]

STUDIO_80 = {
    "machine_id": "machine-big",
    "machine": "studio-256",
    "hardware_id": "hardware-2",
    "gpu_cores": 80,
    "memory_gb": 256,
    "gpu_limit_mb": 212992,
}
WOBBLE = (1.0, 1.01, 0.99, 1.005, 0.995)


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return lambda store: open_store([store.write(tmp_path / "results")])


def blocks(store: GoldenStore, name: str, rate: float, **columns: Any) -> GoldenStore:
    """Five blocks around the rate."""
    for block, factor in enumerate(WOBBLE):
        store.trial(f"{name}-{block}", decode=rate * factor, block=block, **columns)
    return store


def batch(value: int) -> dict[str, Any]:
    return {"num_batch": value, "settings": f"num_ctx=8192 num_batch={value}"}


def group(comparison: Comparison, metric: str = "decode", **clauses: str) -> Group:
    found = [
        g
        for g in comparison.groups
        if g.metric == metric and all(getattr(g, k) == v for k, v in clauses.items())
    ]
    assert len(found) == 1, comparison.groups
    return found[0]


def only_line(found: Group) -> Line:
    assert len(found.lines) == 2
    return found.lines[1]


def test_machines_are_compared_with_welch_and_the_footer_says_of_whom(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 68.7)
    blocks(store, "b", 83.1, os_version="26.2", **STUDIO_80)
    found = compare(opened(store), by="machine")
    line = only_line(group(found))
    assert (line.side, line.verdict, line.trials) == ("studio-256", "faster", 5)
    assert line.value == pytest.approx(83.1)
    assert line.estimate is not None
    assert line.estimate.ratio == pytest.approx(83.1 / 68.7)
    assert line.estimate.df == pytest.approx(8)
    assert "80 against 60 GPU cores" in line.reasons
    assert "also differs: GPU limit (MiB) 212992 / 73728, OS version 26.2 / 26.1" in line.reasons
    assert found.footer == (
        "one machine of each kind, 5 trials each: this speaks of these machines",
    )


def test_settings_of_one_machine_are_paired_by_block(opened: Opened) -> None:
    """The drift over the blocks is far larger than the difference: only pairs can see it."""
    store = GoldenStore()
    for block in range(5):
        level = 100 * 1.1**block
        store.trial(f"a{block}", decode=level, block=block, **batch(8))
        store.trial(f"b{block}", decode=level * (1.02 + 0.001 * block), block=block, **batch(512))
    line = only_line(group(compare(opened(store), by="num_batch")))
    assert line.verdict == "faster"
    assert line.estimate is not None
    assert line.estimate.df == 4


def test_the_baseline_can_be_chosen_and_sides_named(opened: Opened) -> None:
    store = GoldenStore()
    for value in (8, 128, 512):
        blocks(store, f"n{value}", 100 + value, **batch(value))
    con = opened(store)
    assert [line.side for line in group(compare(con, by="num_batch")).lines] == ["8", "128", "512"]
    found = group(compare(con, by="num_batch", baseline="512"))
    assert [line.side for line in found.lines] == ["512", "8", "128"]
    named = group(compare(con, by="num_batch", sides=["512", "8"]))
    assert [line.side for line in named.lines] == ["512", "8"]
    assert only_line(named).verdict == "slower"


def test_a_shorter_time_is_faster(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    for block, factor in enumerate(WOBBLE):
        store.trial(f"b{block}", prefill=2000 * factor, block=block, **batch(512))
    found = compare(opened(store), by="num_batch", metrics=["ttft"])
    line = only_line(group(found, "ttft"))
    assert line.value == pytest.approx(504, rel=0.01)
    assert line.estimate is not None
    assert line.estimate.ratio == pytest.approx(0.5, rel=0.02)
    assert line.verdict == "faster"


def test_other_settings_keep_groups_apart(opened: Opened) -> None:
    store = GoldenStore()
    for ctx in (4096, 8192):
        for value in (8, 512):
            settings = f"num_ctx={ctx} num_batch={value}"
            own = {"num_ctx": ctx, "context_length": ctx, "num_batch": value, "settings": settings}
            blocks(store, f"c{ctx}-{value}", ctx / 100 + value, **own)
    found = [g for g in compare(opened(store), by="num_batch").groups if g.metric == "decode"]
    assert [g.settings for g in found] == ["num_ctx=4096", "num_ctx=8192"]
    assert [g.baseline.value for g in found] == [pytest.approx(48.96), pytest.approx(89.92)]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"digest": "other"}, "model digests differ: other against digest-20b"),
        ({"engine_version": "0.33.0"}, "engine versions differ: 0.33.0 against 0.32.15"),
        ({"engine": "embedded"}, "engines differ: embedded against ollama"),
        ({"num_ctx": 4096, "context_length": 4096}, "num_ctx differ: 4096 against 8192"),
        (batch(8), "num_batch differ: 8 against 512"),
        ({"job_content": '{"name":"chat","prompt":"how"}'}, "the jobs' contents differ"),
    ],
)
def test_unlike_things_are_refused_unless_allowed(
    opened: Opened, columns: dict[str, Any], reason: str
) -> None:
    store = blocks(GoldenStore(), "a", 100)
    con = opened(blocks(store, "b", 150, **{**STUDIO_80, **columns}))
    line = only_line(group(compare(con, by="machine")))
    assert line.verdict == "not comparable"
    assert line.estimate is None
    assert line.reasons[0].startswith(reason)
    allowed = compare(con, by="machine", allow_diff=[next(iter(columns))])
    assert only_line(group(allowed)).verdict == "faster"


def test_the_axis_frees_what_it_implies(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 150, model="gpt-oss:120b", digest="digest-120b")
    assert only_line(group(compare(opened(store), by="model"))).verdict == "faster"


def test_imported_prefill_after_a_conversation_is_refused(opened: Opened) -> None:
    found = compare(opened(transcripts(GoldenStore())), by="model")
    prefill = only_line(group(found, "prefill", job="regularization"))
    assert prefill.verdict == "not comparable"
    assert prefill.reasons[0] == (
        "prompt tokens differ: 6412 against 84 "
        "(a conversation before the question counts into the prompt)"
    )
    assert (prefill.naive, prefill.value) == (True, pytest.approx(1.21, abs=0.005))
    decode = group(found, "decode", job="regularization")
    line = only_line(decode)
    assert (line.verdict, line.reasons[0]) == ("not resolved", "one trial per side")
    assert line.reasons[1] == "also differs: prompt tokens 6412 against 84"
    assert line.ratio == pytest.approx((3322 / 742.767252458) / (2060 / 54.906231042))
    assert line.value == pytest.approx(4.47, abs=0.005)
    assert decode.baseline.value == pytest.approx(37.5, abs=0.05)
    assert any("6412 against 84" in text for text in comparison_lines(found))


def test_memory_of_two_chips_is_two_sides_unless_pooled(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 120, **{**STUDIO_80, "memory_gb": 128, "gpu_cores": 60})
    other = {"machine_id": "m3", "machine": "max-128", "memory_gb": 128, "gpu_cores": 40}
    blocks(store, "c", 80, chip="Apple M4 Max", gpu="Apple M4 Max", **other)
    con = opened(store)
    assert [line.side for line in group(compare(con, by="memory_gb")).lines] == [
        "96 (Apple M3 Ultra, 60 GPU cores)",
        "128 (Apple M3 Ultra, 60 GPU cores)",
        "128 (Apple M4 Max, 40 GPU cores)",
    ]
    pooled = compare(con, by="memory_gb", pool=True)
    assert [(line.side, line.trials) for line in group(pooled).lines] == [("96", 5), ("128", 10)]
    assert not any("one machine of each kind" in line for line in pooled.footer)


def test_labelled_trials_are_kept_apart_and_counted(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    blocks(store, "b", 150, **batch(512))
    for block in range(5, 12):
        store.trial(f"hot{block}", decode=20, block=block, power_source="battery", **batch(512))
    found = compare(opened(store), by="num_batch", metrics=["decode"])
    assert only_line(group(found)).trials == 5
    assert found.kept_apart == {"512 (on_battery)": 7}


def test_a_side_with_labelled_trials_only_says_so(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    con = opened(blocks(store, "b", 5, placement_gpu_bytes=600, **STUDIO_80))
    line = only_line(group(compare(con, by="machine")))
    assert (line.verdict, line.flags) == ("slower", "spilled")
    assert "flagged spilled" in line.reasons


def test_the_newest_session_that_all_sides_have_is_compared(opened: Opened) -> None:
    store = GoldenStore()
    for session, rate in ((0, 50), (1, 100)):
        blocks(store, f"a{session}", rate, session=session, **batch(8))
        blocks(store, f"b{session}", rate, session=session, **batch(512))
    blocks(store, "a2", 10, session=2, **batch(8))
    found = group(compare(opened(store), by="num_batch"))
    assert [line.value for line in found.lines] == [pytest.approx(100), pytest.approx(100)]
    assert only_line(found).verdict == "same"


def test_where_narrows_by_columns_of_speeds(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    blocks(store, "b", 150, **batch(512))
    blocks(store, "c", 150, model="other", **batch(8))
    blocks(store, "d", 150, model="other", **batch(512))
    con = opened(store)
    found = compare(con, by="num_batch", where="model=gpt-oss:20b and memory_gb>=96")
    assert {g.model for g in found.groups} == {"gpt-oss:20b"}
    with pytest.raises(UserError, match="nothing to compare"):
        compare(con, by="num_batch", where="model='x'' or true --'")
    with pytest.raises(UnknownName, match="did you mean memory_gb"):
        compare(con, by="num_batch", where="memory_g=96")
    with pytest.raises(UserError, match="needs a number"):
        compare(con, by="num_batch", where="model>b")
    with pytest.raises(UserError, match="no clause"):
        compare(con, by="num_batch", where="model")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"by": "machin"}, "did you mean machine"),
        ({"by": "machine", "metrics": ["decod"]}, "did you mean decode"),
        ({"by": "machine", "sides": ["studi"]}, "did you mean studio"),
        ({"by": "machine", "baseline": "studio-255"}, "did you mean studio-256"),
    ],
)
def test_unknown_names_meet_the_nearest(
    opened: Opened, asked: dict[str, Any], message: str
) -> None:
    store = blocks(GoldenStore(), "a", 100)
    con = opened(blocks(store, "b", 120, **STUDIO_80))
    with pytest.raises(UnknownName, match=message):
        compare(con, **asked)


def test_one_side_is_nothing_to_compare(opened: Opened) -> None:
    con = opened(blocks(GoldenStore(), "a", 100))
    with pytest.raises(UserError, match="there is only studio") as caught:
        compare(con, by="machine")
    assert caught.value.mend


def test_holm_counts_all_that_is_printed_together(opened: Opened) -> None:
    store = GoldenStore()
    for value in (8, 128, 512):
        for block, factor in enumerate(WOBBLE):
            rate = 100 * factor * (1 + value * (block + 1) / 1e5)
            store.trial(f"n{value}-{block}", decode=rate, block=block, **batch(value))
    found = group(compare(opened(store), by="num_batch", metrics=["decode"]))
    p = [line.estimate.p for line in found.lines[1:] if line.estimate]
    assert [line.p_adjusted for line in found.lines[1:]] == pytest.approx(estimates.holm(p))
    assert estimates.holm(p) != p


def test_half_widths_for_the_stop_rule(opened: Opened) -> None:
    store = GoldenStore()
    for block, (a, b) in enumerate([(100, 101), (110, 113), (90, 90)]):
        store.trial(f"a{block}", decode=a, block=block, **batch(8))
        store.trial(f"b{block}", decode=b, block=block, **batch(512))
    store.trial("alone", decode=5, model="other", **batch(8))
    found = widths(opened(store), "golden", 0, "num_batch")
    cells = [
        ("machine-studio", "gpt-oss:20b", "chat", f"num_ctx=8192 num_batch={n}") for n in (8, 512)
    ]
    alone = ("machine-studio", "other", "chat", "num_ctx=8192 num_batch=8")
    assert set(found) == {frozenset(cells), frozenset([alone])}
    logs = [math.log(101 / 100), math.log(113 / 110), 0.0]
    mean = sum(logs) / 3
    error = math.sqrt(sum((x - mean) ** 2 for x in logs) / 2 / 3)
    assert found[frozenset(cells)] == pytest.approx(math.expm1(4.302653 * error), rel=1e-5)
    assert found[frozenset([alone])] == math.inf


def test_json_has_no_infinity(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 68.7)
    found = compare(opened(blocks(store, "b", 83.1, **STUDIO_80)), by="machine")
    text = json.dumps(to_json(found), allow_nan=False)
    assert json.loads(text)["groups"][0]["lines"][1]["verdict"] == "same"
    assert to_json({"width": math.inf}) == {"width": None}


def test_text_shows_medians_and_n_beside_every_ratio(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 68.7)
    lines = comparison_lines(compare(opened(blocks(store, "b", 83.1, **STUDIO_80)), by="machine"))
    assert "gpt-oss:20b, chat, decode, against studio (68.7 tokens/s, n 5)" in lines
    assert any(
        line.startswith("  studio-256  83.1 tokens/s  1.21 x  1.2 to 1.22  n 5  faster")
        for line in lines
    )
