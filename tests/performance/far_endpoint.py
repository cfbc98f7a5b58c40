"""The engine's rates over a slow link beside those on the spot, of one real Ollama.

A trial on the spot and one over a link that delays each chunk by 30 ms follow one another, so that
a slow minute of this machine meets both. The model's steps take 20 ms or more. The client's times
are shown beside: those know the link.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from _table import Table, note, run
from second_opinion import LARGE, MOST_PERCENT, measure

from fleet.engines import tiny
from fleet.query.open_store import open_store, rows
from fleet.store.parquet import ParquetStore
from tests import ollama_server
from tests.tools import delayed_link
from tests.tools.install_ollama import NEWEST

DELAY_S = 0.03
TRIALS = 6


def fill(table: Table, quick: bool) -> None:
    if ollama_server.find(NEWEST) is None:
        note(ollama_server.WHY_ABSENT)
        return
    trials, requests = (1, 1) if quick else (TRIALS, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ollama_server.real_ollama(folder, {}) as server:
            server.create("large", tiny.make("llama", folder, **LARGE))
            with linked(server.base_url) as far:
                for block in range(trials):
                    note(f"pair {block + 1} of {trials} ...")
                    places = [("far", far), ("near", server.base_url)]
                    for place, url in places[:: -1 if block % 2 else 1]:
                        store = ParquetStore(folder / place)
                        measure(store, url, "large", block=block, requests=requests)
        add(table, folder)


def add(table: Table, folder: Path) -> None:
    for name in ("prefill_tokens_per_s", "decode_tokens_per_s", "server_first_token_ns"):
        far, near = values(folder, "far", name), values(folder, "near", name)
        if far and near:
            ratios = [a / b for a, b in zip(far, near, strict=True)]
            note(f"{name}: {' '.join(f'{ratio:.4f}' for ratio in ratios)}")
            ratio = median(ratios)
            table.at_most(f"{name}, far against near", MOST_PERCENT, 100 * abs(ratio - 1), "%")
    for place in ("near", "far"):
        first_ms = median(values(folder, place, "first_token_ns")) / 1e6
        table.beside(f"first token on the client's clock, {place}", first_ms, "ms")


def values(folder: Path, place: str, column: str) -> list[float]:
    """Return the value of each trial, in their order."""
    with closing(open_store([folder / place])) as con:
        asked = f"select {column} as value from speeds where value is not null order by block"
        return [float(row["value"]) for row in rows(con, asked)]


@contextmanager
def linked(url: str) -> Iterator[str]:
    """Yield the address of the same server behind a link."""
    loop, port = asyncio.new_event_loop(), ollama_server.free_port()
    to_port = int(url.rpartition(":")[2])
    loop.run_until_complete(delayed_link.serve("127.0.0.1", port, to_port, DELAY_S))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


if __name__ == "__main__":
    run("Endpoint machines: counters over a link and on the spot", fill, __doc__)
