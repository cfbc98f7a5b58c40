"""What a machine is: facts with their source, three hashes, the engine it runs."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fleet.model.hours import Hours
from fleet.model.job import Think

FactValue = str | int | float | bool | None

EnergyScope = Literal["gpu_board", "chip_package", "cpu_package", "system", "wall"]
"""The part of a machine whose power is read; `system` is behind its power supply."""

FINGERPRINT_RECIPE = 2
"""Which facts enter which hash, see HARDWARE, SOFTWARE, CONDITION. A hash is SHA-256 over the
canonical JSON of the recipe's number and these facts; a fact looked for and not to be had is null
in it, one not looked for is absent. History:
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
"""Left out: what follows from these (memory bandwidth, by a table that gets better), and what only
root can read (kind and speed of the memory): who looks must not change what a machine is."""

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
"""Left out: the version of Metal, which follows from the system and is told only by a log."""

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
"""Left out, since they are never twice the same: swap, uptime, boot time, load of others."""


FactState = Literal["known", "absent", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing true of a machine; `value` None means: looked for, not to be had here."""

    name: str
    value: FactValue
    source: str
    absent: bool = False
    """The machine has no such thing, and `source` says by what that is known. A value None
    without it could not be read, or what was read was not understood."""

    @property
    def state(self) -> FactState:
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
        """None: no probe of this machine looks for it."""
        return next((fact for fact in self.facts if fact.name == name), None)

    def get(self, name: str) -> FactValue:
        fact = self.fact(name)
        return None if fact is None else fact.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proofs:
    """What an engine can prove of its answers; what it cannot prove is null in the results."""

    exact_counts: bool
    server_clock: bool
    cache_off: bool
    """The engine says how many prompt tokens came from a cache."""
    placement: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model as one engine holds it."""

    name: str
    digest: str
    size_bytes: int
    architecture: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    tensors_bytes: int | None = None
    """Exact weight bytes summed over the tensors, where the engine lists them."""
    active_bytes: int | None = None
    """Those read for each token: without the embedding table, and of experts only those used."""
    default_think: Think | None = None
    """Thinking where a request does not say: true, or a level of gpt-oss; None: cannot think."""
    file: str | None = None
    """Where the weights lie on that machine, as the engine says."""
    unmeasurable: str = ""
    """Why it cannot be measured, as in `runs in the cloud`; empty: nothing is known against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    kind: str
    version: str
    proofs: Proofs
    environment: Mapping[str, str] = field(default_factory=dict)
    """Engine environment as found; only what fleet could read."""
    concurrent: bool = True
    """Takes several requests at once; whether it also computes them at once, the stamps tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRestart:
    """What fleet would type to start the engine of a machine anew, and why it may not."""

    how: str = ""
    """Empty: it is fleet's own, or nobody knows."""
    refusal: str = ""
    """Empty: it may."""


WIRED_LIMIT, ENGINE_ENVIRONMENT = "wired-limit", "engine-environment"
"""What a machine's owner lets a trial change: its wired limit, and what an engine starts with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine as found at this moment."""

    machine_id: str
    name: str
    fingerprint: Fingerprint
    engine: EngineFacts | None
    """None: no engine answers there; `engine_error` says why."""
    engine_error: str = ""
    wrong_address: bool = False
    """No engine was asked, since the address set for it there is another machine's, or none."""
    models: tuple[ModelFacts, ...] = ()
    free_disk_bytes: int | None = None
    settable: Mapping[str, str] = field(default_factory=dict)
    """Why a trial may not change WIRED_LIMIT and ENGINE_ENVIRONMENT there; empty: it may."""
    restart: EngineRestart = EngineRestart(
        refusal="this worker does not say that it can restart it"
    )
    hours: Hours | None = None
    """Trials begin only within these, by the machine's own clock; None: at any hour."""
    minute_of_day: int = 0
    """By the machine's own clock, at this moment."""

    def within_s(self, span_s: float) -> float:
        """Seconds of the next `span_s` in which trials may begin."""
        return self.hours.within_s(self.minute_of_day, span_s) if self.hours else span_s

    def model(self, name: str) -> ModelFacts | None:
        return next((m for m in self.models if same_model(m.name, name)), None)

    def gpu_memory_bytes(self) -> int | None:
        """What the GPU may use: the effective limit, else the card's memory, else what is usual."""
        for name in GPU_SIZES:
            value = self.fingerprint.get(name)
            if isinstance(value, (int, float)):
                return int(value) * 2**20
        return None


GPU_SIZES = ("gpu_limit_mb", "gpu_usable_mb", "gpu_memory_mb", "gpu_limit_expected_mb")
"""Facts that say how much memory a GPU may use, in MiB; the first one known counts. A GPU that
shares the machine's memory can use what the system has of it, which is less than was sold."""

REGISTRY, LIBRARY, TAG = "registry.ollama.ai", "library", "latest"
"""What stands for the parts that a model's name leaves out."""


def full_model_name(name: str) -> str:
    """One text for all the spellings of a model, as Ollama reads them.

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
    return full_model_name(name) == full_model_name(other)


_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}


def comparison(text: str | int) -> tuple[str, Callable[[float], bool]]:
    """(`>= 96`, its test) of `>=96`, `<64`, `128`; ValueError if it reads as none of these."""
    match = re.fullmatch(r"\s*(>=|<=|>|<|)\s*(\d+(?:\.\d+)?)\s*", str(text))
    if match is None:
        raise ValueError(f"{text!r} is no comparison like >=96, <64 or 128")
    sign, number = match[1], float(match[2])
    return f"{sign or '='} {match[2]}", lambda value: _OPERATORS[sign](value, number)
