"""An `ollama serve` of fleet's own, for settings that an Ollama has from its start.

It listens on a free port of 127.0.0.1 and reads the owner's models; the owner's Ollama goes on
beside it and is never restarted or reconfigured, and asked to unload only where its owner said so.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet.engines.incoming import LONGEST_MESSAGE, text
from fleet.engines.ollama.client import Ollama
from fleet.engines.ollama.model_files import models_folder
from fleet.engines.ollama.programs import look_at_program, look_at_programs
from fleet.errors import EngineUnreachable, Interrupted, SettingFailed
from fleet.model.gates import Resident
from fleet.model.machine import EngineProgram
from fleet.ports import Clock, OwnEngine, Stop
from fleet.readers.ollama_log import ServeLog, parse_serve_log
from fleet.units import NS_PER_S

PROGRAMS = ("ollama", "/Applications/Ollama.app/Contents/Resources/ollama")
START_S = 120.0
"""The first start of Metal after a boot takes up to 40 s."""
POLL_S = 0.05
ALONE_S = 600.0
"""Ollama unloads what nobody has used for five minutes, where it is not told another time."""
ALONE_POLL_S = 1.0
END_S = 8.0
LOG_STEP_MB = 52
"""Ollama logs its memory with one decimal of a GiB."""

NO_MODELS = "the models of the Ollama here cannot be read: set OLLAMA_MODELS to their folder"

ALWAYS = {
    "OLLAMA_NOPRUNE": "1",  # else it deletes what the owner's Ollama is just pulling
    "OLLAMA_NO_CLOUD": "1",  # else it calls home when it starts
}

WATCHED = """\
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
( read -r _ <&3; kill "$server"; sleep 5; kill -9 "$server" ) 2>/dev/null &
exec 3<&-
wait "$server"
"""
"""Ends the server when standard input ends, so also when the process that holds it is killed."""


def never(model: str) -> bool:
    """Evict no model: what is in memory is the owner's."""
    return False


@dataclass(frozen=True, slots=True)
class OwnServers:
    """One side of ports.EngineHost. `environment` is that of this process; `log` is overwritten.

    A model that the owner uses is waited for: two large ones at once can fill a machine's memory,
    most of all under a raised limit. Where the owner allows it, it is unloaded at once.
    """

    environment: Mapping[str, str]
    log: Path
    clock: Clock
    resident: Callable[[], Sequence[Resident]]
    """Models in the memory of the owner's Ollama."""
    evict: Callable[[str], bool] = never
    """Takes one of them out of it, where the owner allows that; False: it does not."""
    registered: Callable[[], Mapping[str, str]] = dict
    """Paths of the programs that the owner registered, by label."""

    def refusal(self) -> str:
        if self._program() is None:
            return "no program `ollama` is on PATH, so none can be started with other settings"
        return "" if models_folder(self.environment) else NO_MODELS

    def wait_until_free(self, stop: Stop) -> None:
        deadline_ns = self.clock.monotonic_ns() + int(ALONE_S * NS_PER_S)
        while models := self.resident():
            if stop.is_set():
                raise Interrupted(f"stopped while it waited for {models[0].name} to be unloaded")
            if self.clock.monotonic_ns() > deadline_ns:
                name = models[0].name
                raise SettingFailed(
                    f"{name} is still in memory after {ALONE_S / 60:.0f} min: it is in use",
                    f"measure when nobody does, or: ollama stop {name}",
                )
            if not self.evict(models[0].name):
                self.clock.sleep(ALONE_POLL_S, stop)

    def programs(self) -> Mapping[str, EngineProgram]:
        if models_folder(self.environment) is None:
            return dict.fromkeys(self.registered(), EngineProgram(refusal=NO_MODELS))
        return look_at_programs(self.registered())

    def start(
        self, environment: Mapping[str, str], attempt_id: str, stop: Stop, program: str = ""
    ) -> OwnEngine:
        path, models = (
            self._registered(program) if program else self._program(),
            models_folder(self.environment),
        )
        if path is None or models is None:
            raise SettingFailed(NO_MODELS if path else self.refusal(), "")
        port = _free_port()
        process = self._spawn(
            [path, "serve"],
            {
                **self.environment,
                **ALWAYS,
                "OLLAMA_MODELS": str(models),
                **environment,
                "OLLAMA_HOST": f"127.0.0.1:{port}",
            },
        )
        engine = Ollama(f"http://127.0.0.1:{port}", clock=self.clock)
        try:
            self._wait_until_it_answers(engine, process, stop)
            log = self._read_log()
        except BaseException:
            _end(process)
            raise
        limit = _gpu_mb(log)
        return OwnEngine(
            engine=engine,
            environment=log.environment,
            gpu_limit_mb=None if limit is None else round(limit),
            gpu_limit_step_mb=LOG_STEP_MB,
            program=look_at_program(Path(path)) if program else None,
            close=lambda: _end(process),
        )

    def _program(self) -> str | None:
        path = self.environment.get("PATH", os.defpath)
        return next(filter(None, (shutil.which(name, path=path) for name in PROGRAMS)), None)

    def _registered(self, label: str) -> str:
        path = self.registered().get(label)
        if path is None:
            raise SettingFailed(
                f"no Ollama is registered here as {label}",
                f"fleet join --allow engine-binary {label}=PATH",
            )
        return path

    def _spawn(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("wb") as output:
                return subprocess.Popen(
                    ["/bin/sh", "-c", WATCHED, "fleet-watched", *argv],
                    env=dict(environment),
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        except OSError as problem:
            raise SettingFailed(f"{argv[0]} cannot be started: {problem}", "") from problem

    def _wait_until_it_answers(
        self, engine: Ollama, process: subprocess.Popen[bytes], stop: Stop
    ) -> None:
        deadline_ns = self.clock.monotonic_ns() + int(START_S * NS_PER_S)
        while not _answers(engine):
            if stop.is_set():
                raise Interrupted("stopped while an Ollama of its own was started")
            if process.poll() is not None:
                raise SettingFailed(f"an Ollama of its own ended: {self._last_line()}", self._see())
            if self.clock.monotonic_ns() > deadline_ns:
                raise SettingFailed(
                    f"an Ollama of its own did not answer within {START_S:.0f} s", self._see()
                )
            self.clock.sleep(POLL_S, stop)

    def _read_log(self) -> ServeLog:
        try:
            return parse_serve_log(self.log.read_text(errors="replace"))
        except OSError as problem:
            raise SettingFailed(f"{self.log}: {problem.strerror}", "") from problem

    def _last_line(self) -> str:
        with suppress(OSError):
            lines = self.log.read_text(errors="replace").split("\n")
            words = (text(line, LONGEST_MESSAGE) for line in reversed(lines))
            return next(filter(None, words), "it said nothing")
        return "it said nothing"

    def _see(self) -> str:
        return f"see {self.log}"


def _answers(engine: Ollama) -> bool:
    try:
        engine.facts()
    except EngineUnreachable:
        return False
    return True


def _gpu_mb(log: ServeLog) -> float | None:
    """Of all GPUs; None where it says nothing of any, as where it works on the CPU."""
    sizes = [device.total_mb for device in log.devices if device.library != "cpu"]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and all it has started, its runners too."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
