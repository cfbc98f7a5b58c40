"""A machine script: everything the simulated side of one machine does, said in data."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from fleet.model.machine import EnergyScope, FactValue
from fleet.model.noun import Noun

FIRST_TELLS_CACHED = (0, 33, 3)
"""The first version of Ollama whose final records count the cached tokens of a prompt."""


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
    """The answer ends by itself after so many tokens; left out: only where the request says."""
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
    """One thing that goes wrong on purpose, at one request, so that a test can see it noticed."""

    kind: Literal[
        "die_mid_stream",
        "no_final_record",
        "cached_prefix",
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
    """Which generation request since the server began, from 0; left out: each one."""
    model: str | None = None
    """Only for this model, whose own requests are then counted."""


class ScriptedPower(Noun):
    """What a part of a scripted machine draws, in watts; a load draws no more than rest."""

    idle_w: float = Field(gt=0)
    prefill_w: float = Field(gt=0)
    decode_w: float = Field(gt=0)
    scope: EnergyScope = "gpu_board"
    """The part of the machine that is read."""
    counter: bool = True
    """It also has a counter of all energy since it was started."""


class ScriptedResident(Noun):
    """A model that somebody else has loaded, and holds in memory."""

    used_every_s: float | None = Field(default=None, gt=0)
    """Seconds between two uses of it; left out: nobody uses it."""
    leaves_after_s: float | None = Field(default=None, gt=0)
    """Seconds until it goes; left out: it stays."""


class Throttle(Noun):
    """A machine that gets hot: it works at full speed only for so long."""

    after_s: float = Field(gt=0)
    """Scripted seconds of answering until it slows down; as many idle ones, and it is cool."""
    to: float = Field(gt=0, lt=1)
    """Part of its speed that is left then."""


class MachineScript(Noun):
    """One simulated machine: what it says it is, how fast it is, what goes wrong on it."""

    os: Literal["linux", "darwin"] = "linux"
    chip: str
    """Chip as the machine would name it: `Apple M3 Ultra`, `AMD Ryzen 9 7950X`."""
    gpu: str | None = None
    """GPU as its driver would name it."""
    gpu_cores: int | None = Field(default=None, ge=1)
    memory_gb: int = Field(ge=1)
    """Memory of the machine, or of the host of a discrete GPU."""
    gpu_memory_mb: int = Field(ge=1)
    """MiB the GPU may use: a Mac's limit by default, or the card's memory."""
    wired_limit: bool = False
    """Of a Mac: fleet may set its wired limit, as after `fleet join --allow wired-limit`."""
    os_version: str = "1.0"
    facts: dict[str, FactValue | Annotated[tuple[FactValue, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """More facts, such as power_source. A list is told look by look, its last value from then on:
    a machine is looked at once for the plan, then before and after each trial."""
    engine_version: str = "0.32.15"
    noise_percent: float = Field(default=0.0, ge=0)
    """Standard deviation of a trial's speed around the scripted one, in per cent: each load of
    a model draws one factor, log-normal around 1, for reading and writing alike. Trials draw
    independently, by their attempt's id: the same attempt of the same plan draws the same."""
    throttle: Throttle | None = None
    """Left out: it never gets hot."""
    time_scale: float = Field(default=1.0, gt=0)
    """Real seconds per scripted second; a practice fleet may run faster than life."""
    models: dict[str, ScriptedModel] = Field(default_factory=dict)
    resident: dict[str, ScriptedResident] = Field(default_factory=dict)
    """Those of `models` that others hold in memory at the start, and how they use them."""
    faults: tuple[Fault, ...] = ()
    power: ScriptedPower | None = None
    """What the machine draws; left out: it cannot tell."""
    recorded: dict[str, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """Readings told again in each trial, as from another machine: by metric, pairs of the seconds
    since its sampling began and the value. Their time is real, whatever the time scale."""
    counters: Literal["scripted", "measured"] = "scripted"
    """Times in the final record: those of the script, which no busy machine disturbs, or those that
    passed, as a real server tells them; kept from the CPU, it does not catch up then either."""
    written_log: str | None = None
    """File to which the server adds, at each unload and at its end, what it wrote and when: a line
    of JSON for each request."""

    @property
    def tells_cached(self) -> bool:
        """Its final records say how many tokens of the prompt came from a cache."""
        number = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", self.engine_version)
        parts = tuple(int(part or 0) for part in number.groups()) if number else ()
        return parts >= FIRST_TELLS_CACHED

    @field_validator("resident")
    @classmethod
    def _of_its_models(
        cls, resident: dict[str, ScriptedResident], told: ValidationInfo
    ) -> dict[str, ScriptedResident]:
        for name in resident:
            if name not in told.data.get("models", {}):
                raise ValueError(f"{name!r} is in memory, but not among the models of the machine")
        return resident
