"""Trials whose engine sends damaged answers: how many end otherwise than as a row with its reason?

    python -m tests.faults.hostile_answers [TRIALS] [SEED]

Each trial goes through the HTTP client, the runner, the spool and the store, while one path of a
server damages its answers. A trial is unsound if it raises, if it stays in the spool, or if a text
in its result could steer a terminal. The program prints the count; it is 0, or the exit code is 1.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fleet.clock import SystemClock
from fleet.engines.ollama.client import Ollama
from fleet.engines.ollama.connection import Patience
from fleet.errors import Unstorable
from fleet.model.machine import Fingerprint
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt
from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import TrialPorts
from fleet.spool import Spool
from fleet.store.parquet import ParquetStore
from fleet.terminal import one_line
from tests import builders
from tests.hostile_ollama import MODEL, HostileOllama, Pieces, hostile_ollama, plain

SHORT = Patience(
    connect_s=2,
    answer_s=2,
    load_s=2,
    first_byte_s=2,
    silence_s=0.2,
    unload_s=0.1,
    whole_s=0.2,
    token_s=0.0,
)
PATHS = ("/api/version", "/api/tags", "/api/show", "/api/ps", "/api/generate", "/api/chat")
NUMBERS = (10**30, -(10**30), 2**63, 2**64 - 1, 2**31, -1, 0, 1.5, 1e308, float("inf"), 1e-320)
TEXTS = ("", "\ud800", "a\udc00b", "\x1b[2J\x1b]0;x\x07", "\x00", "\u202e", "x" * 100_000, "\r\n")
VALUES = (*NUMBERS, float("nan"), *TEXTS, True, False, None, [], {}, [[]], [None], [{}], {"a": 1})
RAW = (b"9" * 5000, b"[" * 3000 + b"]" * 3000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b"\xff\xfe")
PLACE = Fingerprint(facts=(), hardware_id="h", software_id="s", condition_id="c")
MARK = "damaged-here"


class Hostility:
    """One way to damage an answer, chosen by a seed."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def __call__(self, body: bytes) -> Pieces:
        return self.random.choice(
            (self._values, self._values, self._bytes, self._lines, self._head)
        )(body)

    def _values(self, body: bytes) -> Pieces:
        """Replace a value anywhere in the JSON of one line."""
        lines = body.splitlines()
        at = self.random.randrange(len(lines))
        document = json.loads(lines[at])
        if self.random.random() < 0.2:
            self._put(document, MARK)
            raw = self.random.choice(RAW)
            lines[at] = json.dumps(document).encode().replace(f'"{MARK}"'.encode(), raw)
        else:
            for _ in range(self.random.choice((1, 1, 2, 5))):
                self._put(document, self.random.choice(VALUES))
            lines[at] = json.dumps(document).encode()
        return plain(b"\n".join(lines) + b"\n")

    def _put(self, document: Any, value: object) -> None:
        places = list(_places(document))
        if not places:
            return
        holder, key = self.random.choice(places)
        if isinstance(holder, dict) and self.random.random() < 0.1:
            holder["error"] = value
        elif isinstance(holder, dict) and self.random.random() < 0.1:
            holder[self.random.choice(TEXTS)] = holder.pop(key)
        else:
            holder[key] = value

    def _bytes(self, body: bytes) -> Pieces:
        spoiled = bytearray(body)
        for _ in range(self.random.choice((1, 3, 30))):
            spoiled[self.random.randrange(len(spoiled))] = self.random.randrange(256)
        begin, end = sorted(self.random.randrange(len(spoiled) + 1) for _ in range(2))
        return plain(bytes(spoiled[:end] if self.random.random() < 0.5 else spoiled[begin:]))

    def _lines(self, body: bytes) -> Pieces:
        lines = body.splitlines(keepends=True)
        doubled = [*lines, *self.random.choices(lines, k=self.random.randrange(1, 4))]
        self.random.shuffle(doubled)
        return plain(b"".join(doubled[: self.random.randrange(len(doubled) + 1)]))

    def _head(self, body: bytes) -> Pieces:
        status = self.random.choice(
            (
                b"302 Found",
                b"307 Go",
                b"200 \x1b[31m",
                b"999 x",
                b"99",
                b"500 x",
                b"404 x",
                b"204 x",
            )
        )
        header = self.random.choice(
            (
                b"Content-Length: 5",
                b"Content-Length: 99999999999999999999",
                b"Content-Length: -1",
                b"Content-Length: x",
                b"Transfer-Encoding: chunked",
                b"Content-Encoding: gzip",
                b"Content-Encoding: br, x",
                b"Content-Type: text/html; charset=\xff",
                b"Location: file:///etc/passwd",
                b"Location: http://127.0.0.1:1/",
                b"X: " + b"y" * 200_000,
                b"no header",
                b"\x1b]0;x\x07: y",
            )
        )
        chosen = self.random.choice((b"200 OK", status))
        return plain(body, chosen, header)


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each holder of a value with the value's key or position."""
    pairs = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(pairs):
        yield document, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def ports_of(server: HostileOllama, patience: Patience = SHORT) -> TrialPorts:
    clock = SystemClock()
    engine = Ollama(server.base_url, clock=clock, patience=patience)
    return TrialPorts(engine=engine, look=lambda: PLACE, clock=clock, stop=threading.Event())


def attempt_of(number: int) -> Attempt:
    job = builders.job(api="chat" if number % 2 else "generate", requests=1, warmup=0)
    return Attempt(trial=builders.trial(model=MODEL, job=job, block=number), fence=0)


def measured(attempt: Attempt, ports: TrialPorts, spool: Spool, store: ParquetStore) -> TrialResult:
    """Take the trial to its end; raises whatever goes wrong on the way."""
    result = run_trial(attempt, ports)
    spool.put(result)
    for waiting in spool.waiting(_refuse):
        try:
            store.write(waiting)
        except Unstorable as problem:
            spool.set_aside(waiting, problem.what)
        spool.forget(waiting.attempt_id)
    return result


def wrong_with(result: TrialResult) -> str:
    """Return why a result is unsound; empty if it is not."""
    if result.outcome != "ok" and not result.reason:
        return "it failed without a reason"
    texts = [result.reason, result.detail, result.engine_version or "", result.digest or ""]
    texts += [result.model_format or "", result.quantization or ""]
    texts += [each.reply.error or "" for each in result.requests]
    texts += [each.reply.done_reason or "" for each in result.requests]
    return next((f"steers a terminal: {text!r}" for text in texts if one_line(text) != text), "")


def _refuse(text: str) -> None:
    raise AssertionError(text)


def run(trials: int, seed: int, folder: Path) -> tuple[Counter[str], list[str]]:
    """Return the outcomes, and what was unsound."""
    spool, store = Spool(folder / "spool"), ParquetStore(folder / "results")
    outcomes: Counter[str] = Counter()
    unsound: list[str] = []
    with hostile_ollama() as server:
        ports = ports_of(server)
        for number in range(trials):
            name = f"{seed}/{number}"
            path = random.Random(name).choice(PATHS)
            server.damage, server.loaded = {path: Hostility(name)}, False
            try:
                result = measured(attempt_of(number), ports, spool, store)
                wrong = wrong_with(result)
                outcomes[result.reason or result.outcome] += 1
            except Exception:  # noqa: BLE001 - it counts whatever gets through
                wrong = traceback.format_exc()
            unsound += [f"{name} {path}: {wrong}"] if wrong else []
        server.damage, server.loaded = {}, False
        last = measured(attempt_of(trials), ports, spool, store)
    unsound += [] if last.outcome == "ok" else [f"the honest trial at the end: {last.reason}"]
    unsound += [f"left in the spool: {path}" for path in spool.folder.glob("*.json")]
    return outcomes, unsound


def main() -> int:
    trials = int(sys.argv[1]) if sys.argv[1:] else 100_000
    seed = int(sys.argv[2]) if sys.argv[2:] else random.randrange(10**6)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, unsound = run(trials, seed, Path(folder))
    for line in unsound[:20]:
        print(line)
    print(*(f"{count:7} {name}" for name, count in outcomes.most_common()), sep="\n")
    seconds = time.monotonic() - began
    print(f"{trials} hostile trials, seed {seed}, {seconds:.0f} s: {len(unsound)} unsound")
    return 1 if unsound else 0


if __name__ == "__main__":
    sys.exit(main())
