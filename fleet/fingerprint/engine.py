"""Facts that the engine tells, or its log and process do: version, environment, its GPU limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fleet.errors import TrialError
from fleet.fingerprint.facts import ask, facts, outside_of
from fleet.fingerprint.run_as import of_these, run_as_fact, servers
from fleet.model.mac_gpu_limit import PRINTED_TO_MB, expected_gpu_limit_mb
from fleet.model.machine import EngineFacts, Fact
from fleet.ports import Commands
from fleet.readers.environment import changes_speed
from fleet.readers.metal import parse_llama_cpp
from fleet.readers.ollama_log import ServeLog, parse_serve_log
from fleet.readers.run_as import RunAs
from fleet.readers.sysctl import parse_sysctl
from fleet.readers.text import whole
from fleet.units import GIB

LOGS = (
    "{home}/.ollama/logs/server.log",
    "/opt/homebrew/var/log/ollama.log",
    "/usr/local/var/log/ollama.log",
)
LIMITS = ("gpu_limit_mb", "engine_gpu_limit_mb")
"""The limit in force, and the same as the engine tells it, which a setting does not change."""
LOG_LINES = (
    "server config|Listening on|inference compute|vram|recommendedMaxWorking|FamilyMetal"
    "|MLX engine initialized|mlx_metal_v|speculative decode stats"
)
OF_MLX = ("mlx_version", "mlx_device", "mlx_library", "draft_acceptance")


class EngineProbe:
    """`engine`: what it tells of itself; raises TrialError where nothing answers."""

    name = "engine"
    tells = frozenset({"engine", "engine_version", "engine_environment"})

    # parameters: each is a port or a fact that wiring knows
    def __init__(
        self,
        commands: Commands,
        engine: Callable[[], EngineFacts],
        *,
        is_its: Callable[[Mapping[str, str]], bool],
        home: Path,
        system: str,
        run_as: Callable[[], RunAs] | None = None,
    ) -> None:
        """`is_its`: whether a process with this environment is the server of this engine.

        `run_as`: how an Ollama is run; None: not asked.
        """
        self._commands, self._engine, self._is_its = commands, engine, is_its
        self._home, self._system, self._run_as = home, system, run_as

    def available(self) -> bool:
        return True

    def collect(self) -> Sequence[Fact]:
        try:
            engine = self._engine()
        except TrialError as problem:
            unknown = dict.fromkeys(("engine", "engine_version", "engine_environment"))
            return facts("engine", unknown, problem.what)
        known = facts("engine", {"engine": engine.kind, "engine_version": engine.version})
        if engine.kind != "ollama":
            return known
        kept = run_as_fact(self._run_as()) if self._run_as else []
        return [*known, *self._ollama(engine), *kept]

    def _ollama(self, engine: EngineFacts) -> list[Fact]:
        if self._system != "darwin":
            return self._environment(engine, ServeLog())
        text = self._log()
        log = parse_serve_log(text)
        if log.version != engine.version:
            why = "no log of the Ollama that answers"
            unknown = dict.fromkeys(("metal_version", *OF_MLX, *LIMITS))
            return [*self._environment(engine, ServeLog()), *facts("Ollama's log", unknown, why)]
        return [*self._environment(engine, log), *self._metal(text, log)]

    def _environment(self, engine: EngineFacts, log: ServeLog) -> list[Fact]:
        """From the engine itself, its process, or its log, whichever can be read."""
        if engine.environment:
            return _shown("engine", engine.environment)
        if (variables := process_environment(self._commands, self._is_its)) is not None:
            return _shown("/proc of ollama serve", variables)
        if log.environment:
            set_ones = {k: v for k, v in log.environment.items() if v not in ("", "0", "false")}
            return _shown("Ollama's log", set_ones)
        why = "neither Ollama's process nor its log can be read by this user"
        return facts("engine", {"engine_environment": None}, why)

    def _log(self) -> str:
        paths = [path.format(home=self._home) for path in LOGS]
        return ask(self._commands, "grep", "-ahsE", LOG_LINES, *paths).text

    def _metal(self, text: str, log: ServeLog) -> list[Fact]:
        values = {"metal_version": parse_llama_cpp(text).metal_version}
        mlx = (log.mlx.version, log.mlx.device, log.mlx.library, log.mlx.draft_acceptance)
        return [
            *facts("Ollama's log", values, "no model loaded yet"),
            *facts("Ollama's log", dict(zip(OF_MLX, mlx, strict=True)), "no model ran on MLX yet"),
            *self._limit(log),
        ]

    def _limit(self, log: ServeLog) -> list[Fact]:
        """Return what Metal gave Ollama when it started, in force until it starts again.

        The log rounds it; a figure that agrees with the usual default is that default. The exact
        one comes with the first model only, and a limit must not change by loading one.
        """
        gpus = [device for device in log.devices if device.library == "metal"]
        totals = [device.total_mb for device in gpus]
        told_mb = next((total for total in reversed(totals) if total), None)
        keys = ("hw.memsize", "kern.osproductversion")
        values = parse_sysctl(ask(self._commands, "sysctl", *keys).text)
        size_bytes = whole(values.get("hw.memsize"))
        usual_mb = expected_gpu_limit_mb(
            round(size_bytes / GIB) if size_bytes else None, values.get("kern.osproductversion")
        )
        if told_mb and usual_mb and abs(told_mb - usual_mb) <= PRINTED_TO_MB:
            source = "the default, as Ollama's log confirms"
            return facts(source, dict.fromkeys(LIMITS, usual_mb))
        rounded = dict.fromkeys(LIMITS, round(told_mb) if told_mb else None)
        outside = outside_of(gpus, dict.fromkeys(LIMITS, "total_mb"))
        return facts("Ollama's log, to 52 MiB", rounded, "it tells no GPU", outside=outside)


def process_environment(
    commands: Commands, is_its: Callable[[Mapping[str, str]], bool]
) -> Mapping[str, str] | None:
    """Variables of the running server; None where there is none, or another user's."""
    server = of_these(servers(commands), is_its)
    return None if server is None else server.environment


def _shown(source: str, environment: Mapping[str, str]) -> list[Fact]:
    kept = sorted((name, value) for name, value in environment.items() if changes_speed(name))
    text = " ".join(f"{name}={value}" for name, value in kept)
    return facts(source, {"engine_environment": text})
