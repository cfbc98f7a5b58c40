"""An experiment: models x jobs x settings x machines, how often and why they are measured."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from fleet.model.gates import Gates, Policy
from fleet.model.job import Job
from fleet.model.machine import Fingerprint
from fleet.model.model_set import Models
from fleet.model.noun import Label, Name, Noun, Span
from fleet.model.script import MachineScript
from fleet.model.settings import Settings
from fleet.model.size_rule import comparison
from fleet.units import span_s


def _without_password(host: str) -> str:
    """Refuse a password: an experiment is stored and shown in many places."""
    if "@" in host:
        raise ValueError("holds a user or a password, which Ollama does not take: leave it out")
    return host


class OllamaEngine(Noun):
    """The Ollama that each machine runs itself."""

    kind: Literal["ollama"]
    host: Annotated[str, AfterValidator(_without_password)] | None = None
    """Address on each machine; left out: OLLAMA_HOST of the machine, else 127.0.0.1:11434."""
    restart: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Refused since commands run by the word of a machine's owner: fleet join --restart-command.
    Kept so that experiments of before can be read."""


class EmbeddedEngine(Noun):
    """llama.cpp inside fleet's worker, on tiny generated models; needs the extra `embedded`."""

    kind: Literal["embedded"]


class SimulatedEngine(Noun):
    """A server with Ollama's protocol whose machines, speeds and faults are scripted."""

    kind: Literal["simulated"]
    machines: dict[Label, MachineScript] = Field(min_length=1)
    """The scripted machines by name."""


Engine = Annotated[OllamaEngine | EmbeddedEngine | SimulatedEngine, Field(discriminator="kind")]


def _reads_as_comparison(text: str) -> str:
    comparison(text)
    return text


class Selector(Noun):
    """Selects the machines for which every given clause holds."""

    name: str | None = None
    """Name of the machine; `*` stands for any text."""
    os: Literal["darwin", "linux"] | None = None
    chip: str | None = None
    """Part of the chip's name, any case: `M3 Ultra`."""
    gpu: str | None = None
    """Part of the GPU's name, any case: `RTX 4090`."""
    memory_gb: Annotated[str, AfterValidator(_reads_as_comparison)] | int | None = None
    """A number, or a comparison such as `>=96`."""


class Repeats(Noun):
    """How often each cell is measured: the stop rule looks at an interval's width, never at p."""

    least: int = Field(default=5, ge=1)
    most: int = Field(default=12, ge=1, le=1000)
    half_width_percent: float = Field(default=3.0, gt=0)
    """A contrast is known well enough if half the width of its ratio's interval is this small."""


class Telemetry(Noun):
    """How often the sensors of a machine are read while it is measured."""

    power_s: float = Field(default=0.2, ge=0.05, le=60)
    """Seconds between two readings of power and energy."""
    state_s: float = Field(default=1.0, ge=0.05, le=60)
    """Seconds between two readings of load, memory, temperature, clocks."""
    idle_s: float = Field(default=2.0, ge=0, le=600)
    """Seconds of rest before the load, to measure the idle power where power can be read."""
    powermetrics: bool = False
    """On Macs also run `sudo -n powermetrics`, which needs permission."""


ThermalClass = Literal["nominal", "moderate", "heavy", "trapping", "sleeping"]
THERMAL_CLASSES: tuple[ThermalClass, ...] = get_args(ThermalClass)
"""From cool to hot, as macOS names its levels of thermal pressure."""

TEMPERATURES = ("gpu_temperature_c", "cpu_temperature_c")
"""Facts that show how warm a machine is; the warmest counts."""


class CoolDown(Noun):
    """How to wait before each trial, so that it does not inherit the heat of the trial before."""

    below_c: float = Field(default=60.0, gt=0)
    """Degrees Celsius of the warmest sensor, if the machine has one."""
    thermal: ThermalClass = "nominal"
    """Highest thermal pressure that counts as cool, if the machine reports one."""
    at_most: Span = "5m"
    """The longest wait; then the trial begins, and its row says how warm the machine was."""
    rest: Span | None = None
    """The pause on a machine that reports neither; left out: none."""

    @property
    def at_most_s(self) -> float:
        """Seconds of `at_most`."""
        return span_s(self.at_most)

    @property
    def rest_s(self) -> float:
        """Seconds of `rest`."""
        return span_s(self.rest) if self.rest else 0.0

    def tells(self, look: Fingerprint) -> bool:
        """Tell whether this machine reports anything about its heat."""
        return _pressure(look) is not None or warmest_c(look) is not None

    def hot(self, look: Fingerprint) -> str:
        """Return why the machine is not cool: `thermal pressure heavy`; empty: cool, or unknown."""
        pressure, warmest = _pressure(look), warmest_c(look)
        if pressure is not None and pressure > THERMAL_CLASSES.index(self.thermal):
            return f"thermal pressure {THERMAL_CLASSES[pressure]}"
        if warmest is not None and warmest >= self.below_c:
            return f"{warmest:.0f} C, not below {self.below_c:.0f}"
        return ""


def _pressure(look: Fingerprint) -> int | None:
    level = look.get("thermal_class")
    return next((at for at, name in enumerate(THERMAL_CLASSES) if name == level), None)


def warmest_c(look: Fingerprint) -> float | None:
    """Return the degrees Celsius of the warmest sensor; None: no temperature is known."""
    known = [value for name in TEMPERATURES if isinstance(value := look.get(name), (int, float))]
    return max(known, default=None)


LEAST_FOR_CANARIES = 3
"""With one or two blocks, canaries show no drift that the blocks do not show themselves."""


class Experiment(Noun):
    """One experiment (`configs/*.yaml`)."""

    version: Literal[1]
    """Version of this file's form."""
    name: Name
    why: str = ""
    """What the experiment is to find out; printed, not part of the identity of a trial."""
    models: Models = Field(min_length=1)
    """Model names as the engine knows them, or a family with its sizes and quantizations."""
    jobs: tuple[str, ...] = Field(min_length=1)
    """Names of workloads: files in jobs/."""
    machines: Literal["all"] | tuple[Label, ...] | Selector = "all"
    """all, a list of names, or clauses such as {os: darwin, memory_gb: ">=96"}."""
    engine: Engine = Field(default=OllamaEngine(kind="ollama"))
    settings: Settings = Settings()
    below_default: Literal["allow", "refuse"] = "refuse"
    """Whether a wired limit may be below the default of a machine."""
    repeats: int | Repeats = Repeats()
    """A number of blocks, or the least and the most, with a width to reach."""
    telemetry: Literal["off"] | Telemetry = Telemetry()
    """off, or how often load, heat and power are read during a trial."""
    canary: Literal["on", "off"] | None = None
    """The same small trial at the start, between blocks and at the end on each machine, to see
    whether it drifts. Left out: on from 3 repeats on, off for model names on the command line."""
    control: Literal["on", "off"] = "off"
    """In each block measure the baseline cell of each model and job twice more, as an A/A pair: the
    comparison then uses the noise of those hours and shows the ratio of the pair."""
    cool_down: CoolDown | None = None
    """Before each trial wait until the machine is cool; {} uses the default bounds."""
    gates: Policy | Gates = "wait"
    """What to do if a machine is not ready: on battery, hot, busy, another model in memory.
    wait: hold each trial up to 10 minutes, then measure it with a flag; strict: then fail;
    record: only set flags."""
    restart_engine: bool = False
    """Restart the engine before each trial if fleet may: its own engine, or on
    machines that allow it (fleet join --allow restart-ollama)."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    baseline: str | None = None
    """The side that others are compared with; left out: the first side."""
    compare_by: str | None = None
    """The axis to compare at the end; left out: the setting, machine or model that varies."""

    def blocks(self) -> Repeats:
        """Return the least and the most blocks."""
        if isinstance(self.repeats, int):
            return Repeats(least=self.repeats, most=self.repeats)
        return self.repeats

    def gate_rule(self) -> Gates:
        """Return the policy with its details."""
        return Gates(policy=self.gates) if isinstance(self.gates, str) else self.gates


class Request(Noun):
    """An experiment with its jobs, complete, as a coordinator receives it."""

    experiment: Experiment
    jobs: tuple[Job, ...]
    role: Literal["measure", "noise"] = "measure"
    """noise: measure every cell twice in each block, to see how far a machine is from itself."""


def is_quick(request: Request) -> bool:
    """Tell whether answers are cut short: such a first glance supports no conclusion."""
    return any(job.answer_s is not None for job in request.jobs)
