"""Ollama over HTTP, as an engine of fleet.

The official client carries what is not timed (pull, list, ps, delete); httpx carries the rest,
since the official client drops fields, cannot send `shift`, and hands out parsed chunks without
the moment they arrived. No proxies, no retries, no redirects, no call without an end.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from fleet.engines.ollama.connection import Patience, Watch, Wire
from fleet.engines.ollama.failures import error_text, failure, translated, unreachable
from fleet.engines.ollama.models import described, listed, residents
from fleet.engines.ollama.timed import TimedPath
from fleet.errors import EngineBusy, Interrupted, ModelMissing, RequestRefused, TransientError
from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, ModelFacts, Proofs, full_model_name
from fleet.model.measure import Ask, Placement, Reply
from fleet.model.settings import Value
from fleet.ports import Clock, Say, Stop
from fleet.units import NS_PER_S, show_bytes

if TYPE_CHECKING:
    import ollama

KEEP_ALIVE = "30m"
"""Longer than any pause between two requests of a trial; fleet unloads by itself before that."""

FIXED_OPTIONS: dict[str, Value] = {"draft_num_predict": 0}
FIXED_FIELDS: dict[str, object] = {"truncate": False, "shift": False, "keep_alive": KEEP_ALIVE}
"""Sent by `load` and by every request alike: another value in one of them loads the model anew."""

PROOFS = Proofs(exact_counts=True, server_clock=True, cache_off=False, placement=True)

UNLOAD_POLL_S = 0.05
PROCESS_ENDS_S = 0.1
"""A model leaves the list at once; its process lives some 50 ms more."""

NEVER = threading.Event()
"""A stop that nobody sets."""


class Ollama:
    """One running Ollama; several threads may ask at once."""

    def __init__(self, base_url: str, *, clock: Clock, patience: Patience | None = None) -> None:
        self.base_url = base_url.rstrip("/")
        self._clock = clock
        self._patience = patience or Patience()
        self._tls = ssl.create_default_context() if base_url.startswith("https:") else None

    def facts(self) -> EngineFacts:
        version = self._call("GET", "/api/version", doing="asking for its version").get("version")
        return EngineFacts(kind="ollama", version=str(version or "unknown"), proofs=PROOFS)

    def models(self) -> Sequence[ModelFacts]:
        with self._official() as client:
            return [listed(model) for model in client.list().models]

    def describe(self, model: str) -> ModelFacts:
        facts = self._find(model)
        if facts is None:
            raise ModelMissing(f"{model} is not on {self.base_url}", f"ollama pull {model}")
        shown = self._call("POST", "/api/show", {"model": model}, doing=f"describing {model}")
        _refuse_remote(model, shown)
        return described(facts, shown)

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        if self._find(model) is None:
            self._pull(model, say, stop)
        return self.describe(model)

    def delete(self, model: str) -> None:
        """Raises ModelMissing where it is not there."""
        with self._official(doing=f"deleting {model}") as client:
            client.delete(model)

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        body = {
            "model": model,
            "stream": False,
            "options": {**options, **FIXED_OPTIONS},
            **FIXED_FIELDS,
        }
        answer = self._call(
            "POST",
            "/api/generate",
            body,
            doing=f"loading {model}",
            read_s=self._patience.load_s,
            model=model,
        )
        _refuse_remote(model, answer)

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        path = TimedPath(self.base_url, self._tls, self._clock, self._patience)
        return path.ask(f"/api/{ask.api}", request_body(ask), ask, stop)

    def placement(self, model: str) -> Placement | None:
        """As Ollama reports it; None if the model is not loaded."""
        loaded = self._loaded(model)
        if loaded is None:
            return None
        return Placement(
            size_bytes=loaded.size, gpu_bytes=loaded.size_vram, context_length=loaded.context_length
        )

    def resident(self) -> Sequence[Resident]:
        """By one plain call, since this is asked before and after each trial."""
        listed = self._call("GET", "/api/ps", doing="asking what is in memory").get("models")
        return residents(listed)

    def unload(self, model: str) -> None:
        was_loaded = self._loaded(model) is not None
        body = {"model": model, "keep_alive": 0, "stream": False}
        try:
            self._call("POST", "/api/generate", body, doing=f"unloading {model}", model=model)
        except ModelMissing:
            return
        deadline_ns = self._clock.monotonic_ns() + int(self._patience.unload_s * NS_PER_S)
        while self._loaded(model) is not None:
            if self._clock.monotonic_ns() > deadline_ns:
                raise EngineBusy(
                    f"{model} is still in memory {self._patience.unload_s:.0f} s after its unload",
                    "ollama ps   shows what holds it",
                )
            self._clock.sleep(UNLOAD_POLL_S, NEVER)
        if was_loaded:
            self._clock.sleep(PROCESS_ENDS_S, NEVER)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def _find(self, model: str) -> ModelFacts | None:
        return next((facts for facts in self.models() if _same(facts.name, model)), None)

    def _loaded(self, model: str) -> ollama.ProcessResponse.Model | None:
        with self._official() as client:
            return next((m for m in client.ps().models if _same(m.model or "", model)), None)

    def _pull(self, model: str, say: Say, stop: Stop) -> None:
        wire = Wire(self._clock)
        last_ns = [self._clock.monotonic_ns()]

        def waited_s() -> float:
            return (self._clock.monotonic_ns() - last_ns[-1]) / NS_PER_S

        doing = f"pulling {model}"
        with Watch(wire, stop, waited_s, self._patience.silence_s) as watch:
            try:
                with self._official(
                    wire, doing=doing, read_s=self._patience.first_byte_s
                ) as client:
                    progress = client.pull(model, stream=True)
                    self._report(doing, progress, say, last_ns)
            except TransientError as problem:
                if stop.is_set():
                    raise Interrupted(f"stopped while {doing}") from problem
                if watch.silent:
                    raise TransientError(
                        f"{doing}: nothing came for {self._patience.silence_s:.0f} s", "try again"
                    ) from problem
                raise

    def _report(
        self,
        doing: str,
        progress: Iterable[ollama.ProgressResponse],
        say: Say,
        last_ns: list[int],
    ) -> None:
        """Says how far it is at most once a second, and needs to hear of success."""
        said_ns: int | None = None
        status = ""
        for step in progress:
            status = step.status or status
            last_ns[0] = self._clock.monotonic_ns()
            if step.total and (said_ns is None or last_ns[0] - said_ns >= NS_PER_S):
                said_ns = last_ns[0]
                percent = 100 * (step.completed or 0) / step.total
                say(f"{doing}: {percent:.0f} % of {show_bytes(step.total)}")
        if status != "success":
            raise TransientError(f"{doing}: it ended after {status!r}, not success", "try again")

    @contextmanager
    def _official(
        self,
        wire: Wire | None = None,
        *,
        doing: str = "listing models",
        read_s: float | None = None,
    ) -> Iterator[ollama.Client]:
        """The official client; its errors leave as errors of fleet."""
        import ollama  # a third of a second, and not needed by who only wants an address

        client = ollama.Client(
            host=self.base_url,
            transport=(wire or Wire(self._clock)).transport(self._tls),
            timeout=self._timeout(read_s),
            trust_env=False,
            follow_redirects=False,
        )
        with client, translated(self.base_url):
            try:
                yield client
            except ollama.ResponseError as problem:
                # an error line in a stream has no status: unknown ones may go well next time
                status = problem.status_code if problem.status_code > 0 else 500
                raise failure(status, str(problem.error), doing) from problem
            except ConnectionError as problem:
                raise unreachable(self.base_url, problem.__context__ or problem) from problem

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        doing: str,
        read_s: float | None = None,
        model: str = "",
    ) -> dict[str, object]:
        """One untimed call; the JSON object it answers with."""
        with (
            translated(self.base_url),
            httpx.Client(
                base_url=self.base_url,
                transport=Wire(self._clock).transport(self._tls),
                timeout=self._timeout(read_s),
                trust_env=False,
            ) as client,
        ):
            response = client.request(method, path, json=body)
            if response.status_code != httpx.codes.OK:
                raise failure(response.status_code, response.content, doing, model)
            answer = response.json()
        if not isinstance(answer, dict):
            raise unreachable(self.base_url, f"{path} answers {error_text(response.content)[:80]}")
        if "error" in answer:
            raise failure(200, response.content, doing, model)
        return answer

    def _timeout(self, read_s: float | None) -> httpx.Timeout:
        return self._patience.timeout(read_s or self._patience.answer_s)


def request_body(ask: Ask) -> dict[str, object]:
    """The request whole: nothing is left to a default of the server or of the model's file."""
    if ask.output_tokens < 1:
        raise RequestRefused(f"num_predict {ask.output_tokens} has no end in Ollama", "at least 1")
    body: dict[str, object] = {
        "model": ask.model,
        "stream": True,
        "options": {**ask.options, **FIXED_OPTIONS},
        **FIXED_FIELDS,
    }
    if ask.api == "generate":  # raw: no template, so nothing that could think
        return {**body, "raw": True, "prompt": ask.prompt}
    if ask.think is not None:
        body["think"] = ask.think
    return {**body, "messages": messages(ask)}


def messages(ask: Ask) -> list[dict[str, str]]:
    """Of a chat: the system message, what was said before, the question."""
    said = [] if ask.system is None else [("system", ask.system)]
    for question, answer in ask.history:
        said += [("user", question), ("assistant", answer)]
    return [{"role": role, "content": text} for role, text in (*said, ("user", ask.prompt))]


def _same(name: str, other: str) -> bool:
    return full_model_name(name) == full_model_name(other)


def _refuse_remote(model: str, answer: Mapping[str, object]) -> None:
    if answer.get("remote_host") or answer.get("remote_model"):
        raise RequestRefused(
            f"{model} runs in the cloud, not on this machine", "name a model that lies on the disk"
        )
