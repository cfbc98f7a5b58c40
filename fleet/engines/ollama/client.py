"""Ollama over HTTP, as an engine of fleet.

By httpx and not by the official client, which drops fields, cannot send `shift`, hands out parsed
chunks without the moment they arrived, and makes a connection from the variables of the
environment when it is imported. No proxies, no retries, no redirects, no call without an end.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from fleet.engines.incoming import text
from fleet.engines.ollama.calls import Call, Calls
from fleet.engines.ollama.connection import Patience, tls_of
from fleet.engines.ollama.failures import Place
from fleet.engines.ollama.models import (
    LoadedModel,
    described,
    listed_models,
    loaded_models,
    the_one_shown,
    unmeasurable,
)
from fleet.engines.ollama.pulling import Pull
from fleet.engines.ollama.timed import TimedPath
from fleet.errors import EngineBusy, ModelMissing, RequestRefused
from fleet.model.gates import Resident
from fleet.model.machine import EngineFacts, ModelFacts, Proofs, full_model_name, same_model
from fleet.model.measure import Ask, Placement, Reply
from fleet.model.settings import Value
from fleet.ports import Clock, Say, Stop
from fleet.units import NS_PER_S

KEEP_ALIVE = "30m"
"""Longer than any pause between two requests of a trial; fleet unloads by itself before that."""

FIXED_OPTIONS: dict[str, Value] = {"draft_num_predict": 0}
"""Sent where a trial asks for nothing else: whether a model drafts is never left to a default."""
FIXED_FIELDS: dict[str, object] = {"truncate": False, "shift": False, "keep_alive": KEEP_ALIVE}
"""Sent by `load` and by every request alike: another value in one of them loads the model anew."""

PROOFS = Proofs(exact_counts=True, server_clock=True, cache_off=False, placement=True)

VERSION_S = 10.0
"""It knows its version at once, whatever else it does: one that hangs is not waited for longer."""
UNLOAD_POLL_S = 0.05
PROCESS_ENDS_S = 0.1
"""A model leaves the list at once; its process lives some 50 ms more."""

NEVER = threading.Event()
"""A stop that nobody sets."""


class Ollama:
    """One running Ollama; several threads may ask at once."""

    def __init__(
        self, place: str | Place, *, clock: Clock, patience: Patience | None = None
    ) -> None:
        """Take the base URL of an Ollama on this machine, or the place of any."""
        self._place = Place(place.rstrip("/")) if isinstance(place, str) else place
        self.base_url = self._place.base_url
        self._clock = clock
        self._patience = patience or Patience()
        self._tls = tls_of(self.base_url)
        self._calls = Calls(self._place, self._tls, clock, self._patience)

    def facts(self) -> EngineFacts:
        read_s = min(self._patience.answer_s, VERSION_S)
        call = Call(path="/api/version", doing="asking for its version", read_s=read_s)
        version = text(self._calls.answer(call).get("version"))
        return EngineFacts(kind="ollama", version=version or "unknown", proofs=PROOFS)

    def models(self) -> Sequence[ModelFacts]:
        """Return one model for each name; of several variants the one that is described."""
        call = Call(path="/api/tags", doing="listing models")
        by_name: dict[str, dict[str, ModelFacts]] = {}
        for facts in listed_models(self._calls.answer(call).get("models")):
            by_name.setdefault(full_model_name(facts.name), {})[facts.digest] = facts
        return [self._taken(list(rows.values())) for rows in by_name.values()]

    def describe(self, model: str) -> ModelFacts:
        facts = self._find(model)
        if facts is None:
            raise ModelMissing(f"{model} is not on {self.base_url}", f"ollama pull {model}")
        shown = self._shown(model)
        _refuse(model, facts.unmeasurable or unmeasurable(shown))
        return described(facts, shown)

    def pull(self, model: str, say: Say, stop: Stop) -> ModelFacts:
        if self._find(model) is None:
            Pull(self._calls, model, say).run(stop)
        return self.describe(model)

    def delete(self, model: str) -> None:
        """Delete a model; raises ModelMissing if there is none of that name."""
        body, doing = {"model": model}, f"deleting {model}"
        self._calls.body(Call(method="DELETE", path="/api/delete", body=body, doing=doing))

    def load(self, model: str, options: Mapping[str, Value]) -> None:
        body = {
            "model": model,
            "stream": False,
            "options": {**FIXED_OPTIONS, **options},
            **FIXED_FIELDS,
        }
        call = Call(
            method="POST",
            path="/api/generate",
            body=body,
            doing=f"loading {model}",
            model=model,
            read_s=self._patience.load_s,
        )
        _refuse(model, unmeasurable(self._calls.answer(call)))

    def ask(self, ask: Ask, stop: Stop) -> Reply:
        path = TimedPath(self._place, self._tls, self._clock, self._patience)
        return path.ask(f"/api/{ask.api}", request_body(ask), ask, stop)

    def placement(self, model: str) -> Placement | None:
        """As Ollama reports it; None if the model is not loaded."""
        in_memory = self._loaded(model)
        return None if in_memory is None else in_memory.placement

    def resident(self) -> Sequence[Resident]:
        return [each.resident for each in self._in_memory()]

    def unload(self, model: str) -> None:
        was_loaded = self._loaded(model) is not None
        body = {"model": model, "keep_alive": 0, "stream": False}
        doing = f"unloading {model}"
        call = Call(method="POST", path="/api/generate", body=body, doing=doing, model=model)
        try:
            self._calls.answer(call)
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
        return next((facts for facts in self.models() if same_model(facts.name, model)), None)

    def _taken(self, rows: Sequence[ModelFacts]) -> ModelFacts:
        if len(rows) == 1:
            return rows[0]
        try:
            return the_one_shown(rows, self._shown(rows[0].name))
        except (ModelMissing, RequestRefused):
            return the_one_shown(rows, {})

    def _shown(self, model: str) -> dict[str, object]:
        body = {"model": model, "verbose": True}  # else newer engines list no tensors
        doing = f"describing {model}"
        call = Call(method="POST", path="/api/show", body=body, doing=doing, model=model)
        return self._calls.answer(call)

    def _loaded(self, model: str) -> LoadedModel | None:
        return next((each for each in self._in_memory() if same_model(each.name, model)), None)

    def _in_memory(self) -> list[LoadedModel]:
        call = Call(path="/api/ps", doing="asking what is in memory")
        return loaded_models(self._calls.answer(call).get("models"))


def request_body(ask: Ask) -> dict[str, object]:
    """Build the whole request: nothing is left to a default of the server or the model's file."""
    if ask.output_tokens < 1:
        raise RequestRefused(f"num_predict {ask.output_tokens} has no end in Ollama", "at least 1")
    body: dict[str, object] = {
        "model": ask.model,
        "stream": True,
        "options": {**FIXED_OPTIONS, **ask.options},
        **FIXED_FIELDS,
    }
    if ask.api == "generate":  # raw: no template, so nothing that could think
        return {**body, "raw": True, "prompt": ask.prompt}
    if ask.think is not None:
        body["think"] = ask.think
    return {**body, "messages": messages(ask)}


def messages(ask: Ask) -> list[dict[str, str]]:
    """Of a chat: the system message, what was said before, the question."""
    pairs = [] if ask.system is None else [("system", ask.system)]
    for question, answer in ask.history:
        pairs += [("user", question), ("assistant", answer)]
    return [{"role": role, "content": text} for role, text in (*pairs, ("user", ask.prompt))]


def _refuse(model: str, why: str) -> None:
    if why:
        raise RequestRefused(f"{model} {why}", "name a model that lies on the disk and writes text")
