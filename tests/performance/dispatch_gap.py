"""What a machine does between two trials: how long it waits, and how much of its time is lost.

Gap: from the end of one trial (everything restored) to the zero of the next on the same node, as
that node stamped both; the durable write of the result into the spool lies in between. Results
are stored and acknowledged meanwhile, as `fleet submit` does. Busy: the trials' own time over the
machines' time from the first zero to the last end.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import _table
from _table import Table

from fleet.app.home import Home
from fleet.dispatch.access import token_file
from fleet.dispatch.actors import RayDispatcher
from fleet.dispatch.local import LocalDispatcher
from fleet.dispatch.nodes import NodeSlot
from fleet.dispatch.practice import practice_cluster
from fleet.model.event import Event, Failed, Finished, Lost
from fleet.model.experiment import SimulatedEngine
from fleet.model.job import Point
from fleet.model.machine import Machine
from fleet.model.measure import TrialResult
from fleet.model.script import MachineScript, ScriptedModel
from fleet.model.trial import Attempt
from fleet.ports import Dispatcher
from fleet.units import NS_PER_MS
from fleet.wiring import WorkerSpec
from fleet.worker import NodeWorker
from tests import builders

MODEL = "tiny"
PLACES = 8
SHORT_TOKENS = 20
"""A trial of about 0.1 s."""
LONG_TOKENS = 360
"""A trial of about 1 s."""


def fill(table: Table, quick: bool) -> None:
    trials, long_trials = (30, 160) if quick else (60, 1_000)
    with tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder:
        here = Path(folder)
        _table.note(f"{trials} trials in a process of this machine ...")
        with local(names("l", 1), here) as dispatcher:
            gaps(table, "local", measured(dispatcher, trials, SHORT_TOKENS, here / "local"))
        _table.note(f"{trials} trials on each of 2 Ray nodes ...")
        with over_ray(names("r", 2), here) as dispatcher:
            gaps(table, "Ray, 2 nodes", measured(dispatcher, trials, SHORT_TOKENS, here / "ray"))
        _table.note(f"{long_trials} trials over {PLACES} Ray nodes ...")
        with over_ray(names("b", PLACES), here) as dispatcher:
            each = long_trials // PLACES
            busy(table, measured(dispatcher, each, LONG_TOKENS, here / "busy"))


def gaps(table: Table, where: str, results: Sequence[TrialResult]) -> None:
    found = [
        (after.zero_ns - before.zero_ns - before.duration_ns) / NS_PER_MS
        for queue in by_machine(results)
        for before, after in pairwise(queue)
    ]
    seconds = statistics.median(result.duration_ns for result in results) / 1e9
    of_what = f"{len(found)} gaps between trials of {seconds:.2f} s"
    table.at_most(f"dispatch gap, {where}: median of {of_what}", 20, statistics.median(found), "ms")
    table.beside(f"dispatch gap, {where}: p99", _table.percentile(found, 0.99), "ms")


def busy(table: Table, results: Sequence[TrialResult]) -> None:
    machines = by_machine(results)
    worked_ns = sum(result.duration_ns for result in results)
    began_ns = min(result.zero_ns for result in results)
    ended_ns = max(result.zero_ns + result.duration_ns for result in results)
    share = 100 * worked_ns / (len(machines) * (ended_ns - began_ns))
    seconds = statistics.median(result.duration_ns for result in results) / 1e9
    of_what = f"{len(results)} trials of {seconds:.2f} s over {len(machines)} Ray nodes"
    table.at_least(f"busy: {of_what}", 98, share, "%")
    own = statistics.median(
        100
        * sum(r.duration_ns for r in queue)
        / (queue[-1].zero_ns + queue[-1].duration_ns - queue[0].zero_ns)
        for queue in machines
    )
    table.beside("the same, each node from its own first to its own last trial: median", own, "%")


def by_machine(results: Sequence[TrialResult]) -> list[list[TrialResult]]:
    queues: dict[str, list[TrialResult]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.zero_ns):
        queues[result.trial.machine_id].append(result)
    return list(queues.values())


def measured(dispatcher: Dispatcher, each: int, tokens: int, home: Path) -> list[TrialResult]:
    """Every machine measures so many trials; stored first, forgotten on the node second."""
    store, results = Home(home).store, []
    queues = {
        machine.machine_id: [attempt(machine, block, tokens) for block in range(each)]
        for machine in dispatcher.machines()
    }
    for event in dispatcher.run(queues):
        if isinstance(event, Finished):
            store.write(event.result)
            dispatcher.acknowledge(event.machine_id, event.result.attempt_id)
            results.append(event.result)
        else:
            refuse_bad_news(event)
    failed = [result for result in results if result.outcome != "ok"]
    if failed or len(results) != each * len(queues):
        why = failed[0].detail if failed else f"{len(results)} results of {each * len(queues)}"
        raise RuntimeError(f"not every trial went well: {why}")
    return results


def refuse_bad_news(event: Event) -> None:
    if isinstance(event, (Lost, Failed)):
        raise RuntimeError(f"{event.machine_id}: {event.what}")


def attempt(machine: Machine, block: int, tokens: int) -> Attempt:
    job = builders.job(requests=1, warmup=0, points=(Point(output_tokens=tokens),))
    trial = builders.trial(machine=machine.name, model=MODEL, job=job, block=block)
    asked = replace(trial, machine_id=machine.machine_id, engine=engine([machine.name]))
    return Attempt(trial=asked, fence=0)


def engine(machines: Sequence[str]) -> SimulatedEngine:
    model = ScriptedModel(prefill_tokens_per_s=5000, decode_tokens_per_s=400, load_s=0.02)
    script = MachineScript(
        chip="Simulated", memory_gb=64, gpu_memory_mb=65536, models={MODEL: model}
    )
    return SimulatedEngine(kind="simulated", machines=dict.fromkeys(machines, script))


def names(kind: str, count: int) -> list[str]:
    """Of this process alone: the machine lock is by machine."""
    return [f"{kind}{number}-{os.getpid()}" for number in range(count)]


def spec(name: str, folder: Path) -> WorkerSpec:
    return WorkerSpec(engine=engine([name]), name=name, state=str(folder / name))


@contextmanager
def local(machines: Sequence[str], folder: Path) -> Iterator[Dispatcher]:
    with closing(LocalDispatcher({name: spec(name, folder) for name in machines})) as dispatcher:
        yield dispatcher


@contextmanager
def over_ray(machines: Sequence[str], folder: Path) -> Iterator[Dispatcher]:
    def spec_of(slot: NodeSlot) -> WorkerSpec:
        return spec(slot.name, folder)

    state = folder / f"state-{machines[0]}"
    with practice_cluster(machines, state) as head:
        dispatcher = RayDispatcher(
            NodeWorker,
            spec_of,
            address=head.address,
            token_file=token_file(state),
            experiment="performance",
            log=state / "ray.log",
        )
        with closing(dispatcher):
            dispatcher.borrow(dispatcher.joined())
            yield dispatcher


if __name__ == "__main__":
    _table.run("Between two trials", fill, __doc__)
