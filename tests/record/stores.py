"""Two fixed stores: one with all that can happen to a trial, one that an older fleet wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.ledger.journal import Ledger
from fleet.model.trial import Attempt
from fleet.plan.expand import expand
from fleet.store.schema import TABLES
from tests.builders_answers import AnsweredStore
from tests.builders_compare import Row, request, transcripts
from tests.builders_energy import Curve, asked, every, power
from tests.builders_plan import machine, model
from tests.builders_plan import request as plan_request

MAX: Row = {
    "machine_id": "machine-max",
    "machine": "max-128",
    "hardware_id": "hardware-2",
    "chip": "Apple M4 Max",
    "gpu": "Apple M4 Max",
    "gpu_cores": 40,
    "memory_gb": 128,
    "gpu_limit_mb": 110100,
}
FACTS = json.dumps(
    {
        "cpu_cores": {"value": 28, "state": "known", "source": "sysctl"},
        "virtual": {"value": False, "state": "known", "source": "sysctl"},
    }
)
NEW_COLUMNS = {
    "trials": (
        *("foreign_gpu_memory_mb", "foreign_gpu_memory_after_mb", "gpu_usable_mb"),
        *("gpu_limit_conflict", "utc_offset_s", "submission_id", "gpu_slowed_before"),
        *("resident_models", "resident_models_after", "models_unloaded", "clock_step_ns"),
    ),
    "requests": ("submission_id", "most_output_ns"),
}
"""Columns that a fleet of form 3 did not write."""


def current(folder: Path) -> Path:
    """A home with failures, flags, energy, answers and imported figures."""
    store = AnsweredStore()
    for block in range(4):
        _block(store, block)
    _failures(store)
    _answers(store)
    transcripts(store)
    _energy(store)
    store.write(folder / "results")
    _fingerprints(store, folder / "results")
    _ledger(folder)
    return folder


def older(folder: Path) -> Path:
    """A home without the newest columns, whose rows tell no submission."""
    store = AnsweredStore()
    for block in range(3):
        _block(store, block)
    store.write(folder / "results")
    for table, names in NEW_COLUMNS.items():
        for file in (folder / "results" / "current" / table).glob("*.parquet"):
            data = pq.read_table(file).drop_columns(list(names))
            pq.write_table(data.replace_schema_metadata({"schema_version": "3"}), file)
    return folder


def _block(store: AnsweredStore, block: int) -> None:
    """Each cell once; speeds differ between blocks as those of a real machine do."""
    for on, factor in (({}, 1.0), (MAX, 0.7)):
        for batch, gain in ((64, 1.0), (512, 1.6)):
            store.trial(
                f"{on.get('machine', 'studio')}-{batch}-{block}",
                decode=[100 * factor * (1 + 0.004 * ((7 * block + batch) % 5))] * 2,
                prefill=1000 * factor * gain * (1 + 0.003 * (block % 3)),
                block=block,
                num_batch=batch,
                temperature=0.0,
                **on,
            )


def _failures(store: AnsweredStore) -> None:
    """One trial or request of each kind that is left out or kept apart."""
    store.trial("failed", outcome="failed", reason="stream_broken", detail="cut off", block=4)
    store.trial("memory", outcome="failed", reason="out_of_memory", model="gpt-oss:120b", block=4)
    store.trial(
        "short", requests=[request(), request(output=150, output_tokens_asked=201)], block=4
    )
    store.trial("cached", requests=[request(), request(cached_tokens=900)], block=4, num_batch=64)
    store.trial("spilled", placement_gpu_bytes=600, model="gpt-oss:120b", decode=4.47, block=4)
    store.trial("battery", power_source="battery", block=4, **MAX)
    store.trial("context", context_length=4096, block=4, num_batch=64, **MAX)
    store.trial("updated", engine_version="0.34.4", decode=104.0, block=4)
    store.trial("warm", requests=[request(warmup=True), request()], block=4, model="tiny-llama")


def _answers(store: AnsweredStore) -> None:
    own: dict[str, Any] = {"experiment": "answers", "job": "side-by-side"}
    store.said("gold", "Gold is yellow since its electrons are fast.", "Relativity?", **own)
    store.said("again", "Gold is yellow since its electrons are fast.", **own, block=1)
    store.said("other", "It absorbs blue light.", **own, model="gpt-oss:120b")


def _energy(store: AnsweredStore) -> None:
    for name, watts in (("studio", 90.0), ("max", 60.0)):
        on = MAX if name == "max" else {}
        for block in range(3):
            readings = power(Curve([0], [watts + block]), every(0.2, 12), "chip_package")
            requests = [asked(1, 2, 10)]
            own: dict[str, Any] = {"experiment": "joules", "block": block, **on}
            store.trial(f"joules-{name}-{block}", requests=requests, readings=readings, **own)


def _fingerprints(store: AnsweredStore, folder: Path) -> None:
    columns = (
        *("machine_id", "machine", "hardware_id", "chip", "gpu", "gpu_cores", "memory_gb"),
        *("gpu_limit_mb", "os", "os_version", "power_source"),
    )
    rows = [
        {
            **{name: row.get(name) for name in columns},
            "attempt_id": row["attempt_id"],
            "recipe": 2,
            "facts": FACTS,
        }
        for row in store.trials
        if not row["imported"]
    ]
    data = pa.Table.from_pylist(rows, schema=TABLES["fingerprints"])
    pq.write_table(data, folder / "current" / "fingerprints" / "part-0.parquet")


def _ledger(home: Path) -> None:
    """A submission that was interrupted before its first trial."""
    on = machine("studio", models=[model("tiny")])
    wanted = plan_request(name="golden", repeats=2, settings={"num_batch": [64, 512]})
    ledger = Ledger(home / "ledger.sqlite")
    number = ledger.begin(wanted)
    plan = expand(wanted, [on])
    ledger.enqueue(number, [Attempt(trial=trial, fence=0) for trial in plan.trials()])
    ledger.end(number, "interrupted")
    ledger.close()
