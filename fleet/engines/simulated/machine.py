"""What the simulated machine knows while it runs: models there, models loaded, its heat."""

from __future__ import annotations

import math
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.engines.simulated.cache import PromptCache
from fleet.engines.simulated.ground_truth import TrueRequest, append
from fleet.engines.simulated.heat import Heat
from fleet.engines.simulated.memory import placed
from fleet.engines.simulated.power import PowerMeter
from fleet.engines.simulated.question import Question, Refusal
from fleet.engines.simulated.residents import Residents
from fleet.engines.simulated.schedule import Speeds
from fleet.model.machine import full_model_name, same_model
from fleet.model.script import Fault, MachineScript, ScriptedModel
from fleet.units import NS_PER_S

WARM_LOAD_NS = 100_000
"""What the real server reports as load time of a loaded model: little, never nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    model: ScriptedModel
    options: tuple[object, ...]
    context: int
    speeds: Speeds


class ScriptedMachine:
    """Used by all threads of the server."""

    def __init__(self, script: MachineScript, seed: int) -> None:
        self.script = script
        self.requests_seen = 0
        """Generation requests; loads and unloads are none."""
        self.faults_done: list[str] = []
        self.meter = None if script.power is None else PowerMeter(script.power)
        self.residents = Residents(script)
        self.heat = Heat(script.throttle, script.time_scale)
        self._seed = seed
        self._attempt = ""
        self._models = {
            full_model_name(name): placed(model, script.gpu_memory_mb)
            for name, model in script.models.items()
        }
        self._present = {name for name, model in self._models.items() if model.present}
        self._loaded: dict[str, Loaded] = {}
        self._loads = 0
        self.cache = PromptCache()
        self._requests_of: Counter[str] = Counter()
        self._written: list[TrueRequest] = []
        self._lock = threading.Lock()
        self._slots = {name: threading.Lock() for name in self._models}

    def begin(self, attempt_id: str) -> None:
        """Let the loads from here on draw their noise for this attempt."""
        with self._lock:
            self._attempt, self._loads = attempt_id, 0

    def present(self) -> list[str]:
        with self._lock:
            return sorted(self._present)

    def models(self) -> Mapping[str, ScriptedModel]:
        """Those that are there."""
        with self._lock:
            return {name: self._models[name] for name in self._models if name in self._present}

    def loaded(self) -> Mapping[str, Loaded]:
        with self._lock:
            return dict(self._loaded)

    def find(self, name: str) -> ScriptedModel:
        model = self.models().get(full_model_name(name))
        if model is None:
            raise Refusal(404, f"model '{name}' not found")
        return model

    def known(self, name: str) -> ScriptedModel | None:
        """Also where it is not there yet, and can be pulled."""
        return self._models.get(full_model_name(name))

    def add(self, name: str) -> None:
        with self._lock:
            self._present.add(full_model_name(name))

    def delete(self, name: str) -> None:
        self.find(name)
        self.unload(name)
        with self._lock:
            self._present.discard(full_model_name(name))

    def count_request(self, model: str) -> tuple[int, frozenset[str]]:
        """Return this request's number since the server began, and the faults that it meets."""
        name = full_model_name(model)
        with self._lock:
            number, of_model = self.requests_seen, self._requests_of[name]
            self.requests_seen += 1
            self._requests_of[name] += 1
        return number, frozenset(
            fault.kind
            for fault in self.script.faults
            if _concerns(fault, model)
            and fault.request in (None, number if fault.model is None else of_model)
        )

    def keep(self, written: TrueRequest) -> None:
        if self.script.written_log is not None:
            with self._lock:
                self._written.append(written)

    def write_log(self) -> None:
        """Append what was kept; doing so after each answer would delay its end for the client."""
        with self._lock:
            kept, self._written = self._written, []
            if self.script.written_log is not None and kept:
                append(Path(self.script.written_log), kept)

    def fault_done(self, kind: str) -> None:
        with self._lock:
            self.faults_done.append(kind)

    @contextmanager
    def slot(self, name: str) -> Iterator[None]:
        """Hold the model, which answers one request at a time; others wait here."""
        with self._slots[full_model_name(name)]:
            yield

    def load(self, question: Question) -> tuple[Loaded, int]:
        """Return the loaded model, and the real time its load takes; other options load anew."""
        name = full_model_name(question.model)
        model = self.find(question.model)
        with self._lock:
            loaded = self._loaded.get(name)
            if loaded is not None and (model.on_mlx or loaded.options == question.load_options):
                return loaded, WARM_LOAD_NS
            loaded = Loaded(
                model=model,
                options=question.load_options,
                context=self._context(question),
                speeds=Speeds.of(model, factor=self._factor(), time_scale=self.script.time_scale),
            )
            self._loaded[name] = loaded
            self._loads += 1
            self.cache.forget(name)
        return loaded, max(round(model.load_s * self.script.time_scale * NS_PER_S), WARM_LOAD_NS)

    def unload(self, name: str) -> None:
        with self._lock:
            self._loaded.pop(full_model_name(name), None)
            self.residents.take_out(name)
            self.cache.forget(name)
        self.write_log()

    def _context(self, question: Question) -> int:
        """In force once loaded: what was asked, unless the script says otherwise."""
        wrong = any(
            fault.kind == "wrong_context" and _concerns(fault, question.model)
            for fault in self.script.faults
        )
        return question.context // 2 if wrong else question.context

    def _factor(self) -> float:
        return drawn_factor(self.script.noise_percent, self._seed, self._attempt, self._loads)


def drawn_factor(noise_percent: float, seed: int, attempt_id: str, load: int) -> float:
    """Log-normal around 1; another for each load of each attempt, whoever started the server.

    The attempt's id is part of it, since every server starts to count its loads at 0: without it
    the first trial after each start, on every machine, would be as fast as every other first one.
    """
    chance = random.Random(f"{seed}/{attempt_id}/{load}")
    return math.exp(chance.gauss(0, noise_percent / 100))


def _concerns(fault: Fault, model: str) -> bool:
    return fault.model is None or same_model(fault.model, model)
