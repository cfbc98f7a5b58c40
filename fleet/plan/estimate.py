"""Estimates how long a trial takes before anything was measured, rather too long; pure.

The bytes read per token, divided by the memory bandwidth, give the decode speed; a mixture of
experts reads only its active share. Measured times replace the estimate as soon as there are any.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.model.experiment import EmbeddedEngine, Engine, Experiment, SimulatedEngine
from fleet.model.job import Job, Point
from fleet.model.machine import Machine

APPLE_BYTES_PER_S = {"Ultra": 800e9, "Max": 400e9, "Pro": 200e9}
OTHER_APPLE_BYTES_PER_S = 100e9
GPU_BYTES_PER_S = 300e9
CPU_BYTES_PER_S = 30e9
BANDWIDTH_REACHED = 0.6
STEP_S = 0.003
"""The time per token that does not depend on the size of the model."""
PREFILL_OVER_DECODE = 10.0
LOAD_S = 1.0
LOAD_BYTES_PER_S = 1e9
BYTES_PER_PARAMETER = 0.65
UNKNOWN_SIZE_BYTES = 5e9
EMBEDDED_SIZE_BYTES = 8e6
"""The embedded engine has only tiny generated models."""
ACTIVE_SHARE = {"gpt-oss:20b": 0.25, "gpt-oss:120b": 0.1, "qwen3-coder-next:q8_0": 0.05}
"""The share of the weights read per token, rounded up; `30b-a3b` in a name says it too."""
TEMPLATE_TOKENS = 100
SAMPLE_TOKENS = 100
"""Tokens of the small requests that count the words of a vocabulary."""
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """The speeds of one model on one machine."""

    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    load_s: float
    time_scale: float = 1.0


def prior_s(
    machine: Machine, engine: Engine, model: str, job: Job, size_bytes: int | None
) -> float:
    """Return the seconds of one trial; `size_bytes` None: the model's name gives a guess."""
    speeds = _scripted(machine, engine, model) or _guessed(
        machine, model, size_bytes if size_bytes is not None else _size_guess(engine, model)
    )
    loads = 1 + (job.requests * len(job.points) if job.load == "request" else 0)
    scripted_s = loads * speeds.load_s + sum(_point_s(job, point, speeds) for point in job.points)
    waited_s = sum(point.seconds or 0 for point in job.points)
    return scripted_s * speeds.time_scale + waited_s


def idle_s(machine: Machine, experiment: Experiment) -> float:
    """Return the rest before the load in which idle power is measured, as part of a trial's time.

    It is certain only for a scripted machine, whose script says whether it reports its power.
    A real machine shows that in its first trial; from then on measured times contain the rest.
    """
    engine, telemetry = experiment.engine, experiment.telemetry
    if telemetry == "off" or not isinstance(engine, SimulatedEngine):
        return 0.0
    script = engine.machines.get(machine.name)
    return telemetry.idle_s if script is not None and script.power is not None else 0.0


def rest_s(machine: Machine, experiment: Experiment) -> float:
    """Return the pause before each trial, which its measured time does not contain.

    It is certain only for a machine that reports nothing about its heat and rests the whole
    time. The wait of another machine depends on how warm the trials before make it.
    """
    cool_down = experiment.cool_down
    if cool_down is None or cool_down.tells(machine.fingerprint):
        return 0.0
    return cool_down.rest_s


def _scripted(machine: Machine, engine: Engine, model: str) -> Speeds | None:
    """Return the speeds of a simulated machine, which its script contains."""
    if not isinstance(engine, SimulatedEngine):
        return None
    script = engine.machines.get(machine.name)
    scripted = script.models.get(model) if script else None
    if script is None or scripted is None:
        return None
    return Speeds(
        prefill_tokens_per_s=scripted.prefill_tokens_per_s,
        decode_tokens_per_s=scripted.decode_tokens_per_s,
        load_s=scripted.load_s + LOAD_S,
        time_scale=script.time_scale,
    )


def _guessed(machine: Machine, model: str, size: float) -> Speeds:
    gpu_memory = machine.gpu_memory_bytes()
    on_gpu = size if gpu_memory is None else min(size, gpu_memory)
    read_s = on_gpu / _bytes_per_s(machine) + (size - on_gpu) / CPU_BYTES_PER_S
    decode = 1 / (STEP_S + read_s * _active_share(model) / BANDWIDTH_REACHED)
    return Speeds(
        prefill_tokens_per_s=decode * PREFILL_OVER_DECODE,
        decode_tokens_per_s=decode,
        load_s=LOAD_S + size / LOAD_BYTES_PER_S,
    )


def _bytes_per_s(machine: Machine) -> float:
    chip = str(machine.fingerprint.get("chip") or "")
    if chip.startswith("Apple"):
        words = chip.split()
        return next(
            (APPLE_BYTES_PER_S[w] for w in words if w in APPLE_BYTES_PER_S), OTHER_APPLE_BYTES_PER_S
        )
    return GPU_BYTES_PER_S if machine.fingerprint.get("gpu") else CPU_BYTES_PER_S


def _size_guess(engine: Engine, model: str) -> float:
    """Return the bytes that a name such as `gpt-oss:20b` suggests: twenty billion parameters."""
    if isinstance(engine, EmbeddedEngine):
        return EMBEDDED_SIZE_BYTES
    match = re.search(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", model.lower())
    if match is None:
        return UNKNOWN_SIZE_BYTES
    return float(match[1]) * {"b": 1e9, "m": 1e6}[match[2]] * BYTES_PER_PARAMETER


def _active_share(model: str) -> float:
    match = re.search(r"(\d+(?:\.\d+)?)b-a(\d+(?:\.\d+)?)b", model.lower())
    if match is not None and float(match[1]) > float(match[2]):
        return float(match[2]) / float(match[1])
    return ACTIVE_SHARE.get(model, 1.0)


def _point_s(job: Job, point: Point, speeds: Speeds) -> float:
    """Return the seconds of fitting, warm-ups and requests, as if streams waited for each other."""
    round_s = _round_s(job, point, speeds)
    rounds = 1 if point.seconds else job.requests * point.concurrency
    pauses = 0 if point.burst is None or point.seconds else (job.requests - 1) // point.burst
    work_s = _fitting_s(point, speeds) + (job.warmup + rounds) * round_s
    return work_s + pauses * point.pause_s


def _round_s(job: Job, point: Point, speeds: Speeds) -> float:
    """Return the seconds of one request with what is sent before it, or of one conversation."""
    prompt, answers = (
        point.prompt_length(),
        max(len(job.exchanges()), 1) * _answer_tokens(job, point, speeds),
    )
    if prompt is None and job.is_conversation:
        prompt = _conversation_tokens(job, point)
    elif prompt is None:
        prompt = _text_tokens(point.prompt or job.prompt or "")
    pauses_s = sum(exchange.pause_s for exchange in job.exchanges())
    return pauses_s + prompt / speeds.prefill_tokens_per_s + answers / speeds.decode_tokens_per_s


def _answer_tokens(job: Job, point: Point, speeds: Speeds) -> float:
    """Return the tokens of an answer; in a quick look what fits in its time."""
    if job.answer_s is None:
        return point.output_tokens
    return min(point.output_tokens, job.answer_s * speeds.decode_tokens_per_s)


def _conversation_tokens(job: Job, point: Point) -> int:
    """Return the tokens evaluated over all turns: each text once, or the history with each turn."""
    exchanges = job.exchanges()
    texts = [_text_tokens(exchange.message) for exchange in exchanges]
    if job.session is not None:
        recorded = (_text_tokens(exchange.answer or "") for exchange in exchanges[:-1])
        return _text_tokens(job.session.system_text()) + sum(texts) + sum(recorded)
    if job.reuse:
        return sum(texts)
    turns = len(texts)
    after = sum(tokens * (turns - turn) for turn, tokens in enumerate(texts))
    return after + point.output_tokens * turns * (turns - 1) // 2


def _text_tokens(text: str) -> int:
    return TEMPLATE_TOKENS + len(text) // CHARACTERS_PER_TOKEN


def _fitting_s(point: Point, speeds: Speeds) -> float:
    """Return the seconds of fitting: about one whole prompt, since an engine reuses the rest."""
    length = point.prompt_length()
    return 0.0 if length is None else (length + SAMPLE_TOKENS) / speeds.prefill_tokens_per_s
