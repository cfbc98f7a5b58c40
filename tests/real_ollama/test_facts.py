"""What fleet reads of a real Ollama beside its interface: its log, and the load that is its own."""

from __future__ import annotations

import threading

import httpx

from fleet.fingerprint.load import LoadProbe
from fleet.readers.load import parse_proc
from fleet.readers.ollama_log import parse_serve_log
from tests.ollama_server import RealOllama
from tests.replayed_looks import ReplayedLooks


def test_the_log_of_a_real_start_is_read(real_ollama: RealOllama) -> None:
    log = parse_serve_log(real_ollama.log.read_text())
    assert log.version == real_ollama.version.ollama
    assert log.listens is not None
    assert real_ollama.base_url.endswith(log.listens)
    assert log.environment["OLLAMA_NO_CLOUD"] == "true"
    assert {device.library for device in log.devices} == {"cpu"}
    assert log.default_num_ctx == 4096


def test_an_engine_at_work_is_not_foreign(real_ollama: RealOllama) -> None:
    """Its own processes used time in between, and none of it counts as that of others."""
    looks: list[ReplayedLooks] = []
    body = {
        "model": "tiny-llama",
        "prompt": "a",
        "stream": True,
        "options": {"num_predict": 100_000, "num_thread": 1, "num_ctx": 4096},
    }
    url = f"{real_ollama.base_url}/api/generate"
    with httpx.stream("POST", url, json=body, timeout=600, trust_env=False) as answer:
        lines = answer.iter_lines()
        next(lines)
        looking = threading.Thread(target=lambda: looks.append(ReplayedLooks()))
        looking.start()
        while looking.is_alive() and next(lines, None) is not None:
            pass
        looking.join()
    [commands] = looks
    before, after = map(parse_proc, commands.texts)
    assert before is not None
    assert after is not None
    [fact] = LoadProbe(commands, -1, lambda _: None).collect()
    earlier = {p.pid: p.ticks for p in before.processes}
    used = sum(
        p.ticks - earlier[p.pid]
        for p in after.processes
        if p.pid in earlier and p.name.startswith(("ollama", "llama-"))
    )
    everybody = 100 * (after.busy - before.busy) / (after.total - before.total)
    assert used > 0
    assert isinstance(fact.value, float)
    assert fact.value < everybody
