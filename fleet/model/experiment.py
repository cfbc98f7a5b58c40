"""An experiment: models x jobs x settings x machines, how often, and why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fleet.model.job import Job
from fleet.model.machine import comparison
from fleet.model.model_set import Models
from fleet.model.noun import Noun
from fleet.model.script import MachineScript
from fleet.model.settings import Settings


class OllamaEngine(Noun):
    """The Ollama that each machine runs itself."""

    kind: Literal["ollama"]
    host: str | None = None
    """Address on each machine; left out: OLLAMA_HOST there, else 127.0.0.1:11434."""


class EmbeddedEngine(Noun):
    """llama.cpp inside fleet's worker, on tiny generated models; needs the extra `embedded`."""

    kind: Literal["embedded"]


class SimulatedEngine(Noun):
    """A server with Ollama's protocol whose machines, speeds and faults are scripted."""

    kind: Literal["simulated"]
    machines: dict[str, MachineScript] = Field(min_length=1)
    """The scripted machines by name."""


Engine = Annotated[OllamaEngine | EmbeddedEngine | SimulatedEngine, Field(discriminator="kind")]


def _reads_as_comparison(text: str) -> str:
    comparison(text)
    return text


class Selector(Noun):
    """Every clause given must hold."""

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
    """How often each cell is measured: the stop rule looks at the width, never at p."""

    least: int = Field(default=5, ge=1)
    most: int = Field(default=12, ge=1, le=1000)
    half_width_percent: float = Field(default=3.0, gt=0)
    """A contrast is known well enough when its ratio is known this closely."""


class Experiment(Noun):
    """What was asked (`configs/*.yaml`)."""

    version: Literal[1]
    """Version of this file's form."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    why: str = ""
    """What this is to find out; printed, not part of the identity of a trial."""
    models: Models = Field(min_length=1)
    """Model names as the engine knows them, or a family with its sizes and quantizations."""
    jobs: tuple[str, ...] = Field(min_length=1)
    """Names of workloads: files in jobs/."""
    machines: Literal["all"] | tuple[str, ...] | Selector = "all"
    """all, a list of names, or clauses such as {os: darwin, memory_gb: ">=96"}."""
    engine: Engine = Field(default=OllamaEngine(kind="ollama"))
    settings: Settings = Settings()
    repeats: int | Repeats = Repeats()
    """A number of blocks, or least and most with a width to reach."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    baseline: str | None = None
    """The side that others are compared with; left out: the first named."""
    compare_by: str | None = None
    """The axis to compare at the end; left out: the setting, machine or model that varies."""

    def blocks(self) -> Repeats:
        if isinstance(self.repeats, int):
            return Repeats(least=self.repeats, most=self.repeats)
        return self.repeats


class Request(Noun):
    """An experiment with its jobs, whole: what travels to a coordinator."""

    experiment: Experiment
    jobs: tuple[Job, ...]
