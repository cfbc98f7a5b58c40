"""Every view and flag on trials made by hand, with the answers known."""

from __future__ import annotations

import math
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
import scipy.stats

from fleet.metrics import dictionary
from fleet.query.machines import machines_of_results
from fleet.query.open_store import open_store, rows
from fleet.query.views import views_sql
from tests.builders_compare import (
    IMPORTED,
    GoldenStore,
    S,
    imported_request,
    request,
    transcripts,
)

GAPS = 200


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    store = GoldenStore()
    store.trial("good", decode=(100, 110, 90), prefill=1000)
    odd: dict[str, dict[str, Any]] = {
        "error": {"error": "the runner died", "error_reason": "stream_broken"},
        "no_final": {"done_reason": None, "output_tokens": None, "output_duration_ns": None},
        "short": {"output_tokens": 150},
        "stopped": {"done_reason": "stop"},
        "wrong_count": {"prompt_tokens_asked": 900},
        "right_count": {"prompt_tokens_asked": 1000},
        "cached": {"cached_tokens": 17},
        "cached_head": {"cached_tokens": 16, "nonce": None},
        "cached_most": {"cached_tokens": 600},
        "cached_template": {"api": "chat", "cached_tokens": 70, "since_load": 3},
        "cached_chat": {"api": "chat", "cached_tokens": 300, "since_load": 3},
        "reused_and_more": {"cached_tokens": 324, "reused_tokens": 307},
        "repeated_head": {"nonce": "", "repeats_before": 1, "cached_tokens": 1},
        "repeated_chat": {
            "api": "chat",
            "nonce": "",
            "repeats_before": 1,
            "cached_tokens": 70,
            "since_load": 3,
        },
        "reused_in_part": {"depth_tokens": 300, "reused_tokens": 300, "cached_tokens": 269},
        "reused_nearly": {"depth_tokens": 300, "reused_tokens": 300, "cached_tokens": 271},
        "milliseconds": {"output_duration_ns": 2_000, "prompt_duration_ns": 1_000},
        "impossible_output": {"output_duration_ns": 1_999_999},
        "impossible_prompt": {"prompt_duration_ns": 99_899},
        "one_token": {"output_tokens": 1, "output_tokens_asked": 1, "output_duration_ns": 1000},
        "out_of_a_buffer": {"chunk_gaps_us": [30_000] * 134 + [9] * 66},
        "possible_prompt": {"prompt_duration_ns": 99_901},
        "uncached": {"cached_tokens": 0, "nonce": None},
        "unknown_cache": {"nonce": ""},
        "clock": {"ended_ns": 9 * S},
        "saw_less": {"first_chunk_ns": 2 * S},
        "hidden_head": {"first_chunk_ns": 2 * S, "chunks": 101},
        "hidden_and_longer": {"ended_ns": 9 * S, "chunks": 101},
        "hidden_and_shorter": {"output_duration_ns": 4 * S, "chunks": 101},
        "reused": {"cached_tokens": 7, "reused_tokens": 7},
        "repeated": {"nonce": "", "repeats_before": 1, "since_load": 1},
        "repeated_uncached": {"nonce": "", "repeats_before": 1, "cached_tokens": 0},
        "far_too_fast": {"sibling_prompt_ns": 5 * S},
        "fast": {"sibling_prompt_ns": 3 * S},
        "primed": {"depth_tokens": 300, "reused_tokens": 300, "prompt_tokens_asked": 1000},
        "not_reused": {"depth_tokens": 300, "reused_tokens": None, "prompt_tokens_asked": 1000},
        "only_depth": {"depth_tokens": 1000, "reused_tokens": None, "prompt_tokens_asked": 1000},
        "below_ceiling": {"least_output_ns": 2 * S, "least_prompt_ns": 1 * S},
        "output_above_ceiling": {"least_output_ns": 3 * S},
        "prompt_above_ceiling": {"least_prompt_ns": 2 * S},
        "thinks": {"think": "low", "first_thinking_ns": 1},
        "thinks_unasked": {"think": "false", "first_thinking_ns": 1},
        "chat": {"api": "chat", "since_load": 3},
        "chat_first": {"api": "chat", "since_load": 0},
    }
    for name, columns in odd.items():
        store.trial(name, requests=[request(**columns)])
    store.trial(
        "fresh_load",
        ask={"nonce": None, "since_load": 0, "load_duration_ns": 3 * S, "sent_ns": -3 * S},
        job_content='{"load":"request"}',
    )
    store.trial("small", ask={"prompt": 511, "output": 127})
    store.trial("small_cached", ask={"prompt": 512, "cached_tokens": 17, "reused_tokens": 17})
    store.trial("enough_cached", ask={"prompt": 512, "cached_tokens": 1})
    store.trial("half_cached", ask={"prompt": 1200, "cached_tokens": 600, "reused_tokens": 600})
    store.trial("enough", ask={"prompt": 512, "output": 128})
    store.trial("slept", suspended_ns=2 * S)
    store.trial("context", context_length=4096)
    store.trial("spilled", placement_gpu_bytes=600)
    store.trial("no_gpu", placement_gpu_bytes=0, gpu=None)
    mapped = {"placement_size_bytes": 28_670, "placement_gpu_bytes": 14_390}
    store.trial("mapped", **mapped, model_size_bytes=14_240)
    store.trial("mapped_of_unknown_size", **mapped, model_size_bytes=None)
    store.trial("half_on_cpu", **mapped, model_size_bytes=25_000)
    cpu = {"placement_size_bytes": 28_670, "placement_gpu_bytes": 13_000}
    store.trial("less_than_the_file_on_gpu", **cpu, model_size_bytes=15_670)
    store.trial("battery", power_source="battery", cut=True)
    slow = [30_000] * (GAPS // 3) + [31_200] * (GAPS - 2 * (GAPS // 3)) + [33_300] * (GAPS // 3)
    store.trial("throttled", decode=30, ask={"chunk_gaps_us": slow})
    steady = [gap if gap < 33_000 else 32_700 for gap in slow]
    store.trial("steady", decode=30, ask={"chunk_gaps_us": steady})
    store.trial("brief", decode=100, ask={"chunk_gaps_us": [gap // 3 for gap in slow]})
    store.trial("busy", foreign_cpu_percent=21.0)
    store.trial("busy_after", foreign_cpu_percent=3.0, foreign_cpu_after_percent=30.0)
    store.trial("little_load", foreign_cpu_percent=20.0, foreign_cpu_after_percent=5.0)
    store.trial("gpu_busy", foreign_cpu_percent=3.0, foreign_gpu_percent=21.0)
    store.trial("low_power", power_mode="low")
    store.trial("high_power", power_mode="high", thermal_class="nominal", memory_pressure="normal")
    store.trial("hot_before", thermal_class="moderate")
    store.trial("slowed_before", gpu_slowed_before=True)
    store.trial("full", memory_pressure="warning")
    store.trial("shared", resident_models="llama3:8b", resident_models_after="")
    store.trial("shared_after", resident_models="", resident_models_after="llama3:8b")
    store.trial("alone", resident_models="", resident_models_after="")
    store.trial("gpu_users", foreign_gpu_memory_mb=1025)
    store.trial("gpu_users_after", foreign_gpu_memory_mb=0, foreign_gpu_memory_after_mb=70_000)
    store.trial("gpu_users_few", foreign_gpu_memory_mb=1024, foreign_gpu_memory_after_mb=5)
    beside = {"model_size_bytes": 72_000 * 2**20, "foreign_gpu_memory_mb": 900}
    store.trial("not_beside", **beside, gpu_limit_mb=72_899)
    store.trial("just_beside", **beside, gpu_limit_mb=72_900)
    store.trial("never_fits", **beside, gpu_limit_mb=71_999)
    store.trial(
        "shared_memory", **beside, gpu_limit_mb=None, gpu_usable_mb=72_500, gpu_memory_mb=99_999
    )
    store.trial("stepped", clock_step_ns=-2 * S)
    store.trial("slewed", clock_step_ns=S // 2)
    store.trial("changed", condition_after_id="condition-2")
    store.trial("slowed", gpu_slowdowns="heat_by_hardware")
    store.trial("full_speed", gpu_slowdowns="")
    fast, late = request(decode=100), request(decode=88)
    later = {name: late[name] + 60 * S for name in ("sent_ns", "first_chunk_ns", "ended_ns")}
    store.trial("minutes", requests=[fast, {**late, **later}])
    store.trial("canary", role="canary")
    store.trial("few_gaps", ask={"chunk_gaps_us": [10] * 40 + [1000] * 19})
    warm = [request(decode=10, warmup=True), request(decode=100)]
    store.trial("warm", requests=warm)
    store.trial("again", fence=0, outcome="failed", decode=1)
    store.trial("again", fence=1, decode=50)
    store.trial("again", fence=2, decode=70)
    store.trial("redone", fence=0, suspended_ns=5 * S)
    store.trial("redone", fence=1, decode=80)
    store.trial("upgraded", engine_version="0.32.15", decode=100)
    store.trial("upgraded", engine_version="0.33.0", fence=1, decode=120)
    store.trial("failed", outcome="failed", reason="out_of_memory")
    return open_store([transcripts(store).write(tmp_path_factory.mktemp("golden"), files=3)])


def one(golden: duckdb.DuckDBPyConnection, view: str, trial: str) -> dict[str, Any]:
    found = rows(golden, f"select * from {view} where trial_id = ?", [f"trial-{trial}"])
    assert len(found) == 1, trial
    return found[0]


def test_speeds_are_medians_of_the_requests(golden: duckdb.DuckDBPyConnection) -> None:
    found = one(golden, "speeds", "good")
    assert found["decode_tokens_per_s"] == pytest.approx(100)
    assert found["prefill_tokens_per_s"] == pytest.approx(1000)
    assert found["naive_decode_tokens_per_s"] == pytest.approx(100 * 201 / 200)
    assert found["first_token_ns"] == 1_004_000_000
    assert found["server_first_token_ns"] == 1_002_000_000
    assert found["load_ns"] == 2 * S
    assert (found["requests"], found["requests_left_out"], found["flags"]) == (3, 0, "")


@pytest.mark.parametrize(
    ("trial", "flag"),
    [
        ("good", ""),
        ("error", "aborted"),
        ("no_final", "aborted"),
        ("short", "short"),
        ("stopped", "short"),
        ("wrong_count", "wrong_count"),
        ("right_count", ""),
        ("cached", "cached_prefix"),
        ("cached_head", ""),
        ("cached_most", "cached_prefix"),
        ("cached_template", ""),
        ("cached_chat", "cached_prefix"),
        ("reused_and_more", "cached_prefix"),
        ("repeated_head", ""),
        ("repeated_chat", "cached_prefix"),
        ("reused_in_part", "not_reused"),
        ("reused_nearly", ""),
        ("milliseconds", "clock above_ceiling"),
        ("impossible_output", "clock above_ceiling"),
        ("impossible_prompt", "above_ceiling"),
        ("possible_prompt", ""),
        ("uncached", ""),
        ("clock", "clock"),
        ("saw_less", "clock"),
        ("hidden_head", ""),
        ("hidden_and_longer", "clock"),
        ("hidden_and_shorter", "clock"),
        ("slept", "suspended"),
        ("context", "context"),
        ("reused", ""),
        ("repeated", "cached_prefix"),
        ("repeated_uncached", ""),
        ("far_too_fast", "cached_prefix"),
        ("fast", ""),
        ("primed", ""),
        ("not_reused", "not_reused"),
        ("only_depth", ""),
        ("below_ceiling", ""),
        ("output_above_ceiling", "above_ceiling"),
        ("prompt_above_ceiling", "above_ceiling"),
        ("thinks", ""),
        ("thinks_unasked", "unasked_thinking"),
    ],
)
def test_invalid_requests_carry_their_flag_and_are_not_clean(
    golden: duckdb.DuckDBPyConnection, trial: str, flag: str
) -> None:
    name = f"trial-{trial}"
    flags = rows(golden, "select distinct invalid from requests_flagged where trial_id = ?", [name])
    assert [row["invalid"] for row in flags] == [flag]
    clean = rows(golden, "select * from clean where trial_id = ?", [name])
    speeds = rows(golden, "select * from speeds where trial_id = ?", [name])
    assert bool(clean) == bool(speeds) == (not flag)


def test_a_failed_request_never_becomes_a_number(golden: duckdb.DuckDBPyConnection) -> None:
    rates = "decode_tokens_per_s, prefill_tokens_per_s, first_token_ns, naive_decode_tokens_per_s"
    found = rows(golden, f"select {rates} from requests_flagged where invalid = 'aborted'")
    assert len(found) == 2
    assert {value for row in found for value in row.values()} == {None}


@pytest.mark.parametrize(
    ("trial", "known", "note"),
    [
        ("good", True, ""),
        ("uncached", True, ""),
        ("fresh_load", True, ""),
        ("unknown_cache", False, "cache state unknown"),
        ("small", False, "too short for a rate"),
        ("enough", True, ""),
        ("enough_cached", True, ""),
        ("small_cached", False, "too short for a rate"),
        ("cached_template", True, ""),
        ("chat", False, "template may be cached"),
        ("chat_first", True, ""),
    ],
)
def test_a_prefill_rate_needs_a_known_cache_and_length(
    golden: duckdb.DuckDBPyConnection, trial: str, known: bool, note: str
) -> None:
    found = one(golden, "speeds", trial)
    assert (found["prefill_tokens_per_s"] is not None, found["prefill_note"]) == (known, note)
    assert found["naive_prefill_tokens_per_s"] == pytest.approx(1000, rel=1e-3)


def test_a_prefill_rate_is_of_what_was_evaluated(golden: duckdb.DuckDBPyConnection) -> None:
    """A prompt of which the half came from the cache took its time over the other half."""
    for trial, rate in (("half_cached", 500), ("enough_cached", 1000 * 511 / 512)):
        found = one(golden, "speeds", trial)
        assert found["prefill_tokens_per_s"] == pytest.approx(rate)
        assert found["naive_prefill_tokens_per_s"] == pytest.approx(1000)
    invalid = one(golden, "requests_flagged", "cached_most")
    assert invalid["prefill_tokens_per_s"] is None  # 400 tokens are too few
    assert invalid["naive_prefill_tokens_per_s"] == pytest.approx(1000)


RATES = (
    *("prefill_tokens_per_s", "naive_prefill_tokens_per_s"),
    *("decode_tokens_per_s", "naive_decode_tokens_per_s"),
)


@pytest.mark.parametrize(
    ("trial", "without"),
    [
        ("milliseconds", set(RATES)),
        ("impossible_output", set(RATES[2:])),
        ("impossible_prompt", set(RATES[:2])),
        ("possible_prompt", set()),
        ("one_token", set(RATES[2:])),
    ],
)
def test_a_rate_that_no_machine_has_is_none(
    golden: duckdb.DuckDBPyConnection, trial: str, without: set[str]
) -> None:
    found = one(golden, "requests_flagged", trial)
    assert {name for name in RATES if found[name] is None} == without


def test_chunks_out_of_a_buffer_have_no_rate(golden: duckdb.DuckDBPyConnection) -> None:
    found = one(golden, "requests_flagged", "out_of_a_buffer")
    assert found["burst_decode_tokens_per_s"] == pytest.approx(1000 / 30)
    assert found["sustained_decode_tokens_per_s"] is None


def test_a_decode_rate_needs_128_tokens(golden: duckdb.DuckDBPyConnection) -> None:
    small, enough = one(golden, "speeds", "small"), one(golden, "speeds", "enough")
    assert (small["decode_tokens_per_s"], small["decode_note"]) == (None, "too short for a rate")
    assert enough["decode_tokens_per_s"] == pytest.approx(100)


def test_cold_load_jobs_take_the_load_of_each_request(golden: duckdb.DuckDBPyConnection) -> None:
    assert one(golden, "speeds", "fresh_load")["load_ns"] == 3 * S


@pytest.mark.parametrize(
    ("trial", "flags"),
    [
        ("spilled", "spilled"),
        ("no_gpu", ""),
        ("mapped", ""),
        ("mapped_of_unknown_size", "spilled"),
        ("half_on_cpu", "spilled"),
        ("less_than_the_file_on_gpu", "spilled"),
        ("battery", "on_battery cut"),
        ("throttled", "throttled"),
        ("steady", ""),
        ("brief", ""),
        ("few_gaps", ""),
        ("busy", "foreign_load"),
        ("busy_after", "foreign_load"),
        ("little_load", ""),
        ("gpu_busy", "foreign_load"),
        ("low_power", "low_power"),
        ("high_power", ""),
        ("hot_before", "hot"),
        ("slowed_before", "hot"),
        ("full", "memory_pressure"),
        ("shared", "model_resident"),
        ("shared_after", "model_resident"),
        ("alone", ""),
        ("gpu_users", "gpu_users"),
        ("gpu_users_after", "gpu_users"),
        ("gpu_users_few", ""),
        ("not_beside", "gpu_users"),
        ("just_beside", ""),
        ("never_fits", ""),
        ("shared_memory", "gpu_users"),
        ("stepped", "clock_stepped"),
        ("slewed", ""),
        ("changed", "condition_changed"),
        ("slowed", "gpu_slowed"),
        ("full_speed", ""),
        ("minutes", "throttled"),
        ("canary", None),
    ],
)
def test_qualified_trials_stay_and_are_labelled(
    golden: duckdb.DuckDBPyConnection, trial: str, flags: str | None
) -> None:
    if flags is None:
        assert rows(golden, f"from speeds where trial_id = 'trial-{trial}'") == []
        return
    found = one(golden, "speeds", trial)
    assert (found["flags"], found["flags_version"]) == (flags, dictionary.VERSION)


def test_a_machine_that_throttles_shows_its_burst_and_its_sustained_speed(
    golden: duckdb.DuckDBPyConnection,
) -> None:
    found = one(golden, "speeds", "minutes")
    assert found["burst_decode_tokens_per_s"] == pytest.approx(100, rel=1e-3)
    assert found["sustained_decode_tokens_per_s"] == pytest.approx(88, rel=1e-3)


@pytest.mark.parametrize(
    ("speeds", "flags"),
    [
        ((100, 99, 98, 97, 96), "drifting"),
        ((96, 97, 98, 99, 100), "drifting"),
        ((100, 99, 97), ""),  # too few to tell
        ((100, 96, 100, 96, 100), ""),  # no order
        ((100, 96.5, 98.5, 96.5, 96), ""),  # hardly an order: r is -0.78
        ((100, 97, 98, 96), ""),  # of so few, even r of -0.86 is chance
        ((100, 99.5, 99, 98.5, 98), ""),  # too little
    ],
)
def test_a_session_drifts_where_its_canaries_follow_their_order(
    tmp_path: Path, speeds: tuple[float, ...], flags: str
) -> None:
    store = GoldenStore()
    for block, speed in enumerate(speeds):
        store.trial(f"canary{block}", decode=speed, block=block, role="canary")
    store.trial("measured")
    store.trial("elsewhere", machine_id="machine-2")
    con = open_store([store.write(tmp_path)])
    assert one(con, "speeds", "measured")["flags"] == flags
    assert one(con, "speeds", "elsewhere")["flags"] == ""
    (drift,) = rows(con, "from drift")
    assert drift["canaries"] == len(speeds)
    assert rows(con, "select count(*) as n from cells")[0]["n"] == 2


def test_canaries_drift_where_one_session_in_a_hundred_would_by_chance(tmp_path: Path) -> None:
    """Series whose correlation with their order lies just above and just below Student's bound."""
    store, expected = GoldenStore(), {}
    for count in range(4, 15):
        blocks = [block - (count - 1) / 2 for block in range(count)]
        bent = [block**2 - sum(b**2 for b in blocks) / count for block in blocks]
        straight, curved = (math.hypot(*values) for values in (blocks, bent))
        degrees = min(count, 13) - 2
        quantile = scipy.stats.t.ppf(0.995, degrees)
        bound = quantile / math.sqrt(degrees + quantile**2)
        for name, correlation in (("above", bound + 0.002), ("below", bound - 0.002)):
            bend = straight / curved * math.sqrt(1 / correlation**2 - 1)
            machine = {"machine_id": f"{name}-{count}", "machine": f"{name}-{count}"}
            for block in range(count):
                log = 0.05 * (blocks[block] + bend * bent[block]) / (count - 1)
                canary = {"role": "canary", "block": block, "decode": 0.5 * math.exp(log)}
                store.trial(f"{name}-{count}-{block}", **machine, **canary)
            store.trial(f"{name}-{count}", **machine)
            expected[f"{name}-{count}"] = "drifting" if name == "above" else ""
    con = open_store([store.write(tmp_path)])
    flags = rows(con, "select machine, flags from speeds")
    assert {row["machine"]: row["flags"] for row in flags} == expected


@pytest.fixture(scope="module")
def edges(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Trials at the very bound of a flag, and one step past it."""
    store = GoldenStore()
    odd: dict[str, dict[str, Any]] = {
        "slept_little": {"suspended_ns": 100_000_000},
        "slept": {"suspended_ns": 100_000_001},
        "stepped_little": {"clock_step_ns": S},
        "stepped_back_little": {"clock_step_ns": -S},
        "stepped": {"clock_step_ns": S + 1},
        "busy_little": {"foreign_cpu_percent": 20.0},
        "busy": {"foreign_cpu_percent": 20.1},
        "mapped_most": {
            "placement_gpu_bytes": 10_000,
            "placement_size_bytes": 20_200,
            "model_size_bytes": 10_000,
        },
        "more_than_mapped": {
            "placement_gpu_bytes": 10_000,
            "placement_size_bytes": 20_201,
            "model_size_bytes": 10_000,
        },
    }
    for name, columns in odd.items():
        store.trial(name, **columns)
    gaps = {"first_third_us": 1_000_000, "chunk_gaps_us": [30_000] * GAPS}
    asks: dict[str, dict[str, Any]] = {
        "slowed_little": {**gaps, "last_third_us": 1_100_000},
        "slowed": {**gaps, "last_third_us": 1_100_001},
        "short_and_slowed": {**gaps, "last_third_us": 2_000_000, "first_chunk_ns": S + 1},
        "template_most": {"api": "chat", "since_load": 3, "cached_tokens": 272},
        "more_than_template": {"api": "chat", "since_load": 3, "cached_tokens": 273},
        "reused_enough": {"depth_tokens": 300, "reused_tokens": 300, "cached_tokens": 270},
        "new_at_no_depth": {"depth_tokens": 0, "reused_tokens": 300, "cached_tokens": 0},
        "at_ceiling": {"least_output_ns": 2_200_000_000},
        "above_ceiling": {"least_output_ns": 2_200_000_001},
        "sibling_four_times": {"sibling_prompt_ns": 4 * S},
        "sibling_more": {"sibling_prompt_ns": 4 * S + 1},
        "sibling_of_short": {"prompt": 63, "sibling_prompt_ns": S, "output": 201},
        "sibling_of_long": {"prompt": 64, "sibling_prompt_ns": S, "output": 201},
    }
    for name, columns in asks.items():
        slow = name.endswith(("slowed", "slowed_little"))
        ended = {"sent_ns": 0, "ended_ns": 6 * S + 4_000_000} if slow else {}
        store.trial(name, ask={**columns, **ended}, decode=40 if slow else 100)
    return open_store([store.write(tmp_path_factory.mktemp("edges"))])


@pytest.mark.parametrize(
    ("trial", "suspended", "flags"),
    [
        ("slept_little", False, ""),
        ("slept", True, None),
        ("stepped_little", False, ""),
        ("stepped_back_little", False, ""),
        ("stepped", False, "clock_stepped"),
        ("busy_little", False, ""),
        ("busy", False, "foreign_load"),
        ("mapped_most", False, ""),
        ("more_than_mapped", False, "spilled"),
        ("slowed_little", False, ""),
        ("slowed", False, "throttled"),
    ],
)
def test_a_flag_begins_past_its_bound(
    edges: duckdb.DuckDBPyConnection, trial: str, suspended: bool, flags: str | None
) -> None:
    assert one(edges, "attempts", trial)["suspended"] == suspended
    found = rows(edges, f"select flags from speeds where trial_id = 'trial-{trial}'")
    assert found == ([] if flags is None else [{"flags": flags}])


@pytest.mark.parametrize(
    ("trial", "invalid"),
    [
        ("template_most", ""),
        ("more_than_template", "cached_prefix"),
        ("reused_enough", ""),
        ("new_at_no_depth", ""),
        ("at_ceiling", ""),
        ("above_ceiling", "above_ceiling"),
        ("sibling_four_times", ""),
        ("sibling_more", "cached_prefix"),
        ("sibling_of_short", ""),
        ("sibling_of_long", "cached_prefix"),
    ],
)
def test_a_request_is_left_out_past_the_bound_of_its_flag(
    edges: duckdb.DuckDBPyConnection, trial: str, invalid: str
) -> None:
    found = rows(edges, f"from requests_flagged where attempt_id = 'trial-{trial}-0'")
    assert {row["invalid"] for row in found} == {invalid}


def test_a_canary_that_slept_tells_nothing_of_a_drift(tmp_path: Path) -> None:
    """Without it there are three, which are too few."""
    store = GoldenStore()
    for block, speed in enumerate((100, 98, 96, 94)):
        slept = {"suspended_ns": 2 * S} if block == 3 else {}
        store.trial(f"c{block}", role="canary", block=block, decode=speed, **slept)
    store.trial("t")
    con = open_store([store.write(tmp_path)])
    assert rows(con, "select flags from speeds") == [{"flags": ""}]
    assert rows(con, "select count(*) as n from canaries") == [{"n": 3}]


def test_several_streams_have_a_throughput_of_their_own(tmp_path: Path) -> None:
    store = GoldenStore()
    streams = [request(decode=10, concurrency=2, stream=n, sent_ns=n * S) for n in (0, 1)]
    store.trial("both", requests=[{**row, "ended_ns": row["ended_ns"] + S} for row in streams])
    store.trial("short", requests=[streams[0], {**streams[1], "output_tokens": 3}])
    con = open_store([store.write(tmp_path)])
    window_s = (max(row["ended_ns"] for row in streams) + S) / S
    found = one(con, "speeds", "both")
    assert found["throughput_tokens_per_s"] == pytest.approx(402 / window_s)
    assert found["goodput_tokens_per_s"] == pytest.approx(0 / window_s)
    assert one(con, "speeds", "short")["throughput_tokens_per_s"] is None


@pytest.mark.parametrize(
    ("first_ns", "rest_ns", "good"),
    [
        (2 * S, 20 * S, True),
        (2 * S + 1, 20 * S, False),
        (2 * S, 20 * S + 1, False),
    ],
)
def test_good_is_a_first_token_in_2_s_and_the_rest_at_10_a_second(
    tmp_path: Path, first_ns: int, rest_ns: int, good: bool
) -> None:
    ended_ns = first_ns + rest_ns
    times = {"first_chunk_ns": first_ns, "last_chunk_ns": ended_ns, "ended_ns": ended_ns}
    store = GoldenStore()
    store.trial("t", requests=[request(**times, output_duration_ns=rest_ns)])
    con = open_store([store.write(tmp_path)])
    [row] = rows(con, "select requests, goodput_tokens_per_s as goodput from speeds")
    assert row["requests"] == 1
    assert row["goodput"] == pytest.approx(201 / (ended_ns / S) if good else 0)


def test_token_latencies_need_a_chunk_for_each_token_and_enough_of_them(tmp_path: Path) -> None:
    store = GoldenStore()
    gaps = {"gap_p50_us": 10_000, "gap_p90_us": 20_000, "gap_p99_us": 30_000}
    store.trial("each", ask=gaps)
    store.trial("long", ask={**gaps, "output": 1001 + 1})
    store.trial("hidden", ask={**gaps, "chunks": 150})
    con = open_store([store.write(tmp_path)])
    names = ("inter_token_p50_ns", "inter_token_p90_ns", "inter_token_p99_ns")
    told = {trial: [one(con, "speeds", trial)[n] for n in names] for trial in ("each", "long")}
    assert told == {"each": [10_000_000, 20_000_000, None], "long": [10**7, 2 * 10**7, 3 * 10**7]}
    assert [one(con, "speeds", "hidden")[name] for name in names] == [None, None, None]


def test_warmups_do_not_count(golden: duckdb.DuckDBPyConnection) -> None:
    found = one(golden, "speeds", "warm")
    assert (found["decode_tokens_per_s"], found["requests"]) == (pytest.approx(100), 1)


def test_the_ok_attempt_with_the_lowest_fence_counts(golden: duckdb.DuckDBPyConnection) -> None:
    assert one(golden, "speeds", "again")["decode_tokens_per_s"] == pytest.approx(50)
    attempts = rows(golden, "select * from trials where trial_id = 'trial-again'")
    assert len(attempts) == 3


def test_an_attempt_that_slept_gives_way_to_its_repetition(
    golden: duckdb.DuckDBPyConnection,
) -> None:
    assert one(golden, "speeds", "redone")["decode_tokens_per_s"] == pytest.approx(80)


def test_another_engine_version_is_other_work(golden: duckdb.DuckDBPyConnection) -> None:
    found = rows(
        golden,
        "select engine_version, decode_tokens_per_s as rate from speeds "
        "where trial_id = 'trial-upgraded' order by all",
    )
    assert [(row["engine_version"], row["rate"]) for row in found] == [
        ("0.32.15", pytest.approx(100)),
        ("0.33.0", pytest.approx(120)),
    ]


def test_imported_rows_have_a_decode_rate_and_a_naive_prefill_only(
    golden: duckdb.DuckDBPyConnection,
) -> None:
    found = one(golden, "speeds", "c")
    assert found["decode_tokens_per_s"] == pytest.approx(3322 / 742.767252458)
    assert found["naive_decode_tokens_per_s"] == pytest.approx(4.47, abs=0.005)
    assert found["naive_prefill_tokens_per_s"] == pytest.approx(1.21, abs=0.005)
    assert (found["prefill_tokens_per_s"], found["prefill_note"]) == (None, "too short for a rate")
    assert one(golden, "speeds", "a")["prefill_note"] == "cache state unknown"
    assert found["first_token_ns"] is None
    assert found["server_first_token_ns"] == 69517786250 + 64004417


def test_cells_are_medians_over_trials_apart_by_flag(tmp_path: Path) -> None:
    store = GoldenStore()
    for block, rate in enumerate((90, 100, 130)):
        store.trial(f"t{block}", decode=rate, block=block)
    store.trial("labelled", decode=10, block=3, power_source="battery")
    con = open_store([store.write(tmp_path)])
    found = rows(con, "select * from cells order by flags")
    assert [(row["flags"], row["trials"]) for row in found] == [("", 3), ("on_battery", 1)]
    assert found[0]["decode_tokens_per_s"] == pytest.approx(100)
    assert found[0]["decode_spread_percent"] == pytest.approx(100 * 20.8167 / 106.667, rel=1e-4)
    assert found[0]["last_trial_id"] == "trial-t2"


def test_one_attempt_in_two_folders_counts_once(tmp_path: Path) -> None:
    both, second = GoldenStore(), GoldenStore()
    both.trial("shared", decode=100)
    second.trial("shared", decode=100)
    second.trial("own", decode=200, machine_id="machine-2", machine="other")
    folders = [both.write(tmp_path / "one"), second.write(tmp_path / "two")]
    con = open_store(folders)
    assert rows(con, "select count(*) as n from requests_flagged") == [{"n": 6}]
    assert rows(con, "select sum(requests) as n from speeds") == [{"n": 6}]
    assert rows(con, "select count(*) as n from trials") == [{"n": 2}]


def test_a_bare_duckdb_reads_the_views_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = GoldenStore()
    store.trial("t")
    folder = store.write(tmp_path)
    (folder / "views.sql").write_text(views_sql())
    monkeypatch.chdir(folder)
    con = duckdb.connect()
    con.execute((folder / "views.sql").read_text())
    found = con.execute("select machine, round(decode_tokens_per_s) from cells").fetchall()
    assert found == [("studio", 100)]
    for table in ("readings", "fingerprints", "answers", "clean"):
        con.execute(f"select * from {table}").fetchall()


def test_imported_columns_are_those_of_the_schema() -> None:
    from fleet.store.schema import TRIALS

    assert set(IMPORTED) <= set(TRIALS.names)


def test_an_imported_turn_with_a_cached_beginning_counts_at_the_rate_that_was_printed(
    tmp_path: Path,
) -> None:
    """Ollama 0.33.3 and newer prints what was cached, and a rate of the rest."""
    store = GoldenStore()
    asked = {**imported_request(2000, 2 * S, 200, 4 * S, 0), "cached_tokens": 1500}
    store.trial("cached", requests=[asked], **IMPORTED)
    con = open_store([store.write(tmp_path / "results")])
    [row] = rows(con, "select * from requests_flagged")
    assert (row["valid"], row["invalid"]) == (True, "")
    assert row["naive_prefill_tokens_per_s"] == pytest.approx(250)
    assert row["prefill_tokens_per_s"] is None
    assert row["decode_tokens_per_s"] == pytest.approx(199 / 4)


@pytest.mark.parametrize(
    ("first_token_s", "rate", "good"),
    [(1.9, 12, True), (2.1, 12, False), (3.9, 12, False), (1.9, 9, False), (1.9, 6, False)],
)
def test_good_is_a_first_token_within_two_seconds_and_ten_tokens_per_second(
    tmp_path: Path, first_token_s: float, rate: float, good: bool
) -> None:
    late_ns = round(first_token_s * S)
    answer_ns = round(200 / rate * S)
    asked = request(decode=rate, first_chunk_ns=late_ns, ended_ns=late_ns + answer_ns)
    store = GoldenStore()
    store.trial("one", requests=[{**asked, "last_chunk_ns": late_ns + answer_ns}])
    with closing(open_store([store.write(tmp_path)])) as con:
        [row] = rows(con, "from cells")
    expected = 201 / (first_token_s + 200 / rate) if good else 0.0
    assert row["goodput_tokens_per_s"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("client", "window_ns", "words"),
    [
        (100.9, 10**12, ""),
        (99.1, 10**12, ""),
        (101.1, 10**12, "client 101.1, engine 100 tokens/s"),
        (101.1, 10**8, ""),  # a millisecond is one per cent of the time that was seen
    ],
)
def test_a_second_opinion_may_differ_by_a_hundredth_and_by_the_clock(
    tmp_path: Path, client: float, window_ns: int, words: str
) -> None:
    store = GoldenStore()
    store.trial("one")
    with closing(open_store([store.write(tmp_path)])) as con:
        [row] = rows(con, f"select second_opinion({client}, 100.0, {window_ns}) as said")
    assert row["said"] == words


def test_a_prompt_that_was_not_sent_before_needs_no_word_on_the_cache(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("first", requests=[request(repeats_before=0, cached_tokens=None)])
    store.trial("again", requests=[request(repeats_before=1, cached_tokens=None)], block=1)
    with closing(open_store([store.write(tmp_path)])) as con:
        found = rows(con, "select repeats_before, valid from requests_flagged order by all")
    assert [tuple(row.values()) for row in found] == [(0, True), (1, False)]


def test_machines_of_results_are_those_that_measured_something(tmp_path: Path) -> None:
    store = GoldenStore()
    store.trial("well", machine="studio")
    store.trial("badly", machine="box", machine_id="id-box", outcome="failed", requests=[])
    with closing(open_store([store.write(tmp_path)])) as con:
        assert [each.machine for each in machines_of_results(con, None)] == ["studio"]
        assert machines_of_results(con, "another experiment") == []
