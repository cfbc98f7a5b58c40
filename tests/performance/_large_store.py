"""A store of many trials, made in seconds: twenty cells in turn, spread over two years."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from fleet.folders import results_folder
from fleet.model.measure import Reply, RequestRecord, TrialResult
from fleet.query.views import views_sql
from fleet.store import codec, generation
from fleet.store.parquet import ParquetStore
from fleet.store.rows import Row, rows_of
from fleet.store.schema import TABLES
from tests import builders, builders_store

MONTHS = 24
MONTH_NS = 30 * 24 * builders_store.HOUR_NS
SMALL_FILES = 200
MACHINES = ("studio-96", "studio-256", "max-128", "box-4090")
MODELS = ("gpt-oss:20b", "gpt-oss:120b", "qwen3:8b", "llama3.2:3b", "gemma3:27b")
REQUESTS = 5
PROMPT = 512
TOKENS = 128


def build_store(home: Path, trials: int) -> tuple[str, int]:
    """Packs, then small files through the store; the last trial's id, and how many are small."""
    folder, small = results_folder(home), min(SMALL_FILES, trials // 10)
    store = ParquetStore(folder, views_sql=views_sql())
    now = generation.current(folder)
    assert now is not None
    per_month = -(-(trials - small) // MONTHS)
    packs: dict[str, dict[str, bytes]] = {table: {} for table in TABLES}
    for month in range(MONTHS):
        numbers = range(month * per_month, min((month + 1) * per_month, trials - small))
        for table, content in pack(rows_of(result(n, trials)) for n in numbers).items():
            packs[table][f"{generation.PACK_PREFIX}{month:02d}-0.parquet"] = content
    generation.build(folder, generation.after(now), base=now, new=packs)
    for n in range(trials - small, trials):
        made = result(n, trials)
        store.write_rows(made.attempt_id, rows_of(made))
    return made.trial.trial_id, small


def pack(attempts: Iterator[Mapping[str, Sequence[Row]]]) -> dict[str, bytes]:
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    for attempt in attempts:
        for table in TABLES:
            rows[table] += attempt[table]
    return {
        table: codec.encode(
            table, pa.Table.from_pylist(some, schema=TABLES[table]), statistics=True
        )
        for table, some in rows.items()
        if some
    }


def result(number: int, of: int) -> TrialResult:
    """Trials of twenty cells in turn, spread over the months; as much in each as in real ones."""
    machine = MACHINES[number % len(MACHINES)]
    model = MODELS[number // len(MACHINES) % len(MODELS)]
    plain = builders_store.result(
        number,
        machine=machine,
        unix_ns=builders_store.NOV_2026_NS + number * MONTHS * MONTH_NS // of,
    )
    trial = replace(plain.trial, model=model, job=builders.job(), role="measure", side="")
    requests = tuple(record(number, index) for index in range(REQUESTS))
    return replace(plain, trial=trial, requests=requests, readings=())


def record(number: int, index: int) -> RequestRecord:
    chance = random.Random(number * REQUESTS + index)
    speed = 20.0 * (1 + number % len(MACHINES)) * chance.gauss(1, 0.02)
    gaps = tuple(round(1e6 / speed * chance.uniform(0.9, 1.1)) for _ in range(TOKENS - 1))
    answered = reply(gaps, prompt_ns=round(PROMPT / (30 * speed) * 1e9))
    return builders.record(
        index=index,
        prompt_tokens_asked=PROMPT,
        output_tokens_asked=TOKENS,
        nonce=f" words of request {index}",
        reply=answered,
    )


def reply(gaps: tuple[int, ...], *, prompt_ns: int) -> Reply:
    output_ns = 1000 * sum(gaps)
    first = prompt_ns + 1_000_000
    return builders.reply(
        sent_ns=0,
        first_chunk_ns=first,
        first_answer_ns=first,
        last_chunk_ns=first + output_ns,
        ended_ns=first + output_ns,
        chunks=len(gaps) + 1,
        chunk_gaps_us=gaps,
        prompt_tokens=PROMPT,
        prompt_ns=prompt_ns,
        output_tokens=TOKENS,
        output_ns=output_ns,
    )
