"""What telemetry costs at its default cadence: CPU time, stamps, and tokens/s of a real Ollama.

Read are this host's own probes (each second) and, so that power is among it on every machine, the
meter of a simulated server (each 0.2 s, over HTTP: dearer than a driver's call).

CPU time: the sampler's threads as they count it themselves, and the whole process, which does
nothing else, with the sampler and without. Stamps: error of `Ollama.ask` on the simulated engine
with the sampler and without, interleaved. Tokens/s: pairs of equal answers of the real Ollama, one
with the sampler and one without, in random order; pairs are asked until the ratio is known well
enough, or for long enough. A machine on which others work needs more of them.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import _table
import client
from _table import Table

from fleet import folders, wiring
from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama
from fleet.engines.simulated.engine import Simulated
from fleet.model.experiment import OllamaEngine, Telemetry
from fleet.model.measure import Ask, Reading, Reply
from fleet.model.script import MachineScript, ScriptedPower
from fleet.ports import TelemetryProbe
from fleet.stats.ratios import Estimate, half_width, paired
from fleet.telemetry import simulated
from fleet.telemetry.sampler import OWN_COST, Sampler
from tests import builders, ollama_server
from tests.ollama_server import real_ollama

ASKED = Telemetry(idle_s=0)
"""The default, but without a rest before the load."""
TRIAL = builders.trial(telemetry=ASKED)
NEVER = threading.Event()
MOST_PERCENT = 0.5
MOST_HALF_WIDTH = 0.02
ENOUGH_HALF_WIDTH = 0.015
LEAST_PAIRS = 10
MODEL = "tiny-llama"
TOKENS = 512

Telemetered = Callable[[], AbstractContextManager[None]]


def fill(table: Table, quick: bool) -> None:
    with metered_machine() as meter:
        machine = Machine(meter)
        _table.note("the sampler alone ...")
        cpu_time(table, machine, 10.0 if quick else 60.0)
        _table.note("stamps with it and without ...")
        stamps(table, machine, 4 if quick else 12)
        if ollama_server.find() is None:
            table.holds("tokens/s of a real Ollama", "", "no real Ollama here", met=False)
            return
        _table.note("a real Ollama with it and without ...")
        tokens_per_s(table, machine, 60.0 if quick else 900.0)


@contextmanager
def metered_machine() -> Iterator[Simulated]:
    power = ScriptedPower(idle_w=10, prefill_w=60, decode_w=80)
    script = MachineScript(chip="Simulated", memory_gb=64, gpu_memory_mb=65536, power=power)
    with closing(Simulated(script, clock=SystemClock())) as engine:
        yield engine


class Machine:
    """This host with a power meter, as its worker would read it."""

    def __init__(self, meter: Simulated) -> None:
        spec = wiring.WorkerSpec(engine=OllamaEngine(kind="ollama"), state="")
        node = wiring.node(spec, folders.home_folder(None))
        self.readings: list[Reading] = []

        def probes(asked: Telemetry) -> Sequence[TelemetryProbe]:
            return [*node.telemetry(asked), simulated.ScriptedPower(meter.power)]

        self._sampler = Sampler(probes, SystemClock(), NEVER)
        with self.read():  # looks for the probes
            time.sleep(0.5)
        self.readings.clear()

    def read(self) -> AbstractContextManager[None]:
        return self._sampler.sampling(TRIAL, time.monotonic_ns(), self.readings)


def cpu_time(table: Table, machine: Machine, seconds: float) -> None:
    spent = {}
    for name, reading in (("without", nullcontext), ("with", machine.read)):
        before = time.process_time()
        with reading():
            time.sleep(seconds)
        spent[name] = time.process_time() - before
    costs = {r.source: r.value or 0.0 for r in machine.readings if r.metric == OWN_COST}
    sampled = len(machine.readings)
    own = sum(costs.values())
    what = "sampler at its default cadence"
    table.at_most(f"{what}: its threads", MOST_PERCENT, 100 * own / seconds, "% of a core")
    more = 100 * (spent["with"] - spent["without"]) / seconds
    table.at_most(f"{what}: the process with it less without", MOST_PERCENT, more, "% of a core")
    for source, cost in costs.items():
        table.beside(f"{what}: {source}", 100 * cost / seconds, "% of a core")
    table.beside(f"{what}: readings", sampled / seconds, "per second")


def stamps(table: Table, machine: Machine, rounds: int) -> None:
    """Pairs on the simulated engine, which says when it wrote each token."""
    errors: dict[str, list[client.Run]] = {"with": [], "without": []}
    ways: list[tuple[str, Telemetered]] = [("with", machine.read), ("without", nullcontext)]
    with client.server() as url:
        for number in range(rounds):
            for name, reading in ways[:: 1 if number % 2 else -1]:
                with reading():
                    run = client.fleet_client(url, client.ask(client.STEADY, 5.0))
                errors[name].append(run)
    for name, runs in errors.items():
        for which, of in (("median", client.Run.median_us), ("p99", client.Run.p99_us)):
            what = f"stamp error at {client.STEADY} tokens/s, {which}, {name} telemetry"
            table.beside(what, statistics.median(map(of, runs)), "us")


def tokens_per_s(table: Table, machine: Machine, longest_s: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="fleet-performance-") as folder,
        real_ollama(Path(folder), {MODEL: "llama"}) as server,
    ):
        engine = Ollama(server.base_url, clock=SystemClock())
        found, seconds = pairs(engine, machine, longest_s)
    if found is None:
        raise RuntimeError("no pairs")
    table.beside("one answer of the real Ollama takes", seconds, "s")
    span = f"{found.ratio:.4f}, {found.low:.4f} to {found.high:.4f} (95 %, {found.n_a} pairs)"
    what = "tokens/s with telemetry over without"
    table.holds(f"{what}: the interval contains 1", "", span, met=found.low <= 1 <= found.high)
    table.at_most(f"{what}: half-width", 100 * MOST_HALF_WIDTH, 100 * found.half_width, "%")


def pairs(engine: Ollama, machine: Machine, longest_s: float) -> tuple[Estimate | None, float]:
    """Stops by the width alone, never by where the interval lies."""
    chance = random.Random(1)
    without: list[float] = []
    with_it: list[float] = []
    for _ in range(3):
        rate(engine)
    end = time.monotonic() + longest_s
    while time.monotonic() < end:
        found: dict[str, float] = {}
        ways: list[tuple[str, Telemetered]] = [("with", machine.read), ("without", nullcontext)]
        chance.shuffle(ways)
        for name, reading in ways:
            with reading():
                found[name] = rate(engine)
        without.append(found["without"])
        with_it.append(found["with"])
        ratios = [b / a for a, b in zip(without, with_it, strict=True)]
        if len(ratios) >= LEAST_PAIRS and half_width(ratios) <= ENOUGH_HALF_WIDTH:
            break
    return paired(without, with_it), TOKENS / statistics.median(without)


def rate(engine: Ollama) -> float:
    """Output tokens per second by the client's own clock."""
    options = {"num_ctx": 2048, "num_thread": 1, "seed": 1, "temperature": 0.0}
    asked = Ask(
        model=MODEL,
        api="generate",
        prompt=" the of and",
        options={**options, "num_predict": TOKENS},
    )
    reply: Reply = engine.ask(asked, NEVER)
    if reply.error or reply.first_chunk_ns is None or reply.output_tokens != TOKENS:
        raise RuntimeError(reply.error or f"{reply.output_tokens} tokens")
    return (TOKENS - 1) / ((reply.ended_ns - reply.first_chunk_ns) / 1e9)


if __name__ == "__main__":
    _table.run("Telemetry", fill, __doc__)
