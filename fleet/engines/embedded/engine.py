"""The embedded engine: xllamacpp's Server object, driven by calls, not over its socket."""

from __future__ import annotations

import gc
import importlib.metadata
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fleet.engines.embedded.files import THINKING_ARCHITECTURES, ModelFiles
from fleet.engines.embedded.stream import Arrivals, Chunk, read_reply, refused
from fleet.engines.ollama.client import messages
from fleet.errors import EngineUnreachable, Interrupted, RequestRefused
from fleet.installation import add_extra, optional
from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, ModelFacts, Proofs
from fleet.model.measure import Ask, Placement, Reply
from fleet.model.settings import Value
from fleet.ports import Clock, Say, Stop

PROOFS = Proofs(exact_counts=True, server_clock=False, cache_off=True, placement=False)
"""Durations and counts are llama.cpp's own; a wall clock of its own it does not show."""

LOAD_DEFAULTS: Mapping[str, Value] = {"num_ctx": 4096, "num_batch": 512, "num_thread": 1}
LOAD_OPTIONS = frozenset({*LOAD_DEFAULTS, "num_gpu"})
REQUEST_OPTIONS: Mapping[str, str] = {
    "num_predict": "n_predict",
    "temperature": "temperature",
    "seed": "seed",
    "repeat_penalty": "repeat_penalty",
}
"""Ollama's name to llama.cpp's."""

ONLY_ERRORS = 1
"""llama.cpp writes its log to the process's standard error, where the user's terminal is. At 1
of its levels (3 by default) what it does is left out, and what goes wrong is still said."""

STOP_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Loaded:
    model: str
    options: Mapping[str, Value]
    server: Any
    architecture: str | None


class Embedded:
    """Models of one folder, at most one of them loaded; one question at a time."""

    def __init__(self, cache: Path, *, clock: Clock) -> None:
        self._files = ModelFiles(cache)
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._asking: threading.Thread | None = None
        self._turn = threading.Lock()

    def facts(self) -> EngineFacts:
        try:
            version = importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            raise EngineUnreachable("xllamacpp is not installed", add_extra("embedded")) from None
        return EngineFacts(kind="embedded", version=version, proofs=PROOFS, concurrent=False)

    def models(self) -> Sequence[ModelFacts]:
        return [self._files.facts(name) for name in self._files.names()]

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        """Make the tiny model where it is absent; others must be there."""
        if stop.is_set():
            raise Interrupted(f"stopped before {model} was made")
        if not self._files.has(model):
            say(f"making {model}")
            self._files.make(model)
        return self._files.facts(model)

    def describe(self, model: str) -> ModelFacts:
        return self._files.facts(model)

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        with self._turn:
            self._load(model, options)

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        if stop.is_set():
            raise Interrupted(f"stopped before {ask.model} was asked")
        objection = self._objection(ask)
        if objection:
            return refused(objection, self._clock.monotonic_ns())
        with self._turn:
            before, asked_ns = self._loaded, self._clock.monotonic_ns()
            loaded = self._load(ask.model, ask.options)
            reply = self._ask(loaded, ask, stop)
        if loaded is before:
            return reply
        return replace(reply, sent_ns=asked_ns, load_ns=reply.sent_ns - asked_ns)

    def placement(self, model: str) -> Placement | None:
        return None

    def resident(self) -> Sequence[Resident]:
        """Nobody else can use this one."""
        return ()

    def unload(self, model: str) -> None:
        with self._turn:
            if self._loaded is not None and self._loaded.model == model:
                self._free()

    def close(self) -> None:
        with self._turn:
            self._free()

    def _load(self, model: str, options: Mapping[str, Value]) -> _Loaded:
        """Return the model with these load options: as it is, or loaded anew."""
        wanted = {**LOAD_DEFAULTS, **{k: v for k, v in options.items() if k in LOAD_OPTIONS}}
        if self._loaded and (self._loaded.model, self._loaded.options) == (model, wanted):
            return self._loaded
        self._free()
        facts = self._files.facts(model)
        server = _server(self._files.path(model), wanted)
        self._loaded = _Loaded(model, wanted, server, facts.architecture)
        return self._loaded

    def _free(self) -> None:
        """Drop the model; its threads end with the last reference, never under a running answer."""
        if self._asking is not None:
            self._asking.join()
            self._asking = None
        self._loaded = None
        gc.collect()

    def _ask(self, loaded: _Loaded, ask: Ask, stop: Stop) -> Reply:
        """Ask in a thread of its own.

        While llama.cpp evaluates a large batch it does not call back, and the caller must notice
        `stop` before that.
        """
        arrivals = Arrivals(self._clock.monotonic_ns, stop)
        body, put = _body(ask), _entry(loaded.server, ask)
        if self._asking is not None:
            self._asking.join()  # an interrupted one may still evaluate its last batch
        sent_ns = self._clock.monotonic_ns()
        self._asking = threading.Thread(target=_put, args=(put, body, arrivals), name="embedded")
        self._asking.start()
        while self._asking.is_alive() and not stop.is_set():
            self._asking.join(STOP_POLL_S)
        ended_ns = self._clock.monotonic_ns()
        if stop.is_set():
            raise Interrupted(f"stopped while {ask.model} was asked")
        if arrivals.kept.problem is not None:
            raise arrivals.kept.problem
        return read_reply(arrivals, sent_ns=sent_ns, ended_ns=ended_ns, keep_text=ask.keep_text)

    def _objection(self, ask: Ask) -> str | None:
        """Return why this engine cannot answer the request; None if it can."""
        unknown = sorted(set(ask.options) - LOAD_OPTIONS - set(REQUEST_OPTIONS))
        if unknown:
            return f"the embedded engine knows no option {', '.join(unknown)}"
        if ask.output_tokens < 1:
            return f"num_predict must be at least 1, not {ask.output_tokens}"
        if ask.api == "generate" and ask.system is not None:
            return "a raw prompt has no system message"
        thinks = self._files.facts(ask.model).architecture in THINKING_ARCHITECTURES
        if ask.think and not (ask.api == "chat" and thinks):
            return f'"{ask.model}" does not support thinking'
        return None


def _put(put: Callable[..., None], body: Mapping[str, object], arrivals: Arrivals) -> None:
    with arrivals.kept:
        put(body, arrivals.take)


def _entry(
    server: Any, ask: Ask
) -> Callable[[Mapping[str, object], Callable[[Chunk], bool]], None]:
    chat = ask.api == "chat"
    entry: Callable[..., None] = (
        server.handle_chat_completions if chat else server.handle_completions
    )
    return entry


def _body(ask: Ask) -> dict[str, object]:
    """Build the request; a raw prompt gets what the tokenizer adds, BOS or nothing."""
    options = {REQUEST_OPTIONS[k]: v for k, v in ask.options.items() if k in REQUEST_OPTIONS}
    body: dict[str, object] = {
        **options,
        "stream": True,
        "cache_prompt": ask.reuse,
        "ignore_eos": True,
        # a call back after each batch of the prompt, which is where it can be stopped
        "return_progress": True,
    }
    if ask.api == "generate":
        return {**body, "prompt": ask.prompt}
    body["messages"] = messages(ask)
    if isinstance(ask.think, str):
        body["chat_template_kwargs"] = {"reasoning_effort": ask.think}
    return body


def _server(path: Path, options: Mapping[str, Value]) -> Any:
    xllamacpp = optional("xllamacpp", "the embedded engine", "embedded")  # 50 MB of native code
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = int(options["num_ctx"])
    params.n_batch = params.n_ubatch = int(options["num_batch"])
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(options["num_thread"])
    if "num_gpu" in options:
        params.n_gpu_layers = int(options["num_gpu"])
    params.n_parallel = 1
    params.warmup = False
    params.cache_ram_mib = 0
    params.verbosity = ONLY_ERRORS
    params.endpoint_metrics = True
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as problem:
        raise RequestRefused(
            f"llama.cpp cannot load {path} with {dict(options)}: {problem}", ""
        ) from problem
    # Answered by the server's loop, so it runs now: one freed before it runs waits forever.
    server.handle_metrics()
    return server
