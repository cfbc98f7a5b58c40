"""A worker without an engine, for tests of what carries work to machines."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import ModelMissing, UserError
from fleet.model.event import Event, Failed, Finished, Prepared, Said, Started
from fleet.model.machine import Fact, Fingerprint, Machine, ModelFacts
from fleet.model.trial import Attempt
from tests import builders


@dataclass(frozen=True)
class Spec:
    """`trial_s`: how long each trial takes; `breaks`: what goes wrong, by name."""

    name: str
    machine_id: str
    trial_s: float = 0.0
    breaks: str = ""


class FakeWorker:
    """One side of dispatch_ports.Worker that waits instead of measuring."""

    def __init__(self, spec: Spec) -> None:
        if spec.breaks == "begin":
            raise UserError(f"no scripted machine is called {spec.name!r}", "name another")
        self._spec = spec
        self._stop = threading.Event()
        self._hang = threading.Event()
        self._again = threading.Event()
        self._looks = 0
        self._dropped: set[str] = set()
        self._acknowledged: list[str] = []

    def look(self) -> Machine:
        if self._spec.breaks == "look":
            raise ModelMissing("the machine would not be looked at")
        if self._spec.breaks.startswith("late"):
            self._look_late()
        facts = tuple(
            Fact(name=name, value=value, source="test")
            for name, value in (
                ("pid", os.getpid()),
                ("nice", os.nice(0)),
                ("threads", os.environ.get("OMP_NUM_THREADS")),
                ("arrow", bool(sys.modules.get("pyarrow"))),
                ("acknowledged", ",".join(self._acknowledged)),
            )
        )
        fingerprint = Fingerprint(facts=facts, hardware_id="h", software_id="s", condition_id="c")
        return Machine(
            machine_id=self._spec.machine_id,
            name=self._spec.name,
            fingerprint=fingerprint,
            engine=None,
        )

    def _look_late(self) -> None:
        """`late once`: the first look ends when a second is asked for. `late always`: none ends."""
        first, self._looks = self._looks == 0, self._looks + 1
        if self._spec.breaks == "late always":
            self._hang.wait()
        if first:
            self._again.wait()
        self._again.set()

    def reserve(self, experiment: str) -> str:
        """Somebody without Ray has the machine while the file that `breaks` names is there."""
        _, held, file = self._spec.breaks.partition("held by ")
        return (
            f"{self._spec.name} is measuring {experiment}" if held and Path(file).exists() else ""
        )

    def release(self) -> None: ...

    def prepare(self, models: Sequence[str]) -> Iterator[Event]:
        yield Said(machine_id=self._spec.machine_id, text="pulling")
        if "absent" in models:
            yield Failed(machine_id=self._spec.machine_id, what="no such model", hint="")
            return
        ready = tuple(ModelFacts(name=name, digest="d", size_bytes=1) for name in models)
        yield Prepared(machine_id=self._spec.machine_id, models=ready)

    def run(self, attempts: Sequence[Attempt]) -> Iterator[Event]:
        for attempt in attempts:
            if self._stop.is_set() or attempt.trial.trial_id in self._dropped:
                continue
            yield Started(machine_id=self._spec.machine_id, attempt=attempt)
            if self._spec.breaks == "run":
                raise UserError("the engine is of another kind", "name another")
            if self._spec.breaks == "hang":
                self._hang.wait()
            self._stop.wait(self._spec.trial_s)
            outcome = "cancelled" if self._stop.is_set() else "ok"
            result = builders.result(attempt, outcome=outcome)
            yield Finished(machine_id=self._spec.machine_id, result=result)

    def drop(self, trial_ids: Sequence[str]) -> None:
        self._dropped.update(trial_ids)

    def acknowledge(self, attempt_id: str) -> None:
        self._acknowledged.append(attempt_id)

    def stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
