"""fleet beside a bare loop on one real Ollama: does it measure the same, and what does it cost?

The bare loop is the smallest honest one: httpx, the same options, a stamp for each line, the rate
from the final record; nothing of fleet.

Speed: fleet's Ollama engine and the bare loop ask the same loaded model in turn, the first of a
pair another each time. The interval of the ratio is a paired t interval over pairs of requests;
pairs are added until it is narrow enough, never until it says what one would like.

Cost: whole trials of both. fleet's is its worker as it runs on every machine, in this process: it
looks at the machine, describes the model, loads, counts, warms up, asks, reads every line and
spools the result durably. The bare one loads, warms up and asks. CPU seconds are of this process
and of the programs it started, the server's are not in them.

The model is tiny in width but real: 16 layers, width 1024, one thread.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import _table
import httpx
from _table import Table

from fleet.clock import SystemClock
from fleet.engines import tiny
from fleet.engines.ollama import Ollama
from fleet.engines.ollama.client import FIXED_OPTIONS
from fleet.model.event import Finished
from fleet.model.experiment import Experiment, OllamaEngine, Request
from fleet.model.job import Job, Point
from fleet.model.measure import Ask
from fleet.model.settings import Settings
from fleet.model.trial import Attempt
from fleet.plan.expand import expand
from fleet.prompts import WORDS
from fleet.stats.ratios import Estimate, paired
from fleet.wiring import WorkerSpec
from fleet.worker import NodeWorker
from tests import ollama_server

MODEL = "tiny-llama-16x1024"
PROMPT_TOKENS = 512
SPEED_TOKENS, TRIAL_TOKENS, REQUESTS = 128, 512, 3
"""A trial asks what a job asks that says nothing of it."""
LEAST_PAIRS, MOST_PAIRS = 20, 200
TRIALS = 3
HALF_WIDTH = 0.02
COST = 1.3
OPTIONS = {
    "num_ctx": 2048,
    "num_batch": 512,
    "num_thread": 1,
    "temperature": 0.0,
    "repeat_penalty": 1.0,
    "seed": 1,
    "draft_num_predict": 0,
}
FIELDS = {"model": MODEL, "truncate": False, "shift": False, "keep_alive": "30m"}


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens per second of one answer."""

    counters: float
    """By the engine's counters."""
    stamps: float
    """By the client's own stamps."""


def fill(table: Table, quick: bool) -> None:
    if ollama_server.find() is None:
        _table.note(ollama_server.WHY_ABSENT)
        return
    with tempfile.TemporaryDirectory(prefix="fleet-bare-loop-") as name:
        folder = Path(name)
        with ollama_server.real_ollama(folder, models={}) as server:
            server.create(MODEL, tiny.make("llama", folder, layers=16, width=1024))
            speed(table, server.base_url, LEAST_PAIRS if quick else MOST_PAIRS)
            cost(table, server.base_url, folder, 1 if quick else TRIALS)


def speed(table: Table, url: str, most: int) -> None:
    pairs = measured(url, most)
    for what in ("counters", "stamps"):
        found = _ratio(pairs, what)
        told = f"{found.ratio:.4f} x, {found.low:.4f} to {found.high:.4f}, {len(pairs)} pairs"
        holds = found.low <= 1 <= found.high and found.half_width <= HALF_WIDTH
        goal = f"interval holds 1, half-width <= {HALF_WIDTH:.0%}"
        table.holds(f"decode by {what}: fleet over bare", goal, told, holds)
        for place, side in enumerate(("fleet", "bare")):
            rate = statistics.median(getattr(pair[place], what) for pair in pairs)
            table.beside(f"decode by {what}: {side}", rate, "tokens/s")


def measured(url: str, most: int) -> list[tuple[Rates, Rates]]:
    """Pairs of fleet and bare, until the ratio is known well enough."""
    engine, pairs = Ollama(url, clock=SystemClock()), list[tuple[Rates, Rates]]()
    with _client(url) as client:
        client.post("/api/generate", json={**FIELDS, "options": OPTIONS})
        while len(pairs) < most:
            if len(pairs) % 2:
                bare, fleet = bare_request(client, SPEED_TOKENS), fleet_request(engine)
            else:
                fleet, bare = fleet_request(engine), bare_request(client, SPEED_TOKENS)
            pairs.append((fleet, bare))
            if len(pairs) >= LEAST_PAIRS and not len(pairs) % 10:
                found = _ratio(pairs, "counters")
                _table.note(f"{len(pairs)} pairs: {found.ratio:.4f} +/- {found.half_width:.2%}")
                if found.half_width <= HALF_WIDTH:
                    break
    engine.unload(MODEL)  # fleet measures beside no model of anybody else
    return pairs


def _ratio(pairs: list[tuple[Rates, Rates]], what: str) -> Estimate:
    fleet, bare = ([getattr(pair[place], what) for pair in pairs] for place in (0, 1))
    found = paired(bare, fleet)
    assert found is not None
    return found


def fleet_request(engine: Ollama) -> Rates:
    options = {name: value for name, value in OPTIONS.items() if name not in FIXED_OPTIONS}
    asked = Ask(
        model=MODEL,
        api="generate",
        prompt=_prompt(),
        options={**options, "num_predict": SPEED_TOKENS},
    )
    reply = engine.ask(asked, threading.Event())
    if (reply.prompt_tokens, reply.output_tokens) != (PROMPT_TOKENS, SPEED_TOKENS):
        raise RuntimeError(f"not what was asked: {reply.error or reply}")
    stamps_ns = reply.last_chunk_ns - reply.first_chunk_ns
    return Rates(_rate(reply.output_tokens, reply.output_ns), _rate(reply.chunks, stamps_ns))


def bare_request(client: httpx.Client, tokens: int) -> Rates:
    options = {**OPTIONS, "num_predict": tokens}
    body = {**FIELDS, "prompt": _prompt(), "raw": True, "options": options}
    arrived, lines = [], []
    with client.stream("POST", "/api/generate", json=body) as response:
        for line in response.iter_lines():
            arrived.append(time.monotonic_ns())
            lines.append(line)
    final = json.loads(lines[-1])
    if (final["prompt_eval_count"], final["eval_count"]) != (PROMPT_TOKENS, tokens):
        raise RuntimeError(f"not what was asked: {lines[-1]}")
    by_stamps = _rate(len(lines) - 1, arrived[-2] - arrived[0])
    return Rates(_rate(tokens, final["eval_duration"]), by_stamps)


def cost(table: Table, url: str, folder: Path, trials: int) -> None:
    with closing(_worker(url, folder)) as worker:
        attempts = _attempts(worker, trials + 1)
        sides = {
            "fleet": lambda: _fleet_trial(worker, next(attempts)),
            "bare": lambda: _bare_trial(url),
        }
        for side in sides.values():
            side()  # the first of each pays for imports
        _table.note(f"{trials} trials of each ...")
        spent = [{name: _cpu_s_of(side) for name, side in sides.items()} for _ in range(trials)]
    ratio = statistics.median(each["fleet"] / each["bare"] for each in spent)
    table.at_most("CPU seconds per trial: fleet over bare", COST, ratio, "x")
    for name in sides:
        table.beside(f"CPU seconds per trial: {name}", _middle(each[name] for each in spent), "s")


def _fleet_trial(worker: NodeWorker, attempt: Attempt) -> None:
    results = [e.result for e in worker.run([attempt]) if isinstance(e, Finished)]
    worker.acknowledge(attempt.attempt_id)
    (result,) = results
    if result.outcome != "ok":
        raise RuntimeError(f"{result.reason}: {result.detail}")


def _bare_trial(url: str) -> None:
    """As anyone would write it: one connection kept, no proxies, only the last line parsed."""
    with _client(url) as client:
        client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        client.post("/api/generate", json={**FIELDS, "options": OPTIONS})
        for _ in range(1 + REQUESTS):
            bare_request(client, TRIAL_TOKENS)
        client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=600)


def _prompt() -> str:
    """Of one length, and unknown to any cache."""
    return "".join(f" {word}" for word in random.choices(WORDS, k=PROMPT_TOKENS - 1))


def _rate(tokens: int, duration_ns: int) -> float:
    return (tokens - 1) * 1e9 / duration_ns


def _cpu_s_of(work: Callable[[], None]) -> float:
    before_s = _cpu_s()
    work()
    return _cpu_s() - before_s


def _middle(values: Iterator[float]) -> float:
    return statistics.median(values)


def _worker(url: str, folder: Path) -> NodeWorker:
    engine = OllamaEngine(kind="ollama", host=url)
    return NodeWorker(WorkerSpec(engine=engine, name="here", state=str(folder / "state")))


def _attempts(worker: NodeWorker, trials: int) -> Iterator[Attempt]:
    """One trial after the other: each is another block, so each has words of its own."""
    settings = Settings(**{k: OPTIONS[k] for k in OPTIONS if k in Settings.model_fields})
    job = Job(
        name="bare-loop",
        api="generate",
        points=(Point(prompt_tokens=PROMPT_TOKENS, output_tokens=TRIAL_TOKENS),),
        requests=REQUESTS,
        warmup=1,
    )
    experiment = Experiment(
        version=1,
        name="bare-loop",
        models=(MODEL,),
        jobs=(job.name,),
        settings=settings,
        repeats=trials,
        gates="record",
    )
    planned = expand(Request(experiment=experiment, jobs=(job,)), [worker.look()])
    return (Attempt(trial=trial, fence=0) for trial in planned.trials())


def _cpu_s() -> float:
    own, started = resource.getrusage(resource.RUSAGE_SELF), os.times()
    return own.ru_utime + own.ru_stime + started.children_user + started.children_system


if __name__ == "__main__":
    _table.run("A bare loop on the same Ollama", fill, __doc__)
