"""What the self-test measures: simulated machines of known speed with injected faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.model.experiment import Experiment, Request, SimulatedEngine
from fleet.model.job import Job, Point
from fleet.model.machine import FactValue
from fleet.model.script import Fault, MachineScript, ScriptedModel
from fleet.model.settings import Settings

SPEEDS = (20, 200, 2_000)
MLX_SPEEDS = {"plain": (250, 1), "drafting": (400, 4)}
"""Of models for MLX: decode speed, tokens of a round. No speed is one of the others."""
HOT_SPEED = 25
"""Fast enough that the throttling machine, whose last third takes twice as long, ends first."""
PROMPT_TOKENS = 2_048
PREFILL_TOKENS_PER_S = 5_000
POWER_CAP, POWER_BRAKE = 0x4, 0x80
"""Bits of NVIDIA's driver; the first is normal at full load."""
Facts = FactValue | tuple[FactValue, ...]
FAULTY_REQUESTS = (6, 8)
"""Numbers of requests to a model, after those that only count a prompt's tokens."""

FLAGS: Mapping[str, str] = {
    "cached_prefix": "cached_prefix",
    "wrong_prompt_count": "wrong_count",
    "short_answer": "short",
    "no_final_record": "aborted",
    "die_mid_stream": "aborted",
    "wrong_context": "context",
    "clock_wrong": "clock",
    "asleep": "suspended",
    "too_fast": "above_ceiling",
    "thinks_unasked": "unasked_thinking",
    "partly_on_cpu": "spilled",
    "slow_last_third": "throttled",
    "on_battery": "on_battery",
    "low_power_mode": "low_power",
    "hot_before": "hot",
    "memory_runs_short": "memory_pressure",
    "another_model": "model_resident",
    "another_program": "gpu_users",
    "clock_steps": "clock_stepped",
    "foreign_load": "foreign_load",
    "condition_changes": "condition_changed",
    "power_brake": "gpu_slowed",
}
"""The one flag that each injected fault must raise."""

IN_ONE_REQUEST = (
    *("wrong_prompt_count", "short_answer", "no_final_record", "die_mid_stream"),
    *("clock_wrong", "too_fast", "cached_prefix"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is measured. The goals of the README hold for `FULL`."""

    slow_tokens: int
    """Output tokens of a request at 20 tokens/s."""
    tokens: int
    """Output tokens of a request at the other speeds."""
    requests: int
    """Requests at each speed."""
    clean_requests: int
    clean_trials: int


QUICK = Size(slow_tokens=128, tokens=500, requests=3, clean_requests=100, clean_trials=1)
FULL = Size(slow_tokens=2_000, tokens=2_000, requests=5, clean_requests=250, clean_trials=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One experiment of the self-test."""

    says: str
    request: Request
    speeds: Mapping[tuple[str, str], int]
    """Decode speed by machine and model, if figures are compared with the truth."""
    injected: Mapping[str, str]
    """Faults of whole machines, by name of the machine."""

    def scripts(self) -> Mapping[str, MachineScript]:
        """Return the scripts of the simulated machines."""
        engine = self.request.experiment.engine
        assert isinstance(engine, SimulatedEngine)
        return engine.machines


def stages(size: Size, folder: Path) -> tuple[Stage, ...]:
    """Return the experiments; their servers log to files of `folder`, see `log_file`."""
    return (
        _slow(size, folder),
        _fast(size, folder),
        _mlx(size, folder),
        _faults(folder),
        _conditions(folder),
        _clean(size, folder),
    )


def log_file(folder: Path, machine: str) -> Path:
    """Return the file in which the server of a machine logs what it did."""
    return folder / f"{machine}.jsonl"


def _slow(size: Size, folder: Path) -> Stage:
    """Measure the slowest speed beside a machine that throttles: both hardly need the CPU."""
    job = _exact("slow", PROMPT_TOKENS, size.slow_tokens, size.requests, warmup=0)
    models = {"slow": _model(SPEEDS[0], PREFILL_TOKENS_PER_S)}
    hot = Fault(kind="slow_last_third")
    machines = {
        "steady": _script(folder, "steady", models),
        "throttling": _script(folder, "throttling", {"slow": _model(HOT_SPEED)}, hot),
    }
    says = f"{size.requests} answers of {size.slow_tokens:,} tokens at {SPEEDS[0]} tokens/s"
    return _stage(says, job, machines, speeds={("steady", "slow"): SPEEDS[0]})


def _fast(size: Size, folder: Path) -> Stage:
    job = _exact("fast", PROMPT_TOKENS, size.tokens, size.requests, warmup=0)
    speeds = {f"at-{speed}": speed for speed in SPEEDS[1:]}
    models = {name: _model(speed, PREFILL_TOKENS_PER_S) for name, speed in speeds.items()}
    listed = " and ".join(f"{speed:,}" for speed in speeds.values())
    says = f"{size.requests} answers of {size.tokens:,} tokens at {listed} tokens/s"
    return _stage(
        says,
        job,
        {"fast": _script(folder, "fast", models)},
        speeds={("fast", name): speed for name, speed in speeds.items()},
    )


def _mlx(size: Size, folder: Path) -> Stage:
    """Return the counts and clocks of the other runner of an Ollama, with and without drafts."""
    job = _exact("mlx", PROMPT_TOKENS, size.tokens, size.requests, warmup=0)
    models = {
        name: _model(speed, PREFILL_TOKENS_PER_S).model_copy(
            update={"format": "safetensors", "tokens_per_round": of_round}
        )
        for name, (speed, of_round) in MLX_SPEEDS.items()
    }
    script = _script(folder, "mlx", models).model_copy(update={"engine_version": "0.34.4"})
    says = f"{size.requests} answers of {size.tokens:,} tokens on MLX, with and without drafts"
    speeds = {("mlx", name): speed for name, (speed, _) in MLX_SPEEDS.items()}
    return _stage(says, job, {"mlx": script}, speeds=speeds)


def _faults(folder: Path) -> Stage:
    """Use one model for each fault, so that its requests are counted from 0."""
    models = {name: _model(SPEEDS[2]) for name in IN_ONE_REQUEST}
    faults = [
        Fault(kind=kind, model=kind, request=number)
        for kind in IN_ONE_REQUEST
        for number in FAULTY_REQUESTS[: 1 if FLAGS[kind] == "aborted" else 2]
    ]
    faults.append(Fault(kind="wrong_context", model="wrong_context"))
    models["wrong_context"] = _model(SPEEDS[2])
    script = _script(folder, "faulty", models, *faults)
    job = _exact("faults", 512, 256, 6)
    return _stage("faults in single requests", job, {"faulty": script})


def _conditions(folder: Path) -> Stage:
    """Inject faults of whole trials, each on a machine of its own, side by side."""

    def script(name: str, *faults: Fault, **facts: Facts) -> MachineScript:
        return _script(folder, name, {"tiny": _model(SPEEDS[1])}, *faults, **facts)

    braked = _with_clock_reasons(script("braked"), POWER_CAP | POWER_BRAKE)

    thinks = (Fault(kind="thinks_unasked", request=number) for number in (2, 4))
    unplugged, other = ("ac", "ac", "battery"), ("", "", "other:8b")
    machines = {
        "laptop": script("laptop", power_source="battery"),
        "unplugged": script("unplugged", power_source=unplugged),
        "saving": script("saving", power_mode="low", low_power_mode=True),
        "warm": script("warm", thermal_class="heavy"),
        "full": script("full", memory_pressure="warning"),
        "shared": script("shared", resident_models=other),
        "crowded": script("crowded", foreign_gpu_memory_mb=40_000),
        "busy": script("busy", foreign_cpu_percent=60.0),
        "thinking": script("thinking", *thinks),
        "small": _script(folder, "small", {"tiny": _model(SPEEDS[1], cpu_share=0.4)}),
        "braked": braked,
    }
    job = Job(
        name="asks", prompt="why is gold yellow", think=False, requests=4, points=(_SHORT_ANSWER,)
    )
    injected = {
        "laptop": "on_battery",
        "unplugged": "condition_changes",
        "saving": "low_power_mode",
        "warm": "hot_before",
        "full": "memory_runs_short",
        "shared": "another_model",
        "crowded": "another_program",
        "busy": "foreign_load",
        "small": "partly_on_cpu",
        "braked": "power_brake",
    }
    return _stage("conditions of whole trials", job, machines, injected=injected)


_SHORT_ANSWER = Point(output_tokens=128)


def _clean(size: Size, folder: Path) -> Stage:
    job = _exact("clean", 64, 64, size.clean_requests)
    script = _script(folder, "clean", {"tiny": _model(SPEEDS[2])})
    machines = {"clean": _with_clock_reasons(script, POWER_CAP)}
    count = size.clean_requests * size.clean_trials
    says = f"{count:,} clean requests of 64 tokens at {SPEEDS[2]:,} tokens/s"
    return _stage(says, job, machines, repeats=size.clean_trials)


def asleep(folder: Path) -> Stage:
    """Measure in this process, on a clock that says that the machine slept."""
    job = _exact("asleep", 512, 128, 3)
    machines = {"asleep": _script(folder, "asleep", {"tiny": _model(SPEEDS[2])})}
    return _stage("a machine that sleeps", job, machines, injected={"asleep": "asleep"})


def stepped(folder: Path) -> Stage:
    """Measure in this process, on a wall clock that steps."""
    job = _exact("stepped", 512, 128, 3)
    machines = {"stepped": _script(folder, "stepped", {"tiny": _model(SPEEDS[2])})}
    return _stage("a clock that steps", job, machines, injected={"stepped": "clock_steps"})


def _exact(name: str, prompt: int, output: int, requests: int, warmup: int = 1) -> Job:
    point = Point(prompt_tokens=prompt, output_tokens=output)
    return Job(name=name, api="generate", points=(point,), requests=requests, warmup=warmup)


def _model(decode: int, prefill: int = 20_000, cpu_share: float = 0.0) -> ScriptedModel:
    return ScriptedModel(
        prefill_tokens_per_s=prefill,
        decode_tokens_per_s=decode,
        load_s=0.01,
        cpu_share=cpu_share,
    )


def _script(
    folder: Path, name: str, models: Mapping[str, ScriptedModel], *faults: Fault, **facts: Facts
) -> MachineScript:
    """Script a machine of 100 GB/s, where weights of 8 MB allow every speed that is no fault."""
    plain: dict[str, Facts] = {
        "power_source": "ac",
        "memory_bandwidth_gb_s": 100.0,
        "foreign_cpu_percent": 0.0,
    }
    return MachineScript(
        chip="Simulated",
        gpu="Simulated",
        memory_gb=64,
        gpu_memory_mb=65_536,
        models=dict(models),
        faults=faults,
        facts=plain | facts,
        counters="measured",
        written_log=str(log_file(folder, name)),
    )


def _with_clock_reasons(script: MachineScript, event_bits: int) -> MachineScript:
    """Let the driver report for a minute why the clocks of its GPU are not higher."""
    curve = tuple((second / 5, float(event_bits)) for second in range(300))
    return script.model_copy(update={"recorded": {"gpu_clock_event_bits": curve}})


# parameters: an experiment of the self-test, most of them left at their default
def _stage(
    says: str,
    job: Job,
    machines: Mapping[str, MachineScript],
    *,
    repeats: int = 1,
    speeds: Mapping[tuple[str, str], int] | None = None,
    injected: Mapping[str, str] | None = None,
) -> Stage:
    experiment = Experiment(
        version=1,
        name=f"selftest-{job.name}",
        models=tuple(dict.fromkeys(m for script in machines.values() for m in script.models)),
        jobs=(job.name,),
        engine=SimulatedEngine(kind="simulated", machines=dict(machines)),
        settings=Settings(num_ctx=8192),
        repeats=repeats,
        gates="record",
    )
    request = Request(experiment=experiment, jobs=(job,))
    return Stage(says=says, request=request, speeds=speeds or {}, injected=injected or {})
