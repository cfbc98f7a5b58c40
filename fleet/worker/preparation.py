"""Make the models of an experiment ready on one machine, before anything is timed."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fleet.errors import EngineUnreachable, FleetError, Interrupted, TrialError
from fleet.model.event import Event, Failed, ModelRefused, Prepared, Said
from fleet.model.machine import ModelFacts
from fleet.worker.bench import Bench


class Preparation:
    """The models of one machine on their way to being ready."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._machine_id = bench.node.machine_id
        self._ready: list[ModelFacts] = []

    def events(self, models: Sequence[str]) -> Iterator[Event]:
        """Pull what is absent; end with Prepared, or with Failed if the machine has no work left.

        A model that is refused leaves out its own trials alone.
        """
        refused: list[ModelRefused] = []
        for model in models:
            try:
                yield from self._pull(model)
            except (EngineUnreachable, Interrupted) as problem:
                yield self._failed(problem)
                return
            except TrialError as problem:
                if len(models) == 1:  # without its only model the machine has nothing to do
                    yield self._failed(problem)
                    return
                refused.append(self._refused(model, problem))
        yield from refused
        yield Prepared(machine_id=self._machine_id, models=tuple(self._ready))

    def _pull(self, model: str) -> Iterator[Event]:
        """Pull in a second thread, so that its progress is reported meanwhile."""
        progress: queue.SimpleQueue[str | None] = queue.SimpleQueue()

        def pull() -> ModelFacts:
            try:
                return self._bench.engine().pull(model, progress.put, self._bench.stop)
            finally:
                progress.put(None)

        with ThreadPoolExecutor(max_workers=1) as pool:
            facts = pool.submit(pull)
            while (text := progress.get()) is not None:
                yield Said(machine_id=self._machine_id, text=text)
            self._ready.append(facts.result())

    def _failed(self, problem: FleetError) -> Failed:
        return Failed(machine_id=self._machine_id, what=problem.what, hint=problem.hint)

    def _refused(self, model: str, problem: TrialError) -> ModelRefused:
        return ModelRefused(
            machine_id=self._machine_id, model=model, what=problem.what, hint=problem.hint
        )
