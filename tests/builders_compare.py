"""Golden results folders: rows written as Parquet by no code of the store."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.compare import comparison, precision
from fleet.compare.designs import Floors
from fleet.compare.noise import noise_floors
from fleet.compare.request import ComparisonRequest
from fleet.compare.result import Comparison
from fleet.query.open_store import Connection
from fleet.store.schema import TABLES

Row = dict[str, Any]
S = 10**9
START = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


@dataclass
class GoldenStore:
    """`trial(...)` adds one; `write` puts them below a folder as a store lies there."""

    trials: list[Row] = field(default_factory=list)
    requests: list[Row] = field(default_factory=list)
    readings: list[Row] = field(default_factory=list)

    def trial(
        self,
        name: str,
        *,
        decode: float | Sequence[float] = 100.0,
        prefill: float = 1000.0,
        ask: Mapping[str, Any] | None = None,
        requests: Sequence[Row] | None = None,
        readings: Sequence[Row] = (),
        **columns: Any,
    ) -> str:
        """Three requests at these rates unless given; returns the attempt id."""
        number = len(self.trials)
        row = {**TRIAL, "trial_id": f"trial-{name}", "started_at": _minute(number), **columns}
        row.setdefault("settings", asked_in(row))
        row.setdefault("attempt_id", f"{row['trial_id']}-{row['fence']}")
        rates = [decode] * 3 if isinstance(decode, (int, float)) else list(decode)
        if requests is None:
            requests = [request(decode=rate, prefill=prefill, **(ask or {})) for rate in rates]
        self.trials.append(row)
        for index, asked in enumerate(requests):
            own = {"attempt_id": row["attempt_id"], "request": index}
            self.requests.append({"point": row["job"], **asked, **own})
        self.readings += [{**told, "attempt_id": row["attempt_id"]} for told in readings]
        return str(row["attempt_id"])

    def write(self, folder: Path, files: int = 1) -> Path:
        """`files` small ones; returns the folder."""
        generation = folder / "gen-000001"
        for table, schema in TABLES.items():
            (generation / table).mkdir(parents=True, exist_ok=True)
            pq.write_table(schema.empty_table(), generation / table / "_schema.parquet")
        tables = {"requests": self.requests, "trials": self.trials, "readings": self.readings}
        for table, rows in tables.items():
            for part in range(files):
                share = rows[part::files]
                data = pa.Table.from_pylist(share, schema=TABLES[table])
                pq.write_table(data, generation / table / f"part-{part}.parquet")
        (folder / "current").symlink_to("gen-000001")
        return folder


def asked_in(row: Row) -> str:
    """The settings as one text, as the store has them beside their columns."""
    names = ["num_ctx", "num_batch", "num_thread", "num_gpu", "temperature", "repeat_penalty"]
    names += ["wired_limit_mb", "flash_attention", "kv_cache_type"]
    return " ".join(f"{name}={row[name]}" for name in names if row.get(name) is not None)


TRIAL: Row = {
    "fence": 0,
    "session": 0,
    "experiment": "golden",
    "machine_id": "machine-studio",
    "machine": "studio",
    "hardware_id": "hardware-1",
    "model": "gpt-oss:20b",
    "digest": "digest-20b",
    "job": "chat",
    "job_content": '{"api":"generate","name":"chat","prompt":"why"}',
    "condition_id": "condition-1",
    "engine": "ollama",
    "engine_version": "0.32.15",
    "engine_environment": "{}",
    "block": 0,
    "position": 0,
    "seed": 1,
    "cut": False,
    "num_ctx": 8192,
    "num_batch": 512,
    "context_length": 8192,
    "placement_size_bytes": 1000,
    "placement_gpu_bytes": 1000,
    "load_ns": 2 * S,
    "outcome": "ok",
    "reason": "",
    "transient": False,
    "suspended_ns": 300,  # the noise of two clocks read one after the other
    "duration_ns": 60 * S,
    "chip": "Apple M3 Ultra",
    "gpu": "Apple M3 Ultra",
    "gpu_cores": 60,
    "memory_gb": 96,
    "gpu_limit_mb": 73728,
    "os": "darwin",
    "os_version": "26.1",
    "power_source": "ac",
    "imported": False,
}


def request(
    *,
    decode: float = 100.0,
    prefill: float = 1000.0,
    prompt: int = 1000,
    output: int = 201,
    **columns: Any,
) -> Row:
    """A request that went well: its durations give exactly these rates."""
    prompt_ns = round(prompt / prefill * S)
    output_ns = round((output - 1) / decode * S)
    row = {
        "warmup": False,
        "depth_tokens": 0,
        "output_tokens_asked": output,
        "seed": 1,
        "nonce": " word or two",
        "api": "generate",
        "sent_ns": 0,
        "first_chunk_ns": prompt_ns + 4_000_000,
        "last_chunk_ns": prompt_ns + 4_000_000 + output_ns,
        "ended_ns": prompt_ns + 4_000_000 + output_ns,
        "chunk_gaps_us": [round(1e6 / decode)] * (output - 1),
        "load_duration_ns": 2_000_000,
        "prompt_tokens": prompt,
        "prompt_duration_ns": prompt_ns,
        "output_tokens": output,
        "output_duration_ns": output_ns,
        "done_reason": "length",
    }
    return with_thirds({**row, **columns})


def with_thirds(row: Row) -> Row:
    """The sums that the store keeps beside the gaps."""
    gaps = row["chunk_gaps_us"]
    third = len(gaps) // 3
    sums = {"first_third_us": sum(gaps[:third]), "last_third_us": sum(gaps[len(gaps) - third :])}
    return {**sums, "chunks": len(gaps) + 1, **row}


IMPORTED: Row = {
    "imported": True,
    "experiment": "imported",
    "engine_version": None,
    "engine_environment": None,
    "digest": None,
    "hardware_id": None,
    "settings": "",
    "num_ctx": None,
    "num_batch": None,
    "context_length": None,
    "placement_size_bytes": None,
    "placement_gpu_bytes": None,
    "load_ns": None,
    "suspended_ns": None,
    "chip": None,
    "gpu": None,
    "gpu_cores": None,
    "memory_gb": None,
    "gpu_limit_mb": None,
    "os": None,
    "os_version": None,
    "power_source": None,
}


def imported_request(prompt: int, prompt_ns: int, output: int, output_ns: int, load_ns: int) -> Row:
    return {
        "warmup": False,
        "load_duration_ns": load_ns,
        "prompt_tokens": prompt,
        "prompt_duration_ns": prompt_ns,
        "output_tokens": output,
        "output_duration_ns": output_ns,
    }


def transcripts(store: GoldenStore) -> GoldenStore:
    """Three turns of two models as `ollama run --verbose` printed them."""
    turns = (
        ("a", "gpt-oss:20b", "gold", (4937, 7340259833, 2183, 54776578542, 59609167)),
        ("b", "gpt-oss:20b", "regularization", (6412, 4666466250, 2061, 54906231042, 61355917)),
        ("c", "gpt-oss:120b", "regularization", (84, 69517786250, 3323, 742767252458, 64004417)),
    )
    for name, model, job, figures in turns:
        content = f'{{"name":"{job}"}}'
        asked = [imported_request(*figures)]
        store.trial(name, model=model, job=job, job_content=content, requests=asked, **IMPORTED)
    return store


def _minute(number: int) -> datetime.datetime:
    return START + datetime.timedelta(minutes=number)


ReadFloors = Callable[[Connection], Floors]


def compare(con: Connection, *, floors: ReadFloors = noise_floors, **asked: Any) -> Comparison:
    """As `fleet compare` asks for it; lists may stand for tuples."""
    return comparison.compare(con, _request(asked), floors=floors)


def widths(
    con: Connection, axis: str, *, floors: ReadFloors = noise_floors
) -> Mapping[frozenset[precision.Cell], float]:
    """As the stop rule of the experiment `golden` asks for them."""
    return precision.widths(con, of_golden(axis), floors=floors)


def of_golden(axis: str) -> ComparisonRequest:
    return ComparisonRequest(axis=axis, experiment="golden", where="session=0")


def _request(asked: Mapping[str, Any]) -> ComparisonRequest:
    lists = ("sides", "metrics", "allow_diff")
    return ComparisonRequest(
        **{name: tuple(value) if name in lists else value for name, value in asked.items()}
    )
