"""A machine: its facts with their sources, three hashes over them, and its engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.model.hours import Hours
from fleet.model.job import Think

FactValue = str | int | float | bool | None

EnergyScope = Literal["gpu_board", "chip_package", "cpu_package", "system", "wall"]
"""The part of a machine whose power is measured; `system` is behind its power supply."""

Drafts = Literal["yes", "no"]
"""Whether a model writes with speculative decoding: a draft head proposes several tokens, and one
step of the model accepts those that are right."""

OVER_NETWORK = "network"
"""The fact `measured_over` of a machine on which fleet does not run; on others there is none."""

FINGERPRINT_RECIPE = 2
"""Which facts enter which hash, see HARDWARE, SOFTWARE, CONDITION. A hash is SHA-256 over the
canonical JSON of the recipe's number and these facts; a fact that a probe cannot read is null in
it, one that no probe reads is absent. History:
1  first recipe (2026-11)
2  hardware: kinds of core by name, PCIe link and kind of board; software: ROCm, firmware of the
   GPU, the engine with its environment; condition: low-power mode, ECC, MIG, power limit,
   display, limits of a container (2026-11)
"""

HARDWARE = frozenset(
    {
        "chip",
        "model",
        "architecture",
        "virtual",
        "cpu_cores",
        "cpu_threads",
        "cpu_core_kinds",
        "memory_gb",
        "gpu",
        "gpu_count",
        "gpu_cores",
        "gpu_memory_mb",
        "gpu_device",
        "gpu_pcie",
    }
)
"""Facts that follow from these are left out (memory bandwidth, by a table that gets better), and
so are those that only root can read (kind and speed of the memory): the user who looks must not
change what a machine is."""

SOFTWARE = frozenset(
    {
        "os",
        "os_version",
        "os_build",
        "kernel",
        "gpu_driver",
        "gpu_vbios",
        "cuda_version",
        "rocm_version",
        "engine",
        "engine_version",
        "engine_environment",
    }
)
"""The version of Metal is left out: it follows from the system, and only a log shows it."""

CONDITION = frozenset(
    {
        "gpu_limit_mb",
        "wired_limit_mb",
        "power_source",
        "power_mode",
        "low_power_mode",
        "thermal_class",
        "memory_pressure",
        "cpu_governor",
        "gpu_ecc",
        "gpu_mig",
        "gpu_power_limit_w",
        "display_attached",
        "container_cpu_limit",
        "container_memory_limit_mb",
    }
)
"""Swap, uptime, boot time and load of others are left out: they are never the same twice."""


FactState = Literal["known", "absent", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One property of a machine; the value None means that a probe looked for it in vain."""

    name: str
    value: FactValue
    source: str
    absent: bool = False
    """The machine has no such thing, and `source` says how that is known. A value None that is not
    absent could not be read or understood."""

    @property
    def state(self) -> FactState:
        """Whether the fact is known, absent or unknown."""
        if self.value is not None:
            return "known"
        return "absent" if self.absent else "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """All facts of one look at a machine, and the three hashes over the discrete ones."""

    facts: tuple[Fact, ...]
    hardware_id: str
    software_id: str
    condition_id: str
    recipe: int = FINGERPRINT_RECIPE

    def fact(self, name: str) -> Fact | None:
        """Return the fact of this name; None: no probe of this machine looks for it."""
        return next((fact for fact in self.facts if fact.name == name), None)

    def get(self, name: str) -> FactValue:
        """Return the value of a fact; None: it is not known."""
        fact = self.fact(name)
        return None if fact is None else fact.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What an engine can prove about its answers; the rest is null in the results."""

    exact_counts: bool
    server_clock: bool
    cache_off: bool
    """The engine reports how many prompt tokens came from a cache."""
    placement: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model as one engine holds it."""

    name: str
    digest: str
    size_bytes: int
    architecture: str | None = None
    quantization: str | None = None
    """As the engine names it: `Q4_K_M` of a GGUF file, `nvfp4` of a mix for MLX. No name of one
    format is ever one of the other."""
    model_format: str | None = None
    """`gguf` or `safetensors`, as the engine says."""
    bits_per_weight: float | None = None
    """Over all tensors that write text, with their scales; a draft head does not count."""
    drafts: Drafts | None = None
    """Whether several tokens come of one step; None: not known."""
    parameters: int | None = None
    context_length: int | None = None
    tensors_bytes: int | None = None
    """The bytes of all tensors, if the engine lists them."""
    active_bytes: int | None = None
    """The bytes read for each token: without the embedding table, and only the active experts."""
    default_think: Think | None = None
    """Thinking if a request does not set it: true, or a level; None: it cannot think."""
    other_digests: tuple[str, ...] = ()
    """Other models under the same name: Ollama 0.40 lists a row for each variant."""
    file: str | None = None
    """The path of the weights on that machine, as the engine reports it."""
    unmeasurable: str = ""
    """Why it cannot be measured, such as `runs in the cloud`; empty: no reason is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What is known of an engine."""

    kind: str
    version: str
    proofs: Proofs
    environment: Mapping[str, str] = field(default_factory=dict)
    """The variables of its environment that fleet can read."""
    concurrent: bool = True
    """It accepts several requests at once; the stamps show whether it computes them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRestart:
    """The command that restarts the engine of a machine, and why fleet may not use it."""

    how: str = ""
    """Empty: the engine is fleet's own, or the command is not known."""
    refusal: str = ""
    """Empty: fleet may use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProgram:
    """A program of the engine that the owner of a machine registered under a label."""

    version: str = ""
    """As the program itself says."""
    sha256: str = ""
    """Of its content: two builds can say the same version."""
    refusal: str = ""
    """Why it cannot be started; empty: it can."""


WIRED_LIMIT, ENGINE_ENVIRONMENT = "wired-limit", "engine-environment"
ENGINE_PROGRAM = "engine-program"
"""What a machine's owner lets a trial change: its wired limit, what an engine starts with, and
which program that is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine at this moment."""

    machine_id: str
    name: str
    fingerprint: Fingerprint
    engine: EngineFacts | None
    """None: no engine answers there, and `engine_error` says why."""
    engine_error: str = ""
    wrong_address: bool = False
    """No engine was asked: the address set for it belongs to another machine, or is no address."""
    models: tuple[ModelFacts, ...] = ()
    free_disk_bytes: int | None = None
    settable: Mapping[str, str] = field(default_factory=dict)
    """Why a trial may not change WIRED_LIMIT, ENGINE_ENVIRONMENT or ENGINE_PROGRAM there; empty:
    it may."""
    programs: Mapping[str, EngineProgram] = field(default_factory=dict)
    """The programs that the setting `engine_binary` names there, by label."""
    restart: EngineRestart = EngineRestart(
        refusal="this worker does not say that it can restart it"
    )
    hours: Hours | None = None
    """Trials begin only within these hours of the machine's own clock; None: at any hour."""
    minute_of_day: int = 0
    """The time of the machine's own clock, at this moment."""

    def within_s(self, span_s: float) -> float:
        """Return how many of the next `span_s` seconds trials may begin in."""
        return self.hours.within_s(self.minute_of_day, span_s) if self.hours else span_s

    def model(self, name: str) -> ModelFacts | None:
        """Return the model of this name, in any spelling; None: the machine does not have it."""
        return next((m for m in self.models if same_model(m.name, name)), None)

    def gpu_memory_bytes(self) -> int | None:
        """Return the bytes that the GPU may use: by limit, else memory, else expected limit."""
        for name in GPU_SIZES:
            value = self.fingerprint.get(name)
            if isinstance(value, (int, float)):
                return int(value) * 2**20
        return None


GPU_SIZES = ("gpu_limit_mb", "gpu_usable_mb", "gpu_memory_mb", "gpu_limit_expected_mb")
"""Facts that say how many MiB of memory a GPU may use; the first known fact counts. A GPU that
shares the machine's memory can use what the system sees, which is less than what was sold."""

REGISTRY, LIBRARY, TAG = "registry.ollama.ai", "library", "latest"
"""The parts of a model's name that a short spelling leaves out."""


def full_model_name(name: str) -> str:
    """Return one text for all spellings of a model, as Ollama reads them.

    `Llama3.1`, `llama3.1:latest` and `registry.ollama.ai/library/llama3.1` are one model: capital
    letters do not count, and what is left out is the library of the registry, and the tag latest.
    """
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, tag = name, TAG
    parts = (path.partition("://")[2] or path).rsplit("/", 2)
    host, namespace, model = (*(REGISTRY, LIBRARY)[: 3 - len(parts)], *parts)
    shown = [] if host.lower() == REGISTRY else [host]
    if shown or namespace.lower() != LIBRARY:
        shown.append(namespace)
    return f"{'/'.join([*shown, model])}:{tag}".lower()


def same_model(name: str, other: str) -> bool:
    """Tell whether two spellings name one model."""
    return full_model_name(name) == full_model_name(other)
