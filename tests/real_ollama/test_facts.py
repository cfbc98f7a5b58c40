"""What fleet reads of a real Ollama beside its interface: its log, and the load that is its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import httpx

from fleet.commands import SystemCommands
from fleet.fingerprint.load import STATS, LoadProbe
from fleet.ports import Output
from fleet.readers.load import parse_proc
from fleet.readers.ollama_log import parse_serve_log
from tests.ollama_server import RealOllama


def test_the_log_of_a_real_start_is_read(real_ollama: RealOllama) -> None:
    log = parse_serve_log(real_ollama.log.read_text())
    assert log.version == "0.32.15"
    assert log.listens is not None
    assert real_ollama.base_url.endswith(log.listens)
    assert log.environment["OLLAMA_NO_CLOUD"] == "true"
    assert {device.library for device in log.devices} == {"cpu"}
    assert log.default_num_ctx == 4096


class Twice(SystemCommands):
    """The two looks that a probe asks for, a second apart while the engine computes; replayed."""

    def __init__(self) -> None:
        first = super().run(STATS)
        threading.Event().wait(1.0)
        self.texts = (first, super().run(STATS))
        self.asked = 0

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        self.asked += 1
        return self.texts[(self.asked - 1) % 2]


def test_an_engine_at_work_is_not_foreign(real_ollama: RealOllama) -> None:
    """Its own processes used time in between, and none of it counts as that of others."""
    looks: list[Twice] = []
    body = {
        "model": "tiny-llama",
        "prompt": "a",
        "stream": True,
        "options": {"num_predict": 100_000, "num_thread": 1, "num_ctx": 4096},
    }
    url = f"{real_ollama.base_url}/api/generate"
    with httpx.stream("POST", url, json=body, timeout=60, trust_env=False) as answer:
        lines = answer.iter_lines()
        next(lines)
        looking = threading.Thread(target=lambda: looks.append(Twice()))
        looking.start()
        while looking.is_alive() and next(lines, None) is not None:
            pass
        looking.join()
    [commands] = looks
    before, after = (parse_proc(text.stdout) for text in commands.texts)
    assert before is not None
    assert after is not None
    [fact] = LoadProbe(commands, -1, lambda _: None).collect()
    used = sum(p.ticks for p in after.processes if p.name.startswith(("ollama", "llama-"))) - sum(
        p.ticks for p in before.processes if p.name.startswith(("ollama", "llama-"))
    )
    everybody = 100 * (after.busy - before.busy) / (after.total - before.total)
    assert used > 0
    assert isinstance(fact.value, float)
    assert fact.value < everybody
