"""Causes that lie in the memory: parts of the model are not where the GPU reads them."""

from __future__ import annotations

from fleet.advisor.causes import Facts, Rule, Weighing, percent
from fleet.advisor.observation import Sign
from fleet.units import MIB, show_bytes

FULL, MANY_CORES, OTHERS_BYTES = 0.93, 200.0, 16e9
PACE_OF_A_CPU = 0.15
SMALL_SPILL = 0.1
PRESSED = frozenset({"warn", "warning", "critical"})


def _planned_on_cpu(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    partly = Sign.PARTLY_ON_CPU in facts.signs
    whole = bool(seen.size_bytes) and seen.gpu_bytes is not None and not partly
    evidence.speaks_for(partly, 3, "the engine reports a part on the CPU")
    evidence.speaks_against(whole, 3, "the engine reports all of it on the GPU")
    evidence.speaks_for(facts.slow and facts.idle, 2, facts.gpu_load)
    evidence.speaks_against(facts.busy, 2, facts.gpu_load)
    fits = "by arithmetic it fits, so a plan that leaves parts on the CPU over-estimates"
    evidence.speaks_for(facts.fit.runs and facts.far_below, 1, fits)
    right = "by arithmetic it does not fit, so a plan that leaves parts on the CPU is right"
    evidence.speaks_against(facts.too_large, 2.5, right)
    old = f"Ollama {seen.engine_version} plans by over-careful formulas"
    evidence.speaks_for(seen.before_fit and facts.slow, 1.5, old)
    gpt_oss = seen.shape.architecture == "gpt-oss" and seen.before_fit is not False
    far_too_large = "before v0.30 the plan for gpt-oss was far too large (109.9 GiB at 75000)"
    evidence.speaks_for(gpt_oss and facts.far_below, 0.5, far_too_large)
    cores = (seen.cpu_percent or 0) > MANY_CORES
    evidence.speaks_for(cores, 1, "several CPU cores were busy")
    if facts.pace is not None and facts.bytes_per_s is not None and facts.far_below:
        words = (
            f"{facts.bytes_per_s / 1e9:.0f} GB/s were read, {percent(facts.pace)} of the "
            "bandwidth: the pace of a CPU"
        )
        evidence.speaks_for(facts.pace < PACE_OF_A_CPU, 1, words)


def _paged_out(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    swaps = Sign.SWAPS in facts.signs
    evidence.speaks_for(swaps, 3, "memory is swapped in while tokens are written")
    calm = seen.swap_in_bytes_s is not None and not swaps
    evidence.speaks_against(calm, 2, "nothing was swapped in")
    pressed = (seen.memory_pressure or "").lower() in PRESSED
    evidence.speaks_for(pressed, 2, f"memory pressure is {seen.memory_pressure}")
    _memory_in_use(facts, evidence)
    residents = ", ".join(seen.residents)
    evidence.speaks_for(bool(residents), 1, f"also in memory: {residents}")
    evidence.speaks_for(facts.far_below and facts.idle, 0.5, facts.gpu_load)
    slow_prompt = Sign.PREFILL_BELOW_DECODE in facts.signs
    evidence.speaks_for(slow_prompt, 1, f"{Sign.PREFILL_BELOW_DECODE.value}")
    evidence.speaks_against(facts.busy, 1, facts.gpu_load)


def _memory_in_use(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    if not seen.memory_used_bytes or not seen.box.ram_bytes:
        return
    full = seen.memory_used_bytes > FULL * seen.box.memory_gb * 1e9
    words = f"{seen.memory_used_bytes / 1e9:.0f} of {seen.box.memory_gb:g} GB were in use"
    evidence.speaks_for(full, 2, words)
    evidence.speaks_against(not full, 1, words)
    if full and seen.process_bytes:
        others = seen.memory_used_bytes - seen.process_bytes
        share = (
            f"{others / 1e9:.0f} GB of that are others' than the {seen.process_bytes / 1e9:.0f} GB "
            "of the model's process"
        )
        evidence.speaks_for(others > OTHERS_BYTES, 1, share)


def _does_not_fit(facts: Facts, evidence: Weighing) -> None:
    spare = facts.fit.spare
    if spare is None:
        return
    limit = facts.limit.label
    if facts.fit.runs:
        words = f"by arithmetic {show_bytes(spare.value)} are to spare ({limit})"
        evidence.speaks_against(True, 3, words)
    else:
        missing = f"{show_bytes(max(-spare.value, 0))} are missing ({limit})"
        evidence.speaks_for(spare.high < 0, 3, missing)
        evidence.speaks_for(spare.high >= 0, 1, f"it depends on {facts.fit.decides}")
    count = len(facts.signs)
    signs = "a sign" if count == 1 else f"{count} signs"
    evidence.speaks_for(count > 0, 1, f"{signs} that it ran partly elsewhere")


def _without_flash(facts: Facts, evidence: Weighing) -> None:
    seen, spare = facts.seen, facts.fit_without_flash.spare
    breaks = facts.fit.runs and not facts.fit_without_flash.runs
    evidence.speaks_against(seen.flash_attention, 5, "flash attention is on")
    off = seen.flash_attention is False
    evidence.speaks_for(off and breaks, 3, "it is off, and without it the model does not fit")
    missing = show_bytes(-spare.value) if spare is not None and spare.value < 0 else "memory"
    words = f"without it {missing} would be missing at a context of {seen.setup().context}"
    evidence.speaks_for(seen.flash_attention is None and breaks and facts.slow, 1, words)
    evidence.speaks_against(facts.fit.runs and not breaks, 2, "it fits without, too")


def _limit_lowered(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    if not seen.box.kind.is_apple:
        return
    usual = min(limit.bytes.low for limit in seen.box.limits()) / MIB
    if seen.wired_limit_mib:
        below = seen.wired_limit_mib < usual
        words = f"iogpu.wired_limit_mb is {seen.wired_limit_mib}, the default {usual:.0f}"
        decides = facts.fit_by_default.runs and not facts.fit.runs
        evidence.speaks_for(below, 6 if decides else 2, words)
        evidence.speaks_against(not below, 3, words)
    evidence.speaks_against(seen.wired_limit_mib == 0, 4, "the limit is the default")
    unread = seen.wired_limit_mib is None and facts.far_below
    evidence.speaks_for(unread, 0.3, "the limit in force was not read")


def _engine_margin(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    if not seen.size_bytes or seen.gpu_bytes is None:
        return
    missing = 1 - seen.gpu_bytes / seen.size_bytes
    words = f"only {percent(missing)} are on the CPU although it fits: 1024 MiB are kept free"
    evidence.speaks_for(0 < missing <= SMALL_SPILL and facts.fit.runs, 4, words)
    evidence.speaks_against(missing > SMALL_SPILL, 2, "more than a tenth is on the CPU")


def _prefix_cache(facts: Facts, evidence: Weighing) -> None:
    seen = facts.seen
    if seen.shape.format != "safetensors":
        return
    grown = (seen.size_bytes or 0) - seen.shape.weights.text_bytes
    words = "the MLX engine keeps up to 8 GiB of earlier prompts"
    evidence.speaks_for(facts.slow, 1, words)
    evidence.speaks_for(grown > 4 * 2**30, 2, f"{show_bytes(grown)} over the weights are in use")


def _free_others(facts: Facts) -> str:
    if facts.seen.residents:
        return f"ollama stop {facts.seen.residents[0]}    and measure again"
    return "ollama ps; memory_pressure    (close what else holds memory, measure again)"


def _fit_command(facts: Facts) -> str:
    limit, context = facts.limit.bytes.value / MIB, facts.seen.setup().context
    return f"fleet fit {facts.seen.shape.name} --limit-mib {limit:.0f} --context {context}"


RULES: tuple[Rule, ...] = (
    Rule(
        "planned-on-cpu",
        "planned onto the CPU by an old or over-careful planner",
        lambda facts: "ollama ps    (the column PROCESSOR must say 100% GPU)",
        "update Ollama to 0.30 or newer, or send num_gpu 999",
        _planned_on_cpu,
    ),
    Rule(
        "paged-out",
        "paged out by other residents of the memory",
        _free_others,
        "keep one model at a time: OLLAMA_MAX_LOADED_MODELS=1",
        _paged_out,
    ),
    Rule(
        "flash-attention-off",
        "flash attention is off with a long context",
        lambda facts: "grep -i flash ~/.ollama/logs/server.log",
        "OLLAMA_FLASH_ATTENTION=1, or a smaller num_ctx",
        _without_flash,
    ),
    Rule(
        "does-not-fit",
        "does not fit under the GPU limit",
        _fit_command,
        "a smaller context, a smaller quantization, or a larger machine",
        _does_not_fit,
    ),
    Rule(
        "limit-lowered",
        "the GPU limit of this Mac was lowered",
        lambda facts: "sysctl iogpu.wired_limit_mb",
        "sudo sysctl iogpu.wired_limit_mb=0, then restart Ollama",
        _limit_lowered,
    ),
    Rule(
        "engine-margin",
        "the engine keeps a margin free although the model fits",
        lambda facts: "LLAMA_ARG_FIT_TARGET=0 ollama serve    and load it again",
        "set LLAMA_ARG_FIT_TARGET=0 for this machine",
        _engine_margin,
    ),
    Rule(
        "prefix-cache",
        "the prefix cache of the MLX engine has grown",
        lambda facts: f"ollama stop {facts.seen.shape.name}    and measure again",
        "unload the model from time to time",
        _prefix_cache,
    ),
)
