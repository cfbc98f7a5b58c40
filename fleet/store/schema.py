"""The five tables: one Arrow schema each. They only grow; a fact unknown is null, never 0.

SCHEMA_VERSION is written into every file's metadata. History:
1  first form (2026-11)
2  role, cooling, restart, conditions after a trial, active bytes and bandwidth; streams, turns,
   reused tokens and due times of requests; sums and quantiles of their gaps; settings of the
   engine's environment, and what was in force of those asked for (2026-11)
3  what slowed a GPU down during a trial, and the kernel it ran under (2026-11)
4  gates: the policy, what was closed before and after, how long that held the trial; models of
   others in memory, load of the GPU, steps of the clock (2026-11)
5  memory of the GPU that others held before and after a trial, what a GPU that shares the
   machine's memory may use of it; a wired limit that was set and is not in effect; how far the
   machine's local time was ahead of UTC when a trial began; the submission that measured a row:
   two stores may hold two measurements of one attempt; the time that answers of a quick look are
   cut to (2026-11)
6  the format, quantization, bits per weight and drafts of a model, the runner that computed it, and
   of MLX its version, device and library; of a request's gaps, how many rounds they are: tokens
   that come of one step of a model with drafts come together (2026-12)
7  whether a trial was measured over the network, and the round trip there (2026-12)
8  the program of the engine that a trial named by a label, and the hash of its content; what MLX
   holds in memory after the last request, and the share of its drafts that were right (2026-12)
9  how long the history of a turn was, so that one that was read again is seen (2026-12)
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from fleet.model.settings import SETTINGS

SCHEMA_VERSION = 9

_text, _int, _real, _yes = pa.string(), pa.int64(), pa.float64(), pa.bool_()


_KINDS = {"integer": _int, "real": _real, "boolean": _yes, "text": _text}
_SETTINGS = {setting.name: _KINDS[setting.column] for setting in SETTINGS.values()}
"""A setting without a line below has its column at the end of `trials`."""


def _schema(more: Mapping[str, pa.DataType] = {}, /, **columns: pa.DataType) -> pa.Schema:
    return pa.schema(
        [pa.field(name, kind) for name, kind in {**columns, **more}.items()],
        metadata={"schema_version": str(SCHEMA_VERSION)},
    )


TRIALS = _schema(
    _SETTINGS,
    attempt_id=_text,
    trial_id=_text,
    fence=_int,
    session=_int,
    experiment=_text,
    machine_id=_text,
    machine=_text,
    hardware_id=_text,
    software_id=_text,
    condition_id=_text,
    model=_text,
    digest=_text,
    model_size_bytes=_int,
    job=_text,
    job_content=_text,  # canonical JSON: the same workload has the same text
    engine=_text,
    engine_version=_text,
    engine_environment=_text,  # canonical JSON
    block=_int,
    position=_int,
    seed=_int,
    cut=_yes,  # one request per point, since the cell ran far over its estimate
    settings=_text,  # as asked, `name=value name=value`
    num_ctx=_int,
    num_batch=_int,
    num_thread=_int,
    num_gpu=_int,
    temperature=_real,
    repeat_penalty=_real,
    wired_limit_mb=_text,  # as asked: MiB or `default`
    think=_text,
    context_length=_int,  # as found: what the engine says is in force
    placement_size_bytes=_int,
    placement_gpu_bytes=_int,
    load_ns=_int,
    outcome=_text,  # ok, failed, cancelled
    reason=_text,
    detail=_text,
    transient=_yes,
    suspended_ns=_int,
    started_at=pa.timestamp("us", tz="UTC"),
    zero_unix_ns=_int,
    zero_ns=_int,
    duration_ns=_int,
    fleet_version=_text,
    # the facts people compare by, as the machine was before this trial
    chip=_text,
    gpu=_text,
    gpu_cores=_int,
    memory_gb=_int,
    gpu_limit_mb=_int,
    gpu_memory_mb=_int,
    os=_text,
    os_version=_text,
    os_build=_text,
    gpu_driver=_text,
    power_source=_text,
    power_mode=_text,
    thermal_class=_text,
    imported=_yes,
    source=_text,  # of an imported trial: where the figures come from
    why=_text,
    role=_text,  # measure, canary, noise
    cooled_ns=_int,  # waited before the load until the machine was cool
    engine_restarted=_yes,
    condition_after_id=_text,
    condition_after=_text,  # JSON: the facts of the condition as they were after the trial
    active_bytes=_int,  # of the weights, read for each token
    memory_bandwidth_gb_s=_real,
    memory_pressure=_text,
    foreign_cpu_percent=_real,  # of all cores, by others than the engine and fleet
    foreign_cpu_after_percent=_real,
    side=_text,  # of an A/A run: a or b, else null
    wired_limit_applied_mb=_int,  # the setting as read back while measuring; 0: the default
    gpu_limit_effective_mb=_int,  # by the trial's engine; gpu_limit_mb is as found
    engine_environment_applied=_text,  # JSON: variables asked for, as the engine runs with them
    flash_attention=_yes,
    kv_cache_type=_text,
    num_parallel=_int,
    cache_ram_mb=_int,
    n_cpu_moe=_int,
    swa_full=_yes,
    fit_target_mb=_int,
    kernel=_text,
    gpu_slowdowns=_text,  # seen while requests ran, by the GPU's own word; empty: none
    gates=_text,  # wait, strict or record
    gates_held_ns=_int,  # held before the trial until they were open
    gates_closed=_text,  # why, when the trial began; empty: all were open
    gates_closed_after=_text,
    gates_unverified=_text,  # those of which the machine says nothing
    clock_step_ns=_int,  # of the wall clock against the steady ones, at its worst
    resident_models=_text,  # of others, in the engine's memory; empty: none
    resident_models_after=_text,
    models_unloaded=_text,  # those of them, long unused, taken out for this trial
    foreign_gpu_percent=_real,
    gpu_slowed_before=_yes,  # by heat or power, as the driver said when the trial began
    foreign_gpu_memory_mb=_int,  # of the GPU's memory, held by others than the engine and fleet
    foreign_gpu_memory_after_mb=_int,  # by the list of programs alone
    gpu_usable_mb=_int,  # of the machine's memory, what a GPU without its own may use
    gpu_limit_conflict=_text,  # as found: a wired limit that is set and is not in effect in Ollama
    utc_offset_s=_int,  # of the machine's local time at started_at; null: not known
    submission_id=_text,  # random, of the submit that measured it; null: imported, or older
    model_format=_text,  # gguf, safetensors; null, here and in the next four: not known
    quantization=_text,  # as the engine names it; a name of one format is none of the other
    bits_per_weight=_real,  # with the scales of its blocks, on average
    runner=_text,  # llama-server, older engine, mlx, llama.cpp
    drafts=_text,  # yes: a draft head proposes tokens; no
    mlx_version=_text,  # as Ollama's log says; null: another runner, or no log
    mlx_device=_text,
    mlx_library=_text,  # which build of MLX's kernels: mlx_metal_v3, mlx_metal_v4
    measured_over=_text,  # network: fleet did not run on the machine; null: it did
    round_trip_ns=_int,  # to that machine and back, at most; before the trial
    engine_sha256=_text,  # of the program that engine_binary names; null: the owner's ran
    memory_after_bytes=_int,  # of MLX after the last request: weights, context, cached prompts
    draft_acceptance=_real,  # of MLX, share of all drafts since the load, as Ollama's log says
)

REQUESTS = _schema(
    attempt_id=_text,
    request=_int,  # counts all requests of the trial, warm-ups too
    point=_text,
    warmup=_yes,
    prompt_tokens_asked=_int,
    depth_tokens=_int,
    output_tokens_asked=_int,
    seed=_int,
    nonce=_text,
    # arrival stamps, ns from the trial's zero
    sent_ns=_int,
    first_chunk_ns=_int,
    first_thinking_ns=_int,
    first_answer_ns=_int,
    last_chunk_ns=_int,
    ended_ns=_int,
    chunks=_int,
    chunk_gaps_us=pa.list_(pa.int32()),
    # the engine's own counters
    total_duration_ns=_int,
    load_duration_ns=_int,
    prompt_tokens=_int,
    cached_tokens=_int,
    prompt_duration_ns=_int,
    output_tokens=_int,
    output_duration_ns=_int,
    done_reason=_text,
    server_first_unix_ns=_int,
    server_final_unix_ns=_int,
    output_sha256=_text,
    error=_text,
    error_reason=_text,
    concurrency=_int,  # streams of the point
    stream=_int,  # which of them, from 0
    turn=_int,  # of a conversation, from 0
    due_ns=_int,  # when it was meant to be sent
    reused_tokens=_int,  # of its beginning, sent before on purpose; null: not known
    api=_text,  # generate sends the prompt raw, chat through the model's template
    think=_text,  # as sent
    # what the machine's memory needs at least to read the weights for it
    least_output_ns=_int,
    least_prompt_ns=_int,
    since_load=_int,  # requests before it since the model was loaded
    repeats_before=_int,  # those of them that had the same point, turn and nonce
    sibling_prompt_ns=_int,  # median prompt time of the trial's requests of its point and length
    # of chunk_gaps_us, so that no question need read the lists
    first_third_us=_int,
    last_third_us=_int,
    gap_p50_us=_int,
    gap_p90_us=_int,
    gap_p99_us=_int,
    gap_most_us=_int,
    submission_id=_text,  # as in trials
    most_output_ns=_int,  # of a quick look: the time its answer was cut to; null: not cut
    rounds=_int,  # chunks that came apart: those within 1 ms of the one before are of one round
    round_p50_us=_int,  # median time from one round to the next
    history_tokens=_int,  # of a later turn: the prompt of the turn before, with which it begins
)

READINGS = _schema(
    attempt_id=_text,
    offset_ns=_int,
    metric=_text,
    source=_text,
    value=_real,
    submission_id=_text,  # as in trials
)

FINGERPRINTS = _schema(
    attempt_id=_text,
    machine_id=_text,
    machine=_text,
    hardware_id=_text,
    software_id=_text,
    condition_id=_text,
    recipe=_int,
    chip=_text,
    model=_text,
    gpu=_text,
    gpu_cores=_int,
    cpu_cores=_int,
    memory_gb=_int,
    gpu_memory_mb=_int,
    gpu_limit_mb=_int,
    wired_limit_mb=_int,
    os=_text,
    os_version=_text,
    os_build=_text,
    kernel=_text,
    gpu_driver=_text,
    power_source=_text,
    power_mode=_text,
    thermal_class=_text,
    facts=_text,  # JSON: every fact with its source
    submission_id=_text,  # as in trials
)

ANSWERS = _schema(
    attempt_id=_text,
    request=_int,
    answer=_text,
    thinking=_text,
    reference=_text,
    scores=_text,
    submission_id=_text,  # as in trials
)

TABLES: dict[str, pa.Schema] = {
    "requests": REQUESTS,
    "readings": READINGS,
    "fingerprints": FINGERPRINTS,
    "answers": ANSWERS,
    "trials": TRIALS,  # last: its row is the commit mark
}
