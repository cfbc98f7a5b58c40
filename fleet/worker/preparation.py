"""Make the models of an experiment ready on one machine, before anything is timed."""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from fleet.errors import EngineUnreachable, Interrupted, TrialError
from fleet.model.event import Event, Failed, ModelRefused, Prepared, Said
from fleet.model.machine import ModelFacts
from fleet.worker.bench import Bench


def prepare(models: Sequence[str], bench: Bench) -> Iterator[Event]:
    """Pull the absent models; the last event is Prepared or Failed.

    A model that is refused leaves out its own trials alone, unless it is the only model.
    """
    machine_id = bench.node.machine_id
    ready: list[ModelFacts] = []
    refused: list[ModelRefused] = []
    for model in models:
        try:
            yield from _pull(model, bench, ready)
        except (TrialError, Interrupted) as problem:
            ends_all = isinstance(problem, EngineUnreachable | Interrupted) or len(models) == 1
            if ends_all:
                yield Failed(machine_id=machine_id, what=problem.what, hint=problem.hint)
                return
            refused.append(
                ModelRefused(
                    machine_id=machine_id, model=model, what=problem.what, hint=problem.hint
                )
            )
    yield from refused
    yield Prepared(machine_id=machine_id, models=tuple(ready))


def _pull(model: str, bench: Bench, ready: list[ModelFacts]) -> Iterator[Event]:
    """Pull in a second thread, so that its progress is reported meanwhile."""
    progress: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def pull() -> ModelFacts:
        try:
            return bench.engine().pull(model, progress.put, bench.stop)
        finally:
            progress.put(None)

    with ThreadPoolExecutor(max_workers=1) as pool:
        facts = pool.submit(pull)
        while (text := progress.get()) is not None:
            yield Said(machine_id=bench.node.machine_id, text=text)
        ready.append(facts.result())
