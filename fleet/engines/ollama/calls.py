"""Calls whose time does not matter: one JSON object, or a stream of them, each with a deadline."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from fleet.engines.incoming import json_of
from fleet.engines.ollama.connection import (
    Patience,
    Watch,
    Wire,
    body_of,
    lines_of,
    open_client,
)
from fleet.engines.ollama.failures import (
    Place,
    error_text,
    failure,
    not_an_ollama,
    translated,
    unreachable,
)
from fleet.errors import EngineUnreachable
from fleet.ports import Clock
from fleet.units import NS_PER_S

OF_A_LINE = 500
"""The status that an error inside a stream stands for: an unknown one may go well next time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `doing` says in words what is tried, for the message where it fails."""

    path: str
    doing: str
    method: str = "GET"
    body: Mapping[str, object] | None = None
    model: str = ""
    """Named in the hint where it is missing; empty: no model is asked for."""
    read_s: float | None = None
    """How long the answer may take; None: as long as what an engine knows at once."""


@dataclass(frozen=True, slots=True)
class Calls:
    """To one Ollama; each opens a connection of its own. Errors are TrialErrors."""

    place: Place
    tls: ssl.SSLContext | None
    clock: Clock
    patience: Patience

    def answer(self, call: Call) -> dict[str, object]:
        """Return the JSON object that the call brings."""
        return self._object(self.body(call), call, httpx.codes.OK)

    def body(self, call: Call) -> bytes:
        """Whatever answers, where it is no error."""
        wire, began_ns = Wire(self.clock), self.clock.monotonic_ns()
        with Watch(wire, threading.Event(), lambda: self._overdue(call, began_ns)) as watch:
            try:
                status, answer = self._fetched(call, wire)
            except EngineUnreachable:
                if not watch.why:
                    raise
            if watch.why:  # a connection that was cut may look like a whole answer
                raise unreachable(self.place, f"{call.doing}: {watch.why}")
        if status != httpx.codes.OK:
            raise failure(status, answer, call.doing, call.model)
        return answer

    def _fetched(self, call: Call, wire: Wire) -> tuple[int, bytes]:
        with (
            translated(self.place),
            self._client(call, wire) as client,
            client.stream(call.method, call.path, json=call.body) as response,
        ):
            return response.status_code, body_of(response)

    def _overdue(self, call: Call, began_ns: int) -> str:
        """Return why the call has lasted long enough, also where its answer drips."""
        longest_s = self.patience.version_s + (call.read_s or self.patience.answer_s)
        lasted_s = (self.clock.monotonic_ns() - began_ns) / NS_PER_S
        return f"no whole answer came within {longest_s:.0f} s" if lasted_s > longest_s else ""

    def lines(self, call: Call, wire: Wire) -> Iterator[dict[str, object]]:
        """Yield the JSON objects of a stream, each as it comes; an error among them is raised."""
        with (
            translated(self.place),
            self._client(call, wire) as client,
            client.stream(call.method, call.path, json=call.body) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise failure(response.status_code, body_of(response), call.doing, call.model)
            for line in lines_of(response):
                yield self._object(line, call, OF_A_LINE)

    def _client(self, call: Call, wire: Wire) -> httpx.Client:
        timeout = self.patience.timeout(call.read_s or self.patience.answer_s)
        return open_client(self.place.base_url, wire, self.tls, timeout)

    def _object(self, answer: bytes, call: Call, status: int) -> dict[str, object]:
        with translated(self.place):
            value = json_of(answer)
        if not isinstance(value, dict):
            what = f"{call.path} answers {error_text(answer)[:80]}"
            raise not_an_ollama(self.place, what)
        if "error" in value:
            raise failure(status, answer, call.doing, call.model)
        return value
