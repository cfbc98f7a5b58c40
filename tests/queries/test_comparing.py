"""Comparisons on golden stores: who stands against whom, what is refused, what is said."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

from fleet.cli.main import build
from fleet.comparability import AXES, FACTS, SETTINGS, standing
from fleet.compare.explanations import LEGEND
from fleet.compare.result import Comparison, Group, Line
from fleet.errors import UnknownName, UserError
from fleet.metrics.compared import COMPARED
from fleet.model.settings import Settings
from fleet.query.open_store import open_store
from fleet.report.comparison_text import comparison_lines, comparison_markdown, to_json
from fleet.stats import ratios as estimates
from tests.builders_compare import (
    IMPORTED,
    START,
    GoldenStore,
    compare,
    request,
    transcripts,
    widths,
)

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


def blocks(store: GoldenStore, name: str, rate: float, at: int = 0, **columns: Any) -> GoldenStore:
    """Five blocks around the rate, in turn with all that begins at the same hour."""
    for block, factor in enumerate(WOBBLE):
        started = START + datetime.timedelta(hours=at, minutes=block)
        own = {"block": block, "started_at": started, **columns}
        store.trial(f"{name}-{block}", decode=rate * factor, **own)
    return store


def hot(burst: float, sustained: float) -> dict[str, Any]:
    """One answer of ten seconds or more that slows down in its last third."""
    third = round(5 * burst)
    gaps = [round(1e6 / burst)] * 2 * third + [round(1e6 / sustained)] * third
    whole_ns = 1000 * sum(gaps)
    return request(
        prompt=1000,
        output=len(gaps) + 1,
        chunk_gaps_us=gaps,
        chunks=len(gaps) + 1,
        first_third_us=sum(gaps[:third]),
        last_third_us=sum(gaps[-third:]),
        output_duration_ns=whole_ns,
        ended_ns=10**9 + 4_000_000 + whole_ns,
        last_chunk_ns=10**9 + 4_000_000 + whole_ns,
    )


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
    found = compare(opened(store), axis="machine")
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
        LEGEND,
    )


def test_settings_of_one_machine_are_paired_by_block(opened: Opened) -> None:
    """The drift over the blocks is far larger than the difference: only pairs can see it."""
    store = GoldenStore()
    for block in range(5):
        level = 100 * 1.1**block
        store.trial(f"a{block}", decode=level, block=block, **batch(8))
        store.trial(f"b{block}", decode=level * (1.02 + 0.001 * block), block=block, **batch(512))
    line = only_line(group(compare(opened(store), axis="num_batch")))
    assert line.verdict == "faster"
    assert line.estimate is not None
    assert line.estimate.df == 4


@pytest.mark.parametrize(
    "before",
    [
        {"hardware_id": "hardware-0", "memory_gb": 64},
        {"os_version": "26.0"},
        {"os_build": "25A1"},
        {"kernel": "25.0.0"},
        {"gpu_driver": "580.1"},
        {"gpu_limit_mb": 65_536},
    ],
)
def test_a_machine_that_has_changed_is_not_pooled_with_what_it_was(
    opened: Opened, before: dict[str, Any]
) -> None:
    """Within one session too: more blocks of it came after the change."""
    store = GoldenStore()
    for value in (8, 512):
        own = {**batch(value), "fence": 0}
        store.trial(f"old{value}", decode=10, block=9, started_at=START, **{**own, **before})
        blocks(store, f"n{value}", 100 * value, at=1, **own)
    found = compare(opened(store), axis="num_batch")
    line = only_line(group(found))
    assert line.trials == 5
    assert line.value == pytest.approx(51_200)
    assert sum(found.kept_apart.values()) > 0
    assert all("in another state" in reason for reason in found.kept_apart)


def test_the_baseline_can_be_chosen_and_sides_named(opened: Opened) -> None:
    store = GoldenStore()
    for value in (8, 128, 512):
        blocks(store, f"n{value}", 100 + value, **batch(value))
    con = opened(store)
    assert [line.side for line in group(compare(con, axis="num_batch")).lines] == [
        "8",
        "128",
        "512",
    ]
    found = group(compare(con, axis="num_batch", baseline="512"))
    assert [line.side for line in found.lines] == ["512", "8", "128"]
    named = group(compare(con, axis="num_batch", sides=["512", "8"]))
    assert [line.side for line in named.lines] == ["512", "8"]
    assert only_line(named).verdict == "slower"


def test_a_shorter_time_is_faster(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    for block, factor in enumerate(WOBBLE):
        store.trial(f"b{block}", prefill=2000 * factor, block=block, **batch(512))
    found = compare(opened(store), axis="num_batch", metrics=["ttft"])
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
    found = [g for g in compare(opened(store), axis="num_batch").groups if g.metric == "decode"]
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
    line = only_line(group(compare(con, axis="machine")))
    assert line.verdict == "not comparable"
    assert line.estimate is None
    assert line.reasons[0].startswith(reason)
    allowed = compare(con, axis="machine", allow_diff=[next(iter(columns))])
    assert only_line(group(allowed)).verdict == "faster"


def test_the_axis_frees_what_it_implies(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 150, model="gpt-oss:120b", digest="digest-120b")
    assert only_line(group(compare(opened(store), axis="model"))).verdict == "faster"


def test_imported_prefill_after_a_conversation_is_refused(opened: Opened) -> None:
    found = compare(opened(transcripts(GoldenStore())), axis="model")
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
    assert [line.side for line in group(compare(con, axis="memory_gb")).lines] == [
        "96 (Apple M3 Ultra, 60 GPU cores)",
        "128 (Apple M3 Ultra, 60 GPU cores)",
        "128 (Apple M4 Max, 40 GPU cores)",
    ]
    pooled = compare(con, axis="memory_gb", pool=True)
    assert [(line.side, line.trials) for line in group(pooled).lines] == [("96", 5), ("128", 10)]
    assert not any("one machine of each kind" in line for line in pooled.footer)


def test_labelled_trials_are_kept_apart_and_counted(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    blocks(store, "b", 150, **batch(512))
    for block in range(5, 12):
        store.trial(f"hot{block}", decode=20, block=block, power_source="battery", **batch(512))
    found = compare(opened(store), axis="num_batch", metrics=["decode"])
    assert only_line(group(found)).trials == 5
    assert found.kept_apart == {"512 (on_battery)": 7}


def test_a_side_with_labelled_trials_only_says_so(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    con = opened(blocks(store, "b", 5, placement_gpu_bytes=600, **STUDIO_80))
    line = only_line(group(compare(con, axis="machine")))
    assert (line.verdict, line.flags) == ("slower", "spilled")
    assert "flagged spilled" in line.reasons


def test_the_newest_session_that_all_sides_have_is_compared(opened: Opened) -> None:
    store = GoldenStore()
    for session, rate in ((0, 50), (1, 100)):
        blocks(store, f"a{session}", rate, at=session, session=session, **batch(8))
        blocks(store, f"b{session}", rate, at=session, session=session, **batch(512))
    blocks(store, "a2", 10, at=2, session=2, **batch(8))
    found = group(compare(opened(store), axis="num_batch"))
    assert [line.value for line in found.lines] == [pytest.approx(100), pytest.approx(100)]
    assert only_line(found).verdict == "same"


def test_where_narrows_by_columns_of_speeds(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    blocks(store, "b", 150, **batch(512))
    blocks(store, "c", 150, model="other", **batch(8))
    blocks(store, "d", 150, model="other", **batch(512))
    con = opened(store)
    found = compare(con, axis="num_batch", where="model=gpt-oss:20b and memory_gb>=96")
    assert {g.model for g in found.groups} == {"gpt-oss:20b"}
    with pytest.raises(UserError, match="nothing to compare"):
        compare(con, axis="num_batch", where="model='x'' or true --'")
    with pytest.raises(UnknownName, match="did you mean memory_gb"):
        compare(con, axis="num_batch", where="memory_g=96")
    with pytest.raises(UserError, match="needs a number"):
        compare(con, axis="num_batch", where="model>b")
    with pytest.raises(UserError, match="no clause"):
        compare(con, axis="num_batch", where="model")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"axis": "machin"}, "did you mean machine"),
        ({"axis": "machine", "metrics": ["decod"]}, "did you mean decode"),
        ({"axis": "machine", "sides": ["studi"]}, "did you mean studio"),
        ({"axis": "machine", "baseline": "studio-255"}, "did you mean studio-256"),
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
        compare(con, axis="machine")
    assert caught.value.hint


def test_holm_counts_all_that_is_printed_together(opened: Opened) -> None:
    store = GoldenStore()
    for value in (8, 128, 512):
        for block, factor in enumerate(WOBBLE):
            rate = 100 * factor * (1 + value * (block + 1) / 1e5)
            store.trial(f"n{value}-{block}", decode=rate, block=block, **batch(value))
    found = group(compare(opened(store), axis="num_batch", metrics=["decode"]))
    p = [line.estimate.p for line in found.lines[1:] if line.estimate]
    assert [line.p_adjusted for line in found.lines[1:]] == pytest.approx(estimates.holm(p))
    assert estimates.holm(p) != p


def test_half_widths_for_the_stop_rule(opened: Opened) -> None:
    store = GoldenStore()
    for block, (a, b) in enumerate([(100, 101), (110, 113), (90, 90)]):
        store.trial(f"a{block}", decode=a, block=block, **batch(8))
        store.trial(f"b{block}", decode=b, block=block, **batch(512))
    store.trial("alone", decode=5, model="other", **batch(8))
    found = widths(opened(store), "num_batch")
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
    found = compare(opened(blocks(store, "b", 83.1, **STUDIO_80)), axis="machine")
    text = json.dumps(to_json(found), allow_nan=False)
    assert json.loads(text)["groups"][0]["lines"][1]["verdict"] == "same"
    assert to_json({"width": math.inf}) == {"width": None}


def test_text_shows_medians_and_n_beside_every_ratio(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 68.7)
    lines = comparison_lines(compare(opened(blocks(store, "b", 83.1, **STUDIO_80)), axis="machine"))
    assert "gpt-oss:20b, chat, decode, against studio (68.7 tokens/s, n 5)" in lines
    assert any(
        line.startswith("  studio-256  83.1 tokens/s  1.21 x  1.2 to 1.22  n 5  faster")
        for line in lines
    )


@pytest.mark.parametrize(
    ("metric", "column", "shown"),
    [
        ("load", {"load_ns": 2_500_000_000}, "2.5 s"),
        ("ttft", {"first_chunk_ns": 320_000_000}, "320.0 ms"),
        ("end_to_end", {"ended_ns": 7_250_000_000}, "7.25 s"),
    ],
)
def test_a_time_is_shown_in_its_unit(
    opened: Opened, metric: str, column: dict[str, int], shown: str
) -> None:
    of_trial = column if metric == "load" else {}
    asked = {} if metric == "load" else {**column, "output_duration_ns": None}
    store = GoldenStore()
    for side in (8, 512):
        for block in range(3):
            name = f"{side}-{block}"
            store.trial(name, block=block, ask=asked, num_batch=side, **of_trial)
    lines = comparison_lines(compare(opened(store), axis="num_batch", metrics=[metric]))
    heads = [line for line in lines if line.startswith("gpt-oss:20b, chat, ")]
    assert heads == [f"gpt-oss:20b, chat, {metric}, on studio, against num_batch 8 ({shown}, n 3)"]


@dataclass(frozen=True)
class Known:
    """What `fleet noise` would have found."""

    sd_log: float


def studio(number: int, **columns: Any) -> dict[str, Any]:
    return {**STUDIO_80, "machine_id": f"big-{number}", "machine": f"big-{number}", **columns}


def test_blocks_without_a_partner_are_left_out_and_counted(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    blocks(store, "b", 120, **batch(512))
    late = START + datetime.timedelta(minutes=30)
    store.trial("b-9", decode=900, block=9, started_at=late, **batch(512))
    line = only_line(group(compare(opened(store), axis="num_batch")))
    assert (line.design, line.unpaired, line.verdict) == ("paired", 1, "faster")
    assert "1 trial left unpaired" in line.reasons
    assert line.estimate is not None
    assert line.estimate.ratio == pytest.approx(1.2)


def test_one_block_in_common_is_not_resolved_however_many_trials_there_are(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, **batch(8))
    for block in range(4, 9):
        started = START + datetime.timedelta(minutes=block)
        store.trial(f"b{block}", decode=150, block=block, started_at=started, **batch(512))
    line = only_line(group(compare(opened(store), axis="num_batch")))
    assert (line.verdict, line.estimate, line.too_few) == ("not resolved", None, True)
    assert line.reasons[0] == "fewer than two blocks in common"


def test_sides_measured_one_after_the_other_are_not_paired_and_say_so(opened: Opened) -> None:
    """An update between two runs of the same blocks: pairs would hide a drift meanwhile."""
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 110, at=48, engine_version="0.33.0")
    found = compare(opened(store), axis="engine_version")
    line = only_line(group(found))
    assert (line.side, line.design, line.verdict) == ("0.33.0", "one after the other", "faster")
    assert any("not in turn" in text for text in found.footer)
    assert found.speaks_of == "one machine"


def test_imported_figures_have_no_blocks_to_pair(opened: Opened) -> None:
    """Their blocks only count the turns of a conversation."""
    store = blocks(GoldenStore(), "a", 100, **IMPORTED)
    blocks(store, "b", 110, **{**IMPORTED, "model": "other"})
    line = only_line(group(compare(opened(store), axis="model")))
    assert (line.design, line.verdict) == ("one after the other", "faster")


def test_a_lucky_spread_makes_no_verdict_on_a_noisy_machine(opened: Opened) -> None:
    store = GoldenStore()
    for block, (a, b) in enumerate([(100, 101.0), (101, 102.02), (99, 99.98)]):
        store.trial(f"a{block}", decode=a, block=block, **batch(8))
        store.trial(f"b{block}", decode=b, block=block, **batch(512))
    con = opened(store)
    assert only_line(group(compare(con, axis="num_batch"))).verdict == "faster"
    floors = {("machine-studio", "decode"): Known(0.015)}
    line = only_line(group(compare(con, axis="num_batch", floors=lambda _: floors)))
    assert (line.verdict, line.noise_floor) == ("not resolved", 0.015)
    assert line.reasons[1] == "noise floor 1.5 %"
    pairs = frozenset(
        ("machine-studio", "gpt-oss:20b", "chat", f"num_ctx=8192 num_batch={n}") for n in (8, 512)
    )
    bare, floored = (widths(con, "num_batch", floors=lambda _, f=f: f)[pairs] for f in ({}, floors))
    assert floored > 10 * bare, "the stop rule does not rest on a lucky spread either"


def test_several_machines_of_each_kind_are_judged_by_machines(opened: Opened) -> None:
    """Trials agree to 1 %, but two of a kind differ by 10 %: the kinds are not told apart."""
    store = GoldenStore()
    for number, rate in enumerate((100, 110)):
        columns = {"machine_id": f"small-{number}", "machine": f"small-{number}"}
        blocks(store, f"a{number}", rate, **columns)
    for number, rate in enumerate((106, 117)):
        blocks(store, f"b{number}", rate, **studio(number))
    con = opened(store)
    found = compare(con, axis="memory_gb")
    line = only_line(group(found))
    assert (line.design, line.verdict, line.machines) == ("kinds of machines", "not resolved", 2)
    assert line.estimate is not None
    assert (line.estimate.n_a, line.estimate.n_b) == (2, 2)
    assert found.speaks_of == "kinds of machines"
    assert "the machine is the unit" in found.footer[0]
    assert max(widths(con, "memory_gb").values()) < 0.03 < line.estimate.half_width
    one = compare(con, axis="memory_gb", where="machine!=big-1")
    line = only_line(group(one))
    assert (line.design, one.speaks_of) == ("these machines", "these machines")
    assert "this speaks of these machines, not of the kinds" in one.footer[0]


def test_the_kinds_of_machines_are_never_known_closer_than_their_noise_floors(
    opened: Opened,
) -> None:
    """The two of each kind agree by luck; each machine alone is known to 10 % only."""
    store = GoldenStore()
    for number, rate in enumerate((100, 100.1)):
        columns = {"machine_id": f"small-{number}", "machine": f"small-{number}"}
        blocks(store, f"a{number}", rate, **columns)
    for number, rate in enumerate((120, 120.1)):
        blocks(store, f"b{number}", rate, **studio(number))
    con = opened(store)
    machines = [f"small-{n}" for n in range(2)] + [str(studio(n)["machine_id"]) for n in range(2)]
    floors = {(machine, "decode"): Known(0.1) for machine in machines}
    bare = only_line(group(compare(con, axis="memory_gb")))
    floored = only_line(group(compare(con, axis="memory_gb", floors=lambda _: floors)))
    assert (bare.design, floored.design) == ("kinds of machines", "kinds of machines")
    assert bare.estimate is not None
    assert floored.estimate is not None
    assert floored.estimate.half_width > 10 * bare.estimate.half_width
    assert floored.estimate.floored
    assert not bare.estimate.floored


@pytest.mark.parametrize("swapped", [False, True])
def test_a_throttling_machine_is_not_flattered_by_its_cool_trials(
    opened: Opened, swapped: bool
) -> None:
    """Three trials of five end at 60 tokens/s: they stay, and the verdict speaks of such speeds."""
    store = GoldenStore()
    laptop = {"machine_id": "laptop", "machine": "a-laptop"}
    rates = [(100, 60), (101, 61), (99, 59), (100, 99), (101, 100)]
    for block, (burst, sustained) in enumerate(rates):
        store.trial(f"l{block}", block=block, requests=[hot(burst, sustained)], **laptop)
    for block in range(5):
        asked = [hot(90 + block, 89.9 + block)]
        store.trial(f"s{block}", block=block, requests=asked, **{**STUDIO_80, "machine": "studio"})
    first = {"baseline": "a-laptop"} if swapped else {"baseline": "studio"}
    found = compare(opened(store), axis="machine", metrics=["decode"], **first)
    shown = group(found)
    line = shown.lines[0] if swapped else shown.lines[1]
    assert (line.side, line.trials, line.throttled) == ("a-laptop", 5, 3)
    assert found.kept_apart == {}
    assert shown.sustained
    assert line.burst == pytest.approx(100, rel=0.01)
    assert line.sustained == line.value == pytest.approx(61, rel=0.01)
    other = shown.lines[1] if swapped else shown.lines[0]
    assert other.value == pytest.approx(91.9, rel=0.01)
    judged = shown.lines[1]
    assert judged.ratio == pytest.approx(91.9 / 73 if swapped else 73 / 91.9, rel=0.02)
    text = "\n".join(comparison_lines(found))
    assert "decode (sustained)" in text
    assert "throttled 3 of 5: burst 100.0, sustained 61 tokens/s" in text
    if judged.verdict != "not resolved":
        assert "3 of 5 trials" in judged.cause


@pytest.mark.parametrize(
    ("columns", "cause"),
    [
        ({"placement_gpu_bytes": 610}, "39 % of the model ran on the CPU"),
        ({"power_mode": "low"}, "low power mode"),
        ({"power_source": "battery"}, "ran on battery"),
        ({"engine_version": "0.33.0"}, "engine version 0.33.0 against 0.32.15"),
        (
            {"engine_environment": '{"OLLAMA_KV_CACHE_TYPE":"q8_0"}'},
            "KV cache type q8_0 against not set",
        ),
    ],
)
def test_the_probable_cause_is_named(opened: Opened, columns: dict[str, Any], cause: str) -> None:
    store = blocks(GoldenStore(), "a", 100, power_mode="auto", **batch(8))
    blocks(store, "b", 60, **{"power_mode": "auto", **batch(512), **columns})
    allowed = ["engine_version", "kv_cache_type"]
    con = opened(store)
    line = only_line(group(compare(con, axis="num_batch", allow_diff=allowed)))
    assert (line.verdict, line.cause) == ("slower", cause)
    assert f"probably: {cause}" in line.reasons
    quick = only_line(group(compare(con, axis="num_batch", allow_diff=allowed, baseline="512")))
    assert quick.verdict == "faster"
    assert quick.cause


def test_what_both_sides_share_is_no_cause(opened: Opened) -> None:
    spilled = {"placement_gpu_bytes": 610}
    store = blocks(GoldenStore(), "a", 100, power_mode="auto", **spilled, **batch(8))
    blocks(store, "b", 60, power_mode="low", **spilled, **batch(512))
    line = only_line(group(compare(opened(store), axis="num_batch")))
    assert (line.flags, line.cause) == ("spilled low_power", "low power mode")


def test_what_makes_the_slower_side_faster_is_no_cause(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 60, power_mode="auto", **batch(8))
    blocks(store, "b", 100, power_mode="low", **batch(512))
    line = only_line(group(compare(opened(store), axis="num_batch", where="job=chat")))
    assert line.cause == "power mode low against auto"


@pytest.mark.parametrize("variable", ["OLLAMA_KV_CACHE_TYPE", "OLLAMA_FLASH_ATTENTION"])
def test_the_engines_environment_is_looked_into(opened: Opened, variable: str) -> None:
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 150, engine_environment=json.dumps({variable: "1"}), **STUDIO_80)
    con = opened(store)
    found = compare(con, axis="machine")
    line = only_line(group(found))
    assert line.verdict == "not comparable"
    assert "differ: 1 against not set" in line.reasons[0]
    [fact] = found.refused
    assert any(f"--allow-diff {fact}" in text for text in comparison_lines(found))
    assert only_line(group(compare(con, axis="machine", allow_diff=[fact]))).verdict == "faster"
    assert [x.side for x in group(compare(con, axis=fact)).lines] == ["1", "not set"]
    only = compare(con, axis="machine", where=f"{fact}!=other", allow_diff=[fact])
    assert only_line(group(only)).side == "studio-256"


def test_another_variable_of_the_environment_is_only_listed(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    environment = '{"OLLAMA_NUM_PARALLEL":"4"}'
    blocks(store, "b", 150, engine_environment=environment, **STUDIO_80)
    line = only_line(group(compare(opened(store), axis="machine")))
    assert line.verdict == "faster"
    assert "engine environment OLLAMA_NUM_PARALLEL=4" in line.reasons[-1]


def dated(opened: Opened) -> duckdb.DuckDBPyConnection:
    store = blocks(GoldenStore(), "old", 100, at=12)
    blocks(store, "mid", 90, at=12 + 24 * 9, session=1)
    blocks(store, "new", 80, at=12 + 24 * 19, session=2, engine_version="0.33.0")
    return opened(store)


def test_two_dates_are_two_sides_and_the_update_between_them_is_the_news(opened: Opened) -> None:
    con = dated(opened)
    found = compare(con, axis="date", sides=["2026-11-01", "2026-11-20"])
    line = only_line(group(found))
    assert (line.side, line.verdict) == ("2026-11-20", "slower")
    assert line.cause == "engine version 0.33.0 against 0.32.15"
    assert any("not in turn" in text for text in found.footer)
    every = group(compare(con, axis="date"))
    assert [line.side for line in every.lines] == ["2026-11-01", "2026-11-10", "2026-11-20"]


def test_periods_of_days(opened: Opened) -> None:
    con = dated(opened)
    found = group(compare(con, axis="date", sides=["2026-11-01..2026-11-10", "2026-11-20"]))
    assert [line.side for line in found.lines] == ["2026-11-01..2026-11-10", "2026-11-20"]
    assert found.baseline.value == pytest.approx(90), "the newest session of the period"
    later = group(compare(con, axis="date", where="date>=2026-11-05"))
    assert [line.side for line in later.lines] == ["2026-11-10", "2026-11-20"]
    with pytest.raises(UnknownName, match="the nearest day is 2026-11-10"):
        compare(con, axis="date", sides=["2026-11-09", "2026-11-20"])
    with pytest.raises(UserError, match="2026-1: no day, month or year"):
        compare(con, axis="date", sides=["2026-1", "2026-11-20"])
    with pytest.raises(UserError, match="both hold 2026-11-20"):
        compare(con, axis="date", sides=["2026-11", "2026-11-20"])
    with pytest.raises(UserError, match="needs a day like 2026-11-01"):
        compare(con, axis="date", where="date>=2026-11")


def test_any_column_of_words_can_be_the_axis(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100, software_id="old")
    blocks(store, "b", 150, software_id="new", at=24)
    con = opened(store)
    assert [x.side for x in group(compare(con, axis="software_id")).lines] == ["new", "old"]
    for measured in ("decode_tokens_per_s", "trial_id", "flags"):
        with pytest.raises(UnknownName, match="unknown axis"):
            compare(con, axis=measured)


def test_the_named_first_is_the_baseline_and_unknown_facts_cannot_be_allowed(
    opened: Opened,
) -> None:
    con = opened(blocks(blocks(GoldenStore(), "a", 100), "b", 120, **STUDIO_80))
    found = group(compare(con, axis="machine", sides=["studio-256", "studio"]))
    assert found.baseline.side == "studio-256"
    with pytest.raises(UnknownName, match="did you mean engine_version"):
        compare(con, axis="machine", allow_diff=["engine_versio"])


def test_same_within_is_the_users(opened: Opened) -> None:
    con = opened(blocks(blocks(GoldenStore(), "a", 100), "b", 100.2, **STUDIO_80))
    near = only_line(group(compare(con, axis="machine")))
    assert (near.verdict, near.reasons[0]) == ("same", "the whole interval lies within 5 %")
    line = only_line(group(compare(con, axis="machine", same_within=0.005)))
    assert line.verdict == "not resolved"
    assert line.reasons[0].startswith("could see >= ")


def test_could_see_grows_with_the_family_shown(opened: Opened) -> None:
    store = GoldenStore()
    for value in (8, 64, 128, 512):
        blocks(store, f"n{value}", 100 + value / 1000, **batch(value))
    con = opened(store)
    alone = only_line(group(compare(con, axis="num_batch", sides=["8", "64"], same_within=1e-5)))
    shown = compare(con, axis="num_batch", metrics=["decode"], same_within=1e-5)
    assert shown.family == 3
    among = group(shown).lines[1]
    assert alone.estimate is not None
    assert among.estimate is not None
    assert among.estimate.ratio == alone.estimate.ratio
    assert among.estimate.could_see > alone.estimate.could_see


def test_too_few_trials_say_how_many_are_needed(opened: Opened) -> None:
    store = GoldenStore()
    store.trial("a", **batch(8))
    store.trial("b", **batch(512))
    found = compare(opened(store), axis="num_batch")
    assert all(line.too_few for line in found.sides())
    assert any("2 trials per side at least, 5 for a verdict" in text for text in found.footer)


def test_the_table_of_likeness_knows_every_setting_and_each_fact_has_one_class() -> None:
    assert set(Settings.model_fields) <= set(SETTINGS)
    for axis in AXES:
        classes = {fact: standing(fact, axis) for fact in FACTS}
        assert set(classes.values()) <= {"implied", "listed", "refused"}
        assert classes.get(axis, "implied") == "implied"
    by_machine = {fact: standing(fact, "machine") for fact in FACTS}
    for fact in ("chip", "gpu_cores", "memory_bandwidth_gb_s", "memory_gb", "gpu_driver"):
        assert by_machine[fact] == "implied"
    for fact in ("os_build", "power_mode"):
        assert by_machine[fact] == "listed"
    for fact in (
        *("digest", "job_content", "prompt_tokens", "num_ctx", "kv_cache_type"),
        *("flash_attention", "think", "engine", "engine_version"),
    ):
        assert by_machine[fact] == "refused"


def test_markdown_is_a_table_to_paste(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 68.7)
    blocks(store, "b", 83.1, **{**STUDIO_80, "machine": "a|b_c"})
    lines = comparison_markdown(compare(opened(store), axis="machine", baseline="studio"))
    assert lines[0] == "**gpt-oss:20b, chat, prefill**"
    assert any(
        line.startswith("| a\\|b\\_c | 83.1 tokens/s | 1.21 x | 1.2 to 1.22 | 5 | faster |")
        for line in lines
    )
    tables = [line for line in lines if line.startswith("|")]
    assert len({line.count(" | ") for line in tables[:4]}) == 1


def test_the_page_of_classes_is_the_one_that_the_command_prints() -> None:
    printed = CliRunner().invoke(build(), ["compare", "--classes", "--format", "markdown"])
    page = Path(__file__).resolve().parents[2] / "docs" / "comparability.md"
    assert printed.output == page.read_text()


@pytest.mark.parametrize("metric", sorted(m.name for m in COMPARED.values() if not m.of_energy))
def test_every_metric_can_be_asked_for(opened: Opened, metric: str) -> None:
    store = GoldenStore()
    stamps = {"first_thinking_ns": 10**9, "first_answer_ns": 2 * 10**9, "concurrency": 2}
    for block in range(3):
        for name, own in (("a", {}), ("b", STUDIO_80)):
            asked = {**stamps, "gap_p50_us": 10**4, "gap_p90_us": 10**4, "gap_p99_us": 10**4}
            store.trial(f"{name}{block}", block=block, ask={**asked, "output": 1201}, **own)
    line = only_line(group(compare(opened(store), axis="machine", metrics=[metric]), metric))
    assert line.value is not None
    assert line.verdict == "same"


def test_answers_of_unlike_length_have_no_comparable_end(opened: Opened) -> None:
    store = blocks(GoldenStore(), "a", 100)
    blocks(store, "b", 100, ask={"output": 401, "output_tokens_asked": None}, **STUDIO_80)
    con = opened(store)
    found = compare(con, axis="machine", metrics=["end_to_end", "decode"])
    line = only_line(group(found, "end_to_end"))
    assert (line.verdict, line.reasons[0]) == (
        "not comparable",
        "output tokens differ: 401 against 201",
    )
    assert only_line(group(found)).verdict == "same"


def test_a_limit_changed_by_hand_is_an_axis_on_one_machine(opened: Opened) -> None:
    """The same trials once more, in the same session, on the machine as it was then."""
    store = blocks(GoldenStore(), "a", 60, gpu_limit_mb=73_728)
    blocks(store, "b", 100, at=1, gpu_limit_mb=90_112)
    found = compare(opened(store), axis="gpu_limit_mb")
    line = only_line(group(found))
    assert (line.side, line.verdict, line.trials) == ("90112", "faster", 5)
    assert line.design == "one after the other"
    assert group(found).machine == "studio"
    assert found.speaks_of == "one machine"


def test_by_the_gpu_limit_counts_what_was_in_force(opened: Opened) -> None:
    """Asked for the default twice, found under two limits: one side, under the default."""
    store = GoldenStore()
    for name, asked, found_mb, effective_mb, rate in (
        ("a", "default", 73_728, 73_728, 60),
        ("b", "81920", 73_728, 81_920, 100),
        ("c", "default", 77_824, 73_728, 60),
    ):
        limit = {"wired_limit_mb": asked, "gpu_limit_effective_mb": effective_mb}
        blocks(store, name, rate, gpu_limit_mb=found_mb, **limit)
    found = compare(opened(store), axis="gpu_limit_mb")
    assert [(line.side, line.trials) for line in group(found).lines] == [
        ("73728", 10),
        ("81920", 5),
    ]
    assert only_line(group(found)).verdict == "faster"
