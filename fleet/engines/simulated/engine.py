"""The simulated engine: a scripted server in a process of its own, and the real client on it.

In a process of its own, since a server that writes tokens at their due times in the process that
stamps them would hold the interpreter just when it is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from fleet.engines.ollama import Ollama
from fleet.errors import EngineUnreachable
from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, ModelFacts
from fleet.model.measure import Ask, Placement, Reply
from fleet.model.script import MachineScript
from fleet.model.settings import Value
from fleet.ports import Clock, Say, Stop

END_S = 5.0
POWER_S = 2.0


class Simulated:
    """Starts the server at once; it ends with `close`, and also when this process dies."""

    def __init__(self, script: MachineScript, *, seed: int = 0, clock: Clock) -> None:
        self._script, self._seed, self._clock = script, seed, clock
        self._open()

    def _open(self) -> None:
        self._process = _start(self._script, self._seed)
        self._client: Ollama = Ollama(_url(self._process), clock=self._clock)

    @property
    def base_url(self) -> str:
        return self._client.base_url

    def facts(self) -> EngineFacts:
        return replace(self._client.facts(), kind="simulated")

    def models(self) -> Sequence[ModelFacts]:
        return self._client.models()

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        return self._client.pull(model, say, stop)

    def describe(self, model: str) -> ModelFacts:
        """Where the machine runs faster than life, its bandwidth is that of life: no ceiling."""
        facts = self._client.describe(model)
        return facts if self._script.time_scale == 1 else replace(facts, active_bytes=None)

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        self._client.load(model, options)

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        return self._client.ask(ask, stop)

    def placement(self, model: str) -> Placement | None:
        return self._client.placement(model)

    def resident(self) -> Sequence[Resident]:
        return self._client.resident()

    def unload(self, model: str) -> None:
        self._client.unload(model)

    def power(self) -> tuple[float, float | None]:
        """Return the watts at this moment, and the joules so far if the machine has a counter."""
        document = self._document("GET", "/simulated/power", b"", POWER_S)
        return document["power_w"], document["energy_joules"]

    def begin(self, attempt_id: str) -> None:
        """Let loads from here on draw their noise for this attempt."""
        self._state_document({"attempt": attempt_id})

    def thermal_class(self) -> str | None:
        """Return the thermal class; None without heat in the script, or without an answer."""
        try:
            level = self._state_document().get("thermal_class")
        except EngineUnreachable:
            return None
        return None if level is None else str(level)

    def restart(self) -> None:
        """Start a new server on the same machine: what was pulled is there, and it is as warm."""
        before = self.state()
        self.close()
        self._open()
        self.go_on(before)

    def state(self) -> Mapping[str, object]:
        """Return the state that belongs to the machine and not to this server: see `go_on`."""
        document = self._state_document()
        return {name: document[name] for name in ("present", "heat")}

    def go_on(self, state: Mapping[str, object]) -> None:
        """Take over the state in which another server left the machine."""
        self._state_document(state)

    def close(self) -> None:
        self._client.close()
        _end(self._process)

    def _state_document(self, change: Mapping[str, object] | None = None) -> dict[str, Any]:
        method, body = ("GET", b"") if change is None else ("POST", json.dumps(change).encode())
        try:
            return self._document(method, "/simulated/state", body, END_S)
        except (OSError, HTTPException, ValueError) as problem:
            where = f"the simulated server at {self.base_url}"
            raise EngineUnreachable(f"{where}: {problem}") from problem

    def _document(self, method: str, path: str, body: bytes, timeout_s: float) -> dict[str, Any]:
        """By the standard library: a client of httpx takes 20 ms to be made, before each trial."""
        address = urlsplit(self.base_url)
        server = HTTPConnection(str(address.hostname), address.port, timeout=timeout_s)
        with closing(server):
            server.request(method, path, body, {"Content-Type": "application/json"})
            answer = server.getresponse()
            content = answer.read()
        if answer.status != HTTPStatus.OK:
            raise ValueError(f"status {answer.status}")
        document: dict[str, Any] = json.loads(content)
        return document


def _start(script: MachineScript, seed: int) -> subprocess.Popen[str]:
    """Start the server: the script is its first line, and the open pipe says that we live."""
    argv = [sys.executable, "-m", "fleet.engines.simulated", "-", "--seed", str(seed)]
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for us: the server ends when we have cleared up
    )
    assert process.stdin is not None
    process.stdin.write(script.model_dump_json() + "\n")
    process.stdin.flush()
    return process


def _url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url:
        _end(process)
        raise EngineUnreachable(
            f"the simulated server ended with status {process.returncode} before it listened"
        )
    return url


def _end(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
