"""fleet beside a bare loop on one real Ollama: does it measure the same, and what does it cost?

The bare loop is the smallest honest one: httpx, the same options, a stamp for each line, the rate
from the final record; nothing of fleet. fleet's side is its worker as it runs on every machine,
in this process: it looks at the machine, describes the model, loads, counts, warms up, asks, reads
every line and spools the result durably. Both load the model anew for each trial and ask the same
requests of the same lengths.

Trials are interleaved in pairs, the first of a pair another each time; the interval of the ratio is
a paired t interval over pairs, and pairs are added until it is narrow enough (never until it says
what one would like). The model is tiny in width but real: 16 layers, width 1024, one thread.
"""

from __future__ import annotations

import json
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import _table
import httpx
from _table import Table

from fleet.compare.estimates import Estimate, paired
from fleet.engines import tiny
from fleet.model.event import Finished
from fleet.model.experiment import Experiment, OllamaEngine, Request
from fleet.model.job import Job, Point
from fleet.model.measure import TrialResult
from fleet.model.settings import Settings
from fleet.model.trial import Attempt
from fleet.plan.expand import expand
from fleet.prompts import WORDS
from fleet.wiring import WorkerSpec
from fleet.worker import NodeWorker
from tests import ollama_server

MODEL = "tiny-llama-16x1024"
PROMPT_TOKENS, OUTPUT_TOKENS, REQUESTS = 512, 128, 3
LEAST_PAIRS, MOST_PAIRS = 8, 60
HALF_WIDTH = 0.02
COST = 1.3
OPTIONS = {
    "num_ctx": 1024,
    "num_batch": 512,
    "num_thread": 1,
    "temperature": 0.0,
    "repeat_penalty": 1.0,
    "seed": 1,
    "draft_num_predict": 0,
}
FIELDS = {"model": MODEL, "truncate": False, "shift": False, "keep_alive": "30m"}


@dataclass(frozen=True, slots=True)
class Trial:
    """Medians over the requests of one trial, and what the trial cost this process."""

    decode: float
    """Tokens per second by the engine's counters."""
    client_decode: float
    """The same by the client's own stamps."""
    cpu_s: float
    """User and system time, programs that were started included."""


Side = Callable[[], Trial]


def fill(table: Table, quick: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="fleet-bare-loop-") as name:
        folder = Path(name)
        with ollama_server.real_ollama(folder, models={}) as server:
            file = tiny.make("llama", folder, layers=16, width=1024)
            server.create(MODEL, file)
            with closing(_worker(server.base_url, folder)) as worker:
                attempts = _attempts(worker)
                sides = {
                    "fleet": lambda: fleet_trial(worker, next(attempts)),
                    "bare": lambda: bare_trial(server.base_url),
                }
                for side in sides.values():
                    side()  # the first of each pays for imports
                pairs = _measured(sides, most=LEAST_PAIRS if quick else MOST_PAIRS)
    _rows(table, pairs)


def _measured(sides: dict[str, Side], most: int) -> list[dict[str, Trial]]:
    names, pairs = list(sides), list[dict[str, Trial]]()
    while len(pairs) < most:
        order = names if len(pairs) % 2 else names[::-1]
        pairs.append({name: sides[name]() for name in order})
        if len(pairs) < 2:
            continue
        found = _ratio(pairs, "decode")
        _table.note(f"{len(pairs)} pairs: {found.ratio:.4f} +/- {found.half_width:.2%}")
        if len(pairs) >= LEAST_PAIRS and found.half_width <= HALF_WIDTH:
            break
    return pairs


def _rows(table: Table, pairs: list[dict[str, Trial]]) -> None:
    for what, of in (("engine's counters", "decode"), ("client's stamps", "client_decode")):
        found = _ratio(pairs, of)
        told = f"{found.ratio:.4f} x, {found.low:.4f} to {found.high:.4f}, {len(pairs)} pairs"
        holds = found.low <= 1 <= found.high and found.half_width <= HALF_WIDTH
        goal = f"interval holds 1, half-width <= {HALF_WIDTH:.0%}"
        table.holds(f"decode by the {what}: fleet over bare", goal, told, holds)
        for side in ("fleet", "bare"):
            rate = statistics.median(getattr(pair[side], of) for pair in pairs)
            table.beside(f"decode by the {what}: {side}", rate, "tokens/s")
    cost = statistics.median(pair["fleet"].cpu_s / pair["bare"].cpu_s for pair in pairs)
    table.at_most("CPU seconds per trial: fleet over bare", COST, cost, "x")
    for side in ("fleet", "bare"):
        seconds = statistics.median(pair[side].cpu_s for pair in pairs)
        table.beside(f"CPU seconds per trial: {side}", seconds, "s")


def _ratio(pairs: list[dict[str, Trial]], of: str) -> Estimate:
    bare = [getattr(pair["bare"], of) for pair in pairs]
    found = paired(bare, [getattr(pair["fleet"], of) for pair in pairs])
    assert found is not None
    return found


def fleet_trial(worker: NodeWorker, attempt: Attempt) -> Trial:
    before_s = _cpu_s()
    results = [e.result for e in worker.run([attempt]) if isinstance(e, Finished)]
    worker.acknowledge(attempt.attempt_id)
    cpu_s = _cpu_s() - before_s
    (result,) = results
    if result.outcome != "ok":
        raise RuntimeError(f"{result.reason}: {result.detail}")
    return Trial(*_rates(result), cpu_s)


def _rates(result: TrialResult) -> tuple[float, float]:
    replies = [r.reply for r in result.requests if not r.warmup and r.output_tokens_asked > 1]
    assert len(replies) == REQUESTS
    assert {r.prompt_tokens for r in replies} == {PROMPT_TOKENS}
    counters = [(r.output_tokens - 1) * 1e9 / r.output_ns for r in replies]
    stamps = [(r.output_tokens - 1) * 1e9 / (r.last_chunk_ns - r.first_chunk_ns) for r in replies]
    return statistics.median(counters), statistics.median(stamps)


def bare_trial(url: str) -> Trial:
    """As anyone would write it: a connection kept, no proxies, only the last line parsed."""
    prompts = [" ".join(random.choices(WORDS, k=PROMPT_TOKENS - 1)) for _ in range(REQUESTS + 1)]
    counters, stamps = [], []
    before_s = _cpu_s()
    with httpx.Client(base_url=url, trust_env=False, timeout=600) as client:
        client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        client.post("/api/generate", json={**FIELDS, "options": OPTIONS})
        for prompt in prompts:
            counted, stamped = _bare_request(client, prompt)
            counters.append(counted)
            stamps.append(stamped)
        client.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
    cpu_s = _cpu_s() - before_s
    return Trial(statistics.median(counters[1:]), statistics.median(stamps[1:]), cpu_s)


def _bare_request(client: httpx.Client, prompt: str) -> tuple[float, float]:
    body = {
        **FIELDS,
        "prompt": " " + prompt,
        "raw": True,
        "options": {**OPTIONS, "num_predict": OUTPUT_TOKENS},
    }
    arrived, lines = [], []
    with client.stream("POST", "/api/generate", json=body) as response:
        for line in response.iter_lines():
            arrived.append(time.monotonic_ns())
            lines.append(line)
    final = json.loads(lines[-1])
    if (final["prompt_eval_count"], final["eval_count"]) != (PROMPT_TOKENS, OUTPUT_TOKENS):
        raise RuntimeError(f"not what was asked: {lines[-1]}")
    seconds = (arrived[-2] - arrived[0]) / 1e9
    return (final["eval_count"] - 1) * 1e9 / final["eval_duration"], (len(lines) - 2) / seconds


def _worker(url: str, folder: Path) -> NodeWorker:
    engine = OllamaEngine(kind="ollama", host=url)
    return NodeWorker(WorkerSpec(engine=engine, name="here", state=str(folder / "state")))


def _attempts(worker: NodeWorker) -> Iterator[Attempt]:
    """One trial after the other: each is another block, so each has words of its own."""
    settings = Settings(**{k: OPTIONS[k] for k in OPTIONS if k in Settings.model_fields})
    job = Job(
        name="bare-loop",
        api="generate",
        points=(Point(prompt_tokens=PROMPT_TOKENS, output_tokens=OUTPUT_TOKENS),),
        requests=REQUESTS,
        warmup=1,
    )
    experiment = Experiment(
        version=1,
        name="bare-loop",
        models=(MODEL,),
        jobs=(job.name,),
        settings=settings,
        repeats=MOST_PAIRS + 1,
    )
    trials = expand(Request(experiment=experiment, jobs=(job,)), [worker.look()]).trials()
    return (Attempt(trial=trial, fence=0) for trial in list(trials))


def _cpu_s() -> float:
    own, started = resource.getrusage(resource.RUSAGE_SELF), os.times()
    return own.ru_utime + own.ru_stime + started.children_user + started.children_system


if __name__ == "__main__":
    _table.run("A bare loop on the same Ollama", fill, __doc__)
