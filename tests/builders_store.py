"""Trial results with every field filled, for the tests of the store."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.model.experiment import OllamaEngine
from fleet.model.job import Job
from fleet.model.machine import Fact, FactValue, Fingerprint
from fleet.model.measure import Outcome, Placement, Reading, Reply, RequestRecord, TrialResult
from fleet.model.settings import Value
from fleet.model.trial import Trial, attempt_id

HOUR_NS = 3600 * 10**9
NOV_2026_NS = 1_793_491_200 * 10**9
"""2026-11-01, 00:00 UTC."""

FACTS: dict[str, FactValue] = {
    "chip": "Apple M3 Ultra",
    "model": "Mac15,14",
    "gpu": "Apple M3 Ultra",
    "gpu_cores": 60,
    "cpu_cores": 28,
    "memory_gb": 96,
    "gpu_memory_mb": 98304,
    "gpu_limit_mb": 73728,
    "wired_limit_mb": 0,
    "os": "darwin",
    "os_version": "26.1",
    "os_build": "25B78",
    "kernel": "25.1.0",
    "gpu_driver": "Metal 4",
    "power_source": "ac",
    "power_mode": "high",
    "thermal_class": "nominal",
    "memory_pressure": "normal",
    "memory_bandwidth_gb_s": 819.2,
    "foreign_cpu_percent": 1.5,
    "foreign_gpu_percent": 0.5,
    "gpu_slowed": False,
    "resident_models": "",
    "foreign_gpu_memory_mb": 300,
    "gpu_usable_mb": 90000,
    "gpu_limit_conflict": "set to 90000 MiB, Ollama works with 73728 MiB",
    "mlx_version": "0.32.2",
    "mlx_device": "gpu",
    "mlx_library": "mlx_metal_v4",
    "draft_acceptance": 0.75,
    "measured_over": "network",
    "round_trip_ns": 800_000,
}
SETTINGS: dict[str, Value] = {
    "num_ctx": 8192,
    "num_batch": 512,
    "num_thread": 8,
    "num_gpu": 99,
    "draft_num_predict": 4,
    "engine_binary": "v0.34",
    "temperature": 0.5,
    "repeat_penalty": 1.0,
    "wired_limit_mb": 73728,
    "flash_attention": True,
    "kv_cache_type": "q8_0",
    "num_parallel": 2,
    "cache_ram_mb": 0,
    "n_cpu_moe": 4,
    "swa_full": False,
    "fit_target_mb": 512,
}


def fingerprint(facts: Mapping[str, FactValue] = FACTS) -> Fingerprint:
    return Fingerprint(
        facts=tuple(Fact(name=name, value=value, source="test") for name, value in facts.items()),
        hardware_id="hardware-1",
        software_id="software-1",
        condition_id="condition-1",
    )


def reply(**changes: object) -> Reply:
    fields: dict[str, object] = {
        "sent_ns": 1_000,
        "first_chunk_ns": 2_000,
        "first_thinking_ns": 2_000,
        "first_answer_ns": 3_000,
        "last_chunk_ns": 9_000,
        "ended_ns": 10_000,
        "chunks": 4,
        "chunk_gaps_us": (10_000, 11_000, 12_000),
        "total_ns": 62_202_324_708,
        "load_ns": 59_609_167,
        "prompt_tokens": 4937,
        "cached_tokens": 0,
        "prompt_ns": 7_340_259_833,
        "output_tokens": 2183,
        "output_ns": 54_776_578_542,
        "done_reason": "stop",
        "server_first_unix_ns": NOV_2026_NS + 1,
        "server_final_unix_ns": NOV_2026_NS + 2,
        "output_sha256": "ab" * 32,
        "text": "gold is yellow",
        "thinking": "why?",
        "error": "it broke",
        "error_reason": "stream_broken",
    }
    return Reply(**{**fields, **changes})  # type: ignore[arg-type]


def record(index: int = 0, **changes: object) -> RequestRecord:
    return RequestRecord(
        index=index,
        point="gold",
        warmup=False,
        prompt_tokens_asked=512,
        depth_tokens=0,
        output_tokens_asked=128,
        seed=1,
        nonce=" the of",
        reply=reply(**changes),
        turn=1,
        due_ns=900,
        reused_tokens=4000,
        think="low",
    )


def result(
    n: int = 0,
    *,
    experiment: str = "e",
    machine: str = "studio-96",
    fence: int = 0,
    outcome: Outcome = "ok",
    session: int = 0,
    duration_ns: int = 10**9,
    unix_ns: int = NOV_2026_NS,
    requests: tuple[RequestRecord, ...] = (record(),),
    facts: Mapping[str, FactValue] = FACTS,
    submission: str | None = "submission-1",
) -> TrialResult:
    """Trial number `n`; the same number gives an equal result."""
    trial = Trial(
        trial_id=f"trial-{n:020x}",
        experiment=experiment,
        machine_id=f"machine-{machine}",
        machine=machine,
        model="gpt-oss:20b",
        digest="d" * 64,
        job=Job(name="gold", prompt="why is gold yellow?", think="low", keep_text=True),
        engine=OllamaEngine(kind="ollama"),
        settings=SETTINGS,
        block=n,
        position=n,
        seed=1,
        session=session,
        estimate_s=3.0,
        why="to know",
        role="noise",
        side="b",
    )
    return TrialResult(
        attempt_id=attempt_id(trial.trial_id, fence),
        submission_id=submission,
        fence=fence,
        trial=trial,
        outcome=outcome,
        reason="" if outcome == "ok" else "stream_broken",
        detail="" if outcome == "ok" else "the stream ended",
        transient=outcome != "ok",
        zero_ns=5,
        zero_unix_ns=unix_ns,
        utc_offset_s=-14_400,
        duration_ns=duration_ns,
        suspended_ns=0,
        fleet_version="1",
        engine_version="0.32.15",
        engine_sha256="e" * 64,
        engine_environment={"OLLAMA_FLASH_ATTENTION": "1"},
        digest="d" * 64,
        model_size_bytes=13_000_000_000,
        placement=Placement(size_bytes=14, gpu_bytes=13, context_length=8192),
        load_ns=8_000_000_000,
        active_bytes=3_700_000_000,
        model_format="safetensors",
        quantization="nvfp4",
        bits_per_weight=4.5,
        drafts="no",
        memory_after_bytes=15,
        cooled_ns=0,
        clock_step_ns=70,
        gates_held_ns=0,
        gates_closed=(),
        gates_closed_after=(),
        gates_unverified=(),
        models_unloaded=("llama3:8b",),
        wired_limit_applied_mb=73_728,
        gpu_limit_effective_mb=73_728,
        engine_environment_applied={"OLLAMA_KV_CACHE_TYPE": "q8_0"},
        fingerprint=fingerprint(facts),
        fingerprint_after=fingerprint(facts),
        requests=requests,
        readings=(
            Reading(offset_ns=1, metric="gpu_power_w", source="macmon", value=80.5),
            Reading(offset_ns=2_000, metric="gpu_clock_event_bits", source="nvml", value=0x24),
        ),
    )
