"""A machine script: data that describe everything a simulated machine does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fleet.model.machine import EnergyScope, FactValue
from fleet.model.noun import Noun
from fleet.model.ollama_versions import TELLS_CACHED, version_of


class ScriptedModel(Noun):
    """How one model behaves on a scripted machine."""

    prefill_tokens_per_s: float = Field(gt=0)
    """Speed at which the server evaluates the prompt."""
    decode_tokens_per_s: float = Field(gt=0)
    """Speed at which the server writes the answer."""
    load_s: float = Field(default=0.2, ge=0)
    """Time to load the model."""
    size_bytes: int = Field(default=8_000_000, gt=0)
    """Size of the model's file."""
    cpu_share: float = Field(default=0.0, ge=0, le=1)
    """Part of the model that lies outside GPU memory."""
    answer_tokens: int | None = Field(default=None, ge=1)
    """The answer ends by itself after so many tokens; left out: only at the request's limit."""
    format: Literal["gguf", "safetensors"] = "gguf"
    """safetensors: the model runs on MLX, whose counts and clocks the server then has."""
    quantization: str | None = None
    """As the server names it; left out: one of the format."""
    tokens_per_round: int = Field(default=1, ge=1, le=64)
    """Of a model for MLX: above 1 it has a draft head, and so many tokens come of one step."""
    present: bool = True
    """False: the model must be pulled first."""
    digest: str | None = None
    """Digest to report; left out: one made from the model's name."""

    @property
    def on_mlx(self) -> bool:
        return self.format == "safetensors"


class Fault(Noun):
    """One fault at one request, so that a test can see whether fleet notices it."""

    kind: Literal[
        "die_mid_stream",
        "no_final_record",
        "cached_prefix",
        "cache_lost",
        "short_answer",
        "wrong_prompt_count",
        "slow_last_third",
        "clock_wrong",
        "busy",
        "out_of_memory",
        "refuse",
        "stall",
        "wrong_context",
        "thinks_unasked",
        "too_fast",
    ]
    """What happens."""
    request: int | None = Field(default=None, ge=0)
    """The number of the request since the server began, from 0; left out: every request."""
    model: str | None = None
    """The model whose requests are counted and affected; left out: all models."""


class ScriptedPower(Noun):
    """The watts that a part of a scripted machine draws; loading a model draws idle power."""

    idle_w: float = Field(gt=0)
    prefill_w: float = Field(gt=0)
    decode_w: float = Field(gt=0)
    scope: EnergyScope = "gpu_board"
    """The part of the machine that is measured."""
    counter: bool = True
    """Whether it also counts all energy since its start."""


class ScriptedResident(Noun):
    """A model that somebody else loaded and holds in memory."""

    used_every_s: float | None = Field(default=None, gt=0)
    """Seconds between two uses; left out: nobody uses it."""
    leaves_after_s: float | None = Field(default=None, gt=0)
    """Seconds until it is unloaded; left out: it stays."""


class Throttle(Noun):
    """How a machine gets hot and slows down."""

    after_s: float = Field(gt=0)
    """Scripted seconds of work until it slows down; after as many idle seconds it is cool."""
    to: float = Field(gt=0, lt=1)
    """The share of its speed that is left then."""


class ScriptedProgram(Noun):
    """A program of the engine that the owner of a scripted machine registered."""

    engine_version: str
    """The version that it says."""
    speed: float = Field(default=1.0, gt=0)
    """How fast it writes and reads, as a share of the scripted speeds."""


class MachineScript(Noun):
    """One simulated machine: its facts, its speeds and its faults."""

    os: Literal["linux", "darwin"] = "linux"
    chip: str
    """Name of the chip: `Apple M3 Ultra`, `AMD Ryzen 9 7950X`."""
    gpu: str | None = None
    """Name of the GPU, as its driver reports it."""
    gpu_cores: int | None = Field(default=None, ge=1)
    memory_gb: int = Field(ge=1)
    """Memory of the machine, or of the host of a discrete GPU."""
    gpu_memory_mb: int = Field(ge=1)
    """MiB that the GPU may use: a Mac's default limit, or the memory of the card."""
    wired_limit: bool = False
    """Whether fleet may set the wired limit of a Mac, as after `fleet join --allow wired-limit`."""
    os_version: str = "1.0"
    facts: dict[str, FactValue | Annotated[tuple[FactValue, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """More facts, such as power_source. Each look at the machine shows the next value of a list,
    and in the end its last value: the plan looks once, every trial before and after."""
    engine_version: str = "0.32.15"
    programs: dict[str, ScriptedProgram] = Field(default_factory=dict)
    """The programs that `engine_binary` names, by label, as after `fleet join --allow
    engine-binary LABEL=PATH`."""
    noise_percent: float = Field(default=0.0, ge=0)
    """Standard deviation of a trial's speed around the scripted one, in per cent: each load of
    a model draws one factor, log-normal around 1, for reading and writing alike. Trials draw
    independently, by their attempt's id: the same attempt of the same plan draws the same."""
    throttle: Throttle | None = None
    """How it slows down; left out: never."""
    time_scale: float = Field(default=1.0, gt=0)
    """Real seconds per scripted second; a practice fleet may run faster than life."""
    models: dict[str, ScriptedModel] = Field(default_factory=dict)
    resident: dict[str, ScriptedResident] = Field(default_factory=dict)
    """The models that others hold in memory at the start, and how they use them."""
    faults: tuple[Fault, ...] = ()
    power: ScriptedPower | None = None
    """The power that the machine reports; left out: none."""
    recorded: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """Readings that each trial repeats, as from another machine: by metric, pairs of the seconds
    since the sampling began and the value. Their time is real, whatever the time scale."""
    counters: Literal["scripted", "measured"] = "scripted"
    """The times in the final record: those of the script, which no busy machine disturbs, or those
    that passed, as a real server reports them."""
    written_log: str | None = None
    """A file to which the server appends a line of JSON for each request, with what it wrote and
    when, at each unload and at its end."""

    @property
    def tells_cached(self) -> bool:
        """Its final records say how many tokens of the prompt came from a cache."""
        return (version_of(self.engine_version) or ()) >= TELLS_CACHED

    def running(self, label: str) -> MachineScript:
        """Return the script of this machine while that program runs."""
        program = self.programs[label]
        models = {
            name: model.model_copy(
                update={
                    "prefill_tokens_per_s": model.prefill_tokens_per_s * program.speed,
                    "decode_tokens_per_s": model.decode_tokens_per_s * program.speed,
                }
            )
            for name, model in self.models.items()
        }
        return self.model_copy(update={"engine_version": program.engine_version, "models": models})

    @field_validator("resident")
    @classmethod
    def _of_its_models(
        cls, resident: dict[str, ScriptedResident], info: ValidationInfo
    ) -> dict[str, ScriptedResident]:
        for name in resident:
            if name not in info.data.get("models", {}):
                raise ValueError(f"{name!r} is in memory, but not among the models of the machine")
        return resident
