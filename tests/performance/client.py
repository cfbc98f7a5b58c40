"""What the measuring client adds: fleet's `Ollama.ask` beside bare loops, on one server.

All ask the simulated engine, which runs in a process of its own and writes into each line when
it wrote it, on the same monotonic clock that the clients stamp with. The bare loops only receive,
stamp and keep; what they received is read after the clock has stopped. Rounds are interleaved,
each round in another order; ratios are taken within a round, and their median is shown.

Stamp error: arrival as recorded, less the moment that the server wrote down. fleet's arrivals are
rebuilt from what it records: the first chunk's stamp and the gaps.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import accumulate
from unittest import mock
from urllib.parse import urlsplit

import _table
import httpx
from _table import Table

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama, timed
from fleet.engines.ollama.stream import Arrivals, read_reply
from fleet.engines.simulated.engine import Simulated
from fleet.model.measure import Ask, Reply
from fleet.model.script import MachineScript, ScriptedModel
from fleet.units import NS_PER_MS, NS_PER_S, NS_PER_US

STEADY, FAST = 200, 2_000
"""Tokens per second at which stamps, and at which CPU time is compared."""
RATES = (5_000, 10_000, 15_000, 20_000, 30_000, 40_000, 60_000)
LAG_NS = 10 * NS_PER_MS
"""A client that is too slow is late by more at the end of a second; a good one by 0.1 ms."""
WHOLE_RATE = 0.95
"""A server that writes slower than this share of its rate was not asked for that rate."""
NEVER = threading.Event()


@dataclass(frozen=True, slots=True)
class Run:
    """One answer as one client saw it."""

    errors_ns: list[int]
    """Of each chunk with text, in order."""
    written_ns: list[int]
    cpu_ns: int
    """Of the whole process, from before the request to the last byte."""

    def cpu_us_per_chunk(self) -> float:
        return self.cpu_ns / len(self.errors_ns) / NS_PER_US

    def median_us(self) -> float:
        return statistics.median(self.errors_ns) / NS_PER_US

    def p99_us(self) -> float:
        return _table.percentile(self.errors_ns, 0.99) / NS_PER_US

    def late_ns(self) -> float:
        """Over the last fifth: a client that falls behind is latest there."""
        return statistics.median(self.errors_ns[-len(self.errors_ns) // 5 :])

    def rate(self) -> float:
        """Chunks per second as the server wrote them."""
        return (len(self.written_ns) - 1) / (self.written_ns[-1] - self.written_ns[0]) * NS_PER_S


Client = Callable[[str, Ask], Run]


def fill(table: Table, quick: bool) -> None:
    rounds, seconds = (3, 1.0) if quick else (5, 3.0)
    with server() as url:
        for client in CLIENTS.values():
            client(url, ask(FAST, 0.2))
        _table.note(f"{rounds} rounds at {STEADY} tokens/s ...")
        stamps(table, interleaved(url, rounds, ask(STEADY, seconds)))
        _table.note(f"{rounds} rounds at {FAST} tokens/s ...")
        cpu(table, interleaved(url, rounds, ask(FAST, seconds)))
        _table.note("faster and faster ...")
        consumed(table, url, rounds)


def stamps(table: Table, rounds: Sequence[dict[str, Run]]) -> None:
    for name, of in (("median", Run.median_us), ("p99", Run.p99_us)):
        what = f"stamp error at {STEADY} tokens/s, {name}"
        ratio = middle(of(each["fleet"]) / of(each["httpx"]) for each in rounds)
        table.at_most(f"{what}: fleet over bare httpx", 1.25, ratio, "x")
        for client in CLIENTS:
            table.beside(f"{what}: {client}", middle(of(each[client]) for each in rounds), "us")


def cpu(table: Table, rounds: Sequence[dict[str, Run]]) -> None:
    what = f"CPU time per chunk at {FAST:,} tokens/s"
    of = Run.cpu_us_per_chunk
    ratio = middle(of(each["fleet"]) / of(each["httpx"]) for each in rounds)
    table.at_most(f"{what}: fleet over bare httpx", 1.3, ratio, "x")
    for client in CLIENTS:
        table.beside(f"{what}: {client}", middle(of(each[client]) for each in rounds), "us")


def consumed(table: Table, url: str, rounds: int) -> None:
    """The highest rate as really written at which the client is not late at the end."""
    best = 0.0
    for rate in RATES:
        runs = [fleet_client(url, ask(rate, 1.0)) for _ in range(rounds)]
        written, late_ns = middle(run.rate() for run in runs), middle(run.late_ns() for run in runs)
        table.beside(f"{rate:,} chunks/s asked for, written by the server", written, "chunks/s")
        table.beside(
            f"{rate:,} chunks/s asked for, fleet late at the end", late_ns / NS_PER_MS, "ms"
        )
        if late_ns > LAG_NS:
            break
        best = max(best, written)
        if written < WHOLE_RATE * rate:
            break
    table.at_least("chunks/s before fleet lags", 10_000, best, "chunks/s")


def interleaved(url: str, rounds: int, asked: Ask) -> list[dict[str, Run]]:
    """Every client once in each round, the first one another each time."""
    names, found = list(CLIENTS), []
    for number in range(rounds):
        turn = number % len(names)
        found.append({name: CLIENTS[name](url, asked) for name in names[turn:] + names[:turn]})
    return found


def fleet_client(url: str, asked: Ask) -> Run:
    """`Ollama.ask` as it is; what arrived is looked at once more after the reply was made."""
    seen: list[Arrivals] = []

    def read(arrivals: Arrivals, **told: object) -> Reply:
        seen.append(arrivals)
        return read_reply(arrivals, **told)  # type: ignore[arg-type]

    engine = Ollama(url, clock=SystemClock())
    with mock.patch.object(timed, "read_reply", read):
        before_ns = time.process_time_ns()
        reply = engine.ask(asked, NEVER)
        cpu_ns = time.process_time_ns() - before_ns
    engine.close()
    if reply.error or reply.first_chunk_ns is None:
        raise RuntimeError(reply.error or "no answer")
    gaps_ns = [gap * NS_PER_US for gap in reply.chunk_gaps_us]
    arrived = list(accumulate(gaps_ns, initial=reply.first_chunk_ns))
    return run(arrived, [line for _, line in seen[0].lines()], cpu_ns)


def httpx_client(url: str, asked: Ask) -> Run:
    """As fleet: connected before, no proxies, raw pieces."""
    found = Arrivals()
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        client.get("/api/version")
        before_ns = time.process_time_ns()
        with client.stream("POST", "/api/generate", content=body(asked)) as response:
            for piece in response.iter_raw():
                found.stamps.append(time.monotonic_ns())
                found.pieces.append(piece)
        cpu_ns = time.process_time_ns() - before_ns
    return of_lines(found, cpu_ns)


def socket_client(url: str, asked: Ask) -> Run:
    """Nothing between the kernel and the stamp; what HTTP puts around the lines stays in."""
    found, content = Arrivals(), body(asked)
    place = urlsplit(url)
    head = f"POST /api/generate HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n"
    with closing(socket.create_connection((place.hostname, place.port))) as connection:
        before_ns = time.process_time_ns()
        connection.sendall(head.encode() + content)
        while not (found.pieces and found.pieces[-1].endswith(b"0\r\n\r\n")):
            found.pieces.append(connection.recv(65536))
            found.stamps.append(time.monotonic_ns())
        cpu_ns = time.process_time_ns() - before_ns
    return of_lines(found, cpu_ns)


CLIENTS: dict[str, Client] = {
    "fleet": fleet_client,
    "httpx": httpx_client,
    "socket": socket_client,
}


def of_lines(found: Arrivals, cpu_ns: int) -> Run:
    lines = [(stamp, line) for stamp, line in found.lines() if line.startswith(b"{")]
    return run([stamp for stamp, _ in lines], [line for _, line in lines], cpu_ns)


def run(arrived_ns: Sequence[int], lines: Sequence[bytes], cpu_ns: int) -> Run:
    """Arrivals against the server's own stamps; the final record, without text, is no chunk."""
    records = [json.loads(line) for line in lines]
    written = [int(record["x_mono_ns"]) for record in records if record["response"]]
    arrived = arrived_ns[: len(written)]
    if len(arrived) < len(written):
        raise RuntimeError(f"{len(written)} chunks were written, {len(arrived)} recorded")
    errors = [after - before for before, after in zip(written, arrived, strict=True)]
    return Run(errors, written, cpu_ns)


def ask(rate: int, seconds: float) -> Ask:
    tokens = round(rate * seconds)
    options = {"num_predict": tokens, "num_ctx": 262_144, "seed": 1, "temperature": 0.0}
    return Ask(model=f"at-{rate}", api="generate", prompt="a b c", options=options)


def body(asked: Ask) -> bytes:
    told = {"model": asked.model, "prompt": asked.prompt, "raw": True, "stream": True}
    return json.dumps({**told, "options": dict(asked.options)}).encode()


@contextmanager
def server() -> Iterator[str]:
    """One model for each rate."""
    models = {
        f"at-{rate}": ScriptedModel(prefill_tokens_per_s=1e5, decode_tokens_per_s=rate, load_s=0)
        for rate in (STEADY, FAST, *RATES)
    }
    script = MachineScript(chip="Simulated", memory_gb=64, gpu_memory_mb=65536, models=models)
    with closing(Simulated(script, clock=SystemClock())) as engine:
        yield engine.base_url


def middle(values: Iterator[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    _table.run("The client that measures", fill, __doc__)
