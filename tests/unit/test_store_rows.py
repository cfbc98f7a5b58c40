"""Trial results as rows: every column filled, every value as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.model.gates import Gates
from fleet.model.machine import Fact, Fingerprint
from fleet.model.measure import Placement, Reading, Reply, RequestRecord, TrialResult
from fleet.store import codec
from fleet.store.rows import rows_of
from fleet.store.schema import SCHEMA_VERSION, TABLES
from tests.builders_store import FACTS, NOV_2026_NS, fingerprint, record, result

NOT_FROM_A_TRIAL = {
    "trials": {"source"},  # of imported trials
    "answers": {"reference", "scores"},  # of jobs that compare answers
}
FAILED_ONLY = {"reason", "detail"}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_filled_by_a_trial_that_knows_everything(table):
    quick = [replace(record(index), most_output_ns=3 * 10**9) for index in (1, 2, 3)]
    primed = (replace(record(), reused_tokens=None, turn=0), *quick)
    known = replace(result(requests=primed), reason="stream_broken", detail="it broke")
    if table == "trials":  # drafts have an acceptance, and no least time
        known = replace(known, drafts="yes")
    row = rows_of(known)[table][-1]
    assert set(row) == set(TABLES[table].names)
    empty = {name for name, value in row.items() if value is None}
    assert empty == NOT_FROM_A_TRIAL.get(table, set())


def test_the_commit_mark_comes_last():
    assert list(rows_of(result())) == list(TABLES)
    assert list(TABLES)[-1] == "trials"


def test_what_is_unknown_is_null():
    bare = replace(result(), fingerprint=None, placement=None, digest=None, load_ns=None)
    rows = rows_of(bare)
    (trial,) = rows["trials"]
    assert rows["fingerprints"] == []
    for name in ("hardware_id", "chip", "gpu_limit_mb", "context_length", "digest", *FAILED_ONLY):
        assert trial[name] is None


def test_the_acceptance_of_drafts_is_that_of_this_trial():
    """A log tells of the last load: before the trial that was another one."""
    before, after = fingerprint({**FACTS, "draft_acceptance": 0.25}), fingerprint(FACTS)
    measured = replace(result(), drafts="yes", fingerprint=before, fingerprint_after=after)
    shares = [
        rows_of(each)["trials"][0]["draft_acceptance"]
        for each in (
            measured,
            replace(measured, fingerprint_after=None),
            replace(measured, drafts="no"),
            replace(measured, model_format="gguf"),
        )
    ]
    assert shares == [0.75, None, None, None]


def test_a_fact_of_the_wrong_kind_is_null_in_its_column_and_kept_in_the_json():
    odd = {**FACTS, "gpu_cores": "60-core", "memory_gb": 95.7, "chip": 3, "power_mode": None}
    found = fingerprint(odd)
    doubled = replace(found, facts=(*found.facts, Fact(name="chip", value="other", source="b")))
    (row,) = rows_of(replace(result(), fingerprint=doubled))["fingerprints"]
    assert (row["gpu_cores"], row["memory_gb"], row["chip"]) == (None, 96, "3")
    facts = json.loads(str(row["facts"]))
    assert facts["gpu_cores"] == {"value": "60-core", "source": "test"}
    assert facts["chip"]["value"] == 3


def test_what_a_machine_has_not_is_kept_apart_from_what_could_not_be_read():
    lost = Fact(name="gpu_mig", value=None, source="tool: no answer")
    without = Fact(name="gpu_ecc", value=None, source="tool: no such feature", absent=True)
    found = replace(fingerprint(), facts=(lost, without))
    (row,) = rows_of(replace(result(), fingerprint=found))["fingerprints"]
    assert json.loads(str(row["facts"])) == {
        "gpu_mig": {"value": None, "source": "tool: no answer"},
        "gpu_ecc": {"value": None, "source": "tool: no such feature", "absent": True},
    }


def test_memory_of_others_is_that_which_the_gate_judged():
    """No list of programs: while the engine rests, all that is in use is others'."""
    facts = {name: value for name, value in FACTS.items() if name != "foreign_gpu_memory_mb"}
    resting = fingerprint({**facts, "gpu_memory_in_use_mb": 5120, "resident_models": ""})
    busy = fingerprint({**facts, "gpu_memory_in_use_mb": 5120, "resident_models": "x"})
    for look, others_mb in ((resting, 5120), (busy, None)):
        (row,) = rows_of(replace(result(), fingerprint=look, fingerprint_after=look))["trials"]
        assert row["foreign_gpu_memory_mb"] == others_mb
        assert row["foreign_gpu_memory_after_mb"] is None


def test_an_integer_that_no_column_holds_is_null():
    absurd = fingerprint({**FACTS, "cpu_cores": 2.0**63, "memory_gb": 2**70, "gpu_cores": 2**62})
    (row,) = rows_of(replace(result(), fingerprint=absurd))["fingerprints"]
    assert (row["cpu_cores"], row["memory_gb"], row["gpu_cores"]) == (None, None, 2**62)


def test_not_a_number_is_null_everywhere():
    readings = (Reading(offset_ns=1, metric="w", source="x", value=float("nan")),)
    odd = fingerprint({**FACTS, "memory_gb": float("inf")})
    rows = rows_of(replace(result(), readings=readings, fingerprint=odd))
    assert rows["readings"][0]["value"] is None
    assert rows["trials"][0]["memory_gb"] is None
    assert json.loads(str(rows["fingerprints"][0]["facts"]))["memory_gb"]["value"] is None


def test_sums_and_quantiles_of_the_gaps_lie_beside_them():
    (row,) = rows_of(result(requests=(record(chunk_gaps_us=(*range(1, 101), 200)),)))["requests"]
    assert (row["first_third_us"], row["last_third_us"]) == (
        sum(range(1, 34)),
        sum(range(69, 101)) + 200,
    )
    assert (row["gap_p50_us"], row["gap_p90_us"], row["gap_p99_us"]) == (51, 91, 100)
    assert row["gap_most_us"] == 200
    (row,) = rows_of(result(requests=(record(chunk_gaps_us=(7,)),)))["requests"]
    assert (row["first_third_us"], row["gap_p50_us"], row["gap_p99_us"]) == (None, 7, 7)


def test_the_condition_after_a_trial_lies_beside_the_one_before():
    after = replace(fingerprint({**FACTS, "power_source": "battery"}), condition_id="condition-2")
    (row,) = rows_of(replace(result(), fingerprint_after=after))["trials"]
    assert (row["condition_id"], row["condition_after_id"]) == ("condition-1", "condition-2")
    assert json.loads(str(row["condition_after"]))["power_source"] == "battery"
    assert "chip" not in json.loads(str(row["condition_after"]))


def test_the_gates_of_a_trial_lie_in_its_row():
    gates = Gates(policy="record")
    before = fingerprint({**FACTS, "resident_models": "", "foreign_gpu_percent": 7})
    found = replace(
        result(),
        trial=replace(result().trial, gates=gates),
        fingerprint=before,
        fingerprint_after=fingerprint({**FACTS, "resident_models": "b:1"}),
        gates_held_ns=5,
        gates_unverified=None,
        gates_closed=("on battery", "low-power mode"),
        gates_closed_after=(),
        clock_step_ns=-3,
        models_unloaded=("a:1", "c:1"),
    )
    (row,) = rows_of(found)["trials"]
    told = {name: row[name] for name in row if name.startswith(("gates", "resident", "models_"))}
    assert told == {
        "gates": "record",
        "gates_held_ns": 5,
        "gates_closed": "on battery; low-power mode",
        "gates_closed_after": "",
        "gates_unverified": None,
        "resident_models": "",
        "resident_models_after": "b:1",
        "models_unloaded": "a:1, c:1",
    }
    assert (row["clock_step_ns"], row["foreign_gpu_percent"]) == (-3, 7.0)
    assert row["gpu_slowed_before"] is False


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ([(5, 0x4), (9, 0x1)], ""),  # the power cap, and idle
        ([(5, 0x8)], "hardware"),
        ([(5, 0x20 | 0x4), (6, 0x80), (7, 0x80)], "heat_by_software power_brake"),
        ([(5, 0x40)], "heat_by_hardware"),
        ([(11, 0x8)], "hardware"),  # right after the last request
        ([(1, 0x40), (5, 0x4)], ""),  # before the first
        ([(1, 0x40)], None),
        ([(5, None), (6, math.nan)], None),
        ([], None),
    ],
)
def test_what_slowed_a_gpu_while_requests_ran(readings, told):
    found = tuple(
        Reading(offset_ns=at, metric="gpu_clock_event_bits", source="nvml", value=value)
        for at, value in readings
    )
    other = Reading(offset_ns=5, metric="gpu_clock_mhz", source="nvml", value=0x48)
    asked = (record(sent_ns=7, ended_ns=9), record(sent_ns=3, ended_ns=10))
    (row,) = rows_of(replace(result(requests=asked), readings=(*found, other)))["trials"]
    assert row["gpu_slowdowns"] == told


def test_nothing_slows_a_gpu_that_was_asked_nothing():
    (row,) = rows_of(result(requests=()))["trials"]
    assert row["gpu_slowdowns"] is None


def test_a_gap_too_long_for_its_column_is_null():
    (row,) = rows_of(result(requests=(record(chunk_gaps_us=(5, 2**31)),)))["requests"]
    assert row["chunk_gaps_us"] == [5, None]


def test_half_a_surrogate_pair_does_not_lose_the_result(tmp_path):
    rows = rows_of(result(requests=(record(text="\ud83d!"),)))["answers"]
    path = tmp_path / "a.parquet"
    path.write_bytes(codec.encode_rows("answers", rows))
    assert codec.read(path, "answers")["answer"].to_pylist() == ["?!"]


def test_a_row_without_a_column_is_refused():
    with pytest.raises(KeyError):
        codec.encode_rows("answers", [{"attempt_id": "a"}])


def test_files_say_their_form_and_pack_gaps_tightly(tmp_path):
    path = tmp_path / "r.parquet"
    path.write_bytes(codec.encode_rows("requests", rows_of(result())["requests"]))
    with pq.ParquetFile(path) as file:
        assert file.schema_arrow.metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()
        group = file.metadata.row_group(0)
        columns = {
            group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)
        }
    assert "DELTA_BINARY_PACKED" in columns["chunk_gaps_us.list.element"].encodings
    assert columns["chunk_gaps_us.list.element"].compression == "ZSTD"


ints = st.integers(-(2**63), 2**63 - 1)
counts = st.none() | st.integers(0, 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
replies = st.builds(
    Reply,
    sent_ns=ints,
    first_chunk_ns=counts,
    first_thinking_ns=counts,
    first_answer_ns=counts,
    last_chunk_ns=counts,
    ended_ns=ints,
    chunks=st.integers(0, 9),
    chunk_gaps_us=st.lists(st.integers(0, 2**31 - 1), max_size=5).map(tuple),
    total_ns=counts,
    prompt_tokens=counts,
    output_ns=counts,
    done_reason=st.none() | texts,
    text=st.none() | texts,
    thinking=st.none() | texts,
    error=st.none() | texts,
)
records = st.builds(
    RequestRecord,
    index=st.integers(0, 99),
    point=texts,
    warmup=st.booleans(),
    prompt_tokens_asked=counts,
    depth_tokens=st.integers(0, 9),
    output_tokens_asked=st.integers(1, 9),
    seed=st.integers(0, 9),
    nonce=texts,
    reply=replies,
)
facts = st.builds(
    Fact,
    name=st.sampled_from(sorted(FACTS)) | texts,
    value=st.none() | texts | st.integers(-(2**53), 2**53) | st.booleans() | st.floats(),
    source=texts,
)
fingerprints = st.builds(
    Fingerprint,
    facts=st.lists(facts, max_size=6).map(tuple),
    hardware_id=texts,
    software_id=texts,
    condition_id=texts,
)
readings = st.builds(
    Reading,
    offset_ns=ints,
    metric=texts,
    source=texts,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
results = st.builds(
    TrialResult,
    attempt_id=st.just("trial-1-0"),
    fence=st.integers(0, 9),
    trial=st.just(result().trial),
    outcome=st.sampled_from(["ok", "failed", "cancelled"]),
    reason=texts,
    detail=texts,
    transient=st.booleans(),
    zero_ns=ints,
    zero_unix_ns=st.integers(0, 4 * 10**18),
    duration_ns=ints,
    suspended_ns=ints,
    fleet_version=texts,
    engine_version=st.none() | texts,
    engine_environment=st.dictionaries(texts, texts, max_size=3),
    placement=st.none()
    | st.builds(Placement, size_bytes=counts, gpu_bytes=counts, context_length=counts),
    fingerprint=st.none() | fingerprints,
    requests=st.lists(records, max_size=3).map(tuple),
    readings=st.lists(readings, max_size=3).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(results)
def test_any_result_comes_back_from_parquet_with_equal_values(found):
    for table, rows in rows_of(found).items():
        with pq.ParquetFile(pa.BufferReader(codec.encode_rows(table, rows))) as file:
            assert file.read().to_pylist() == rows


def test_the_wall_time_is_exact_to_the_microsecond():
    (row,) = rows_of(result(unix_ns=NOV_2026_NS + 123_456_789))["trials"]
    assert row["started_at"] == datetime(2026, 11, 1, 0, 0, 0, 123_456, tzinfo=UTC)
    assert row["zero_unix_ns"] == NOV_2026_NS + 123_456_789


@pytest.mark.parametrize(("gap_us", "rounds"), [(999, 1), (1_000, 1), (1_001, 3)])
def test_chunks_within_a_millisecond_are_of_one_round(gap_us: int, rounds: int) -> None:
    drafted = result(requests=(record(chunk_gaps_us=(gap_us, gap_us)),))
    (row,) = rows_of(drafted)["requests"]
    assert row["rounds"] == rounds
