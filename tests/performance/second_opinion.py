"""The client's decode rate beside the engine's, on the real Ollamas of the tests.

Each version writes on both of its runners, with a model whose steps take 20 ms or more there: a
first chunk that a busy machine delivers late is then little of an answer. A cell is three trials,
as fleet runs and stores them, and its medians are those of the view `cells`.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from _table import Table, note, run

from fleet.clock import SystemClock
from fleet.engines import tiny
from fleet.engines.ollama import Ollama
from fleet.model.experiment import OllamaEngine
from fleet.model.job import Job, Point
from fleet.model.machine import Fingerprint
from fleet.query.open_store import open_store, rows
from fleet.runner.trial import run_trial
from fleet.runner.trial_ports import TrialPorts
from fleet.store.parquet import ParquetStore
from tests import builders, ollama_server
from tests.tools import install_mlx, mlx_models
from tests.tools.install_ollama import VERSIONS, Version

LARGE = {"layers": 24, "width": 1024, "heads": 16, "kv_heads": 2, "ff": 4096}
SMALL = {"layers": 4, "width": 768, "heads": 12, "kv_heads": 2, "ff": 3072}
"""For llama-server and for MLX, which takes ten times as long for a weight on a CPU."""
LEAST_STEP_MS = 20.0
MOST_PERCENT = 1.0
SETTINGS = {"num_ctx": 2048, "num_batch": 512, "num_thread": 1}
NO_FACTS = Fingerprint(facts=(), hardware_id="h", software_id="s", condition_id="c")


def fill(table: Table, quick: bool) -> None:
    trials, requests = (1, 1) if quick else (3, 3)
    with tempfile.TemporaryDirectory() as folder:
        for version in VERSIONS:
            if ollama_server.find(version) is None:
                note(f"Ollama {version.ollama}: {ollama_server.WHY_ABSENT}")
                continue
            for cell in cells(Path(folder) / version.ollama, version, trials, requests):
                add(table, version, cell)


def add(table: Table, version: Version, cell: dict[str, Any]) -> None:
    client, engine = cell["client_decode_tokens_per_s"], cell["decode_tokens_per_s"]
    where = " ".join(filter(None, (f"{version.ollama}, {cell['runner']}", cell["flags"])))
    step_ms = 1000 / engine
    table.at_most(
        f"{where}: client against engine", MOST_PERCENT, 100 * abs(client / engine - 1), "%"
    )
    table.at_least(f"{where}: one step", LEAST_STEP_MS, step_ms, "ms")
    table.beside(f"{where}: client", client, "tokens/s")
    table.beside(f"{where}: engine", engine, "tokens/s")
    table.holds(
        f"{where}: told on the cell",
        "nothing",
        cell["decode_second_opinion"] or "nothing",
        cell["decode_second_opinion"] == "",
    )


def cells(folder: Path, version: Version, trials: int, requests: int) -> Iterator[dict[str, Any]]:
    """Measure the model on each runner that this version has here; yield a row of `cells` each."""
    folder.mkdir()
    with ollama_server.real_ollama(folder, {}, version=version) as server:
        server.create("large", tiny.make("llama", folder, **LARGE))
        models = ["large"]
        if install_mlx.find(version) is None:
            note(f"Ollama {version.ollama}: {ollama_server.WHY_NO_MLX}")
        else:
            small = tiny.make("llama", folder, **SMALL)
            server.create("small-mlx", mlx_models.make_twin(small, folder / "twin"))
            models.append("small-mlx")
        store = ParquetStore(folder / "store")
        for block in range(trials):
            for model in models:
                note(f"Ollama {version.ollama}, {model}, trial {block + 1} of {trials} ...")
                measure(store, server.base_url, model, block=block, requests=requests)
    with closing(open_store([folder / "store"])) as con:
        yield from rows(con, "from cells order by model")


def measure(store: ParquetStore, url: str, model: str, *, block: int, requests: int) -> None:
    point = Point(prompt_tokens=16, output_tokens=128)
    job = Job(name="decode", api="generate", points=(point,), requests=requests, warmup=1)
    settings = {**SETTINGS, "temperature": 0.0, "repeat_penalty": 1.0}
    ports = TrialPorts(
        Ollama(url, clock=SystemClock()), lambda: NO_FACTS, SystemClock(), threading.Event()
    )
    attempt = builders.attempt(
        job=job, model=model, settings=settings, engine=OllamaEngine(kind="ollama"), block=block
    )
    result = run_trial(attempt, ports)
    if result.outcome != "ok":
        raise RuntimeError(f"{model}: {result.reason}: {result.detail}")
    store.write(result)


if __name__ == "__main__":
    run("The client's clock beside the engine's counters", fill, __doc__)
