"""Runs every reading command, reads every view and makes every plan; each as a text."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

from typer.testing import CliRunner

from fleet.cli.main import build
from fleet.plan.expand import expand
from fleet.query.open_store import open_store, rows
from fleet.report.plan_text import as_data, order_lines, plan_lines
from fleet.store.schema import TABLES
from tests.builders_plan import CHAT, SWEEP, machine, model, request

EXPECTED = Path(__file__).parent / "expected"
COMMANDS: Sequence[Sequence[str]] = (
    ("results",),
    ("results", "golden"),
    ("results", "golden", "--flagged"),
    ("results", "joules"),
    ("results", "golden", "--format", "markdown"),
    ("results", "golden", "--format", "csv"),
    ("compare", "golden", "--by", "machine"),
    ("compare", "golden", "--by", "num_batch"),
    ("compare", "golden", "--by", "num_batch", "--metric", "ttft", "--format", "markdown"),
    ("compare", "golden", "--by", "model"),
    ("compare", "golden", "--by", "engine_version", "--allow-diff", "engine_version"),
    ("compare", "joules", "--by", "machine", "--metric", "energy"),
    ("compare", "imported", "--by", "model"),
    ("compare", "--classes"),
    ("show", "trial-studio-64-0"),
    ("show", "trial-short"),
    ("show", "trial-joules-max-1"),
    ("show", "trial-failed"),
    ("machines",),
    ("answers", "--job", "side-by-side"),
    ("answers", "--diff"),
    ("energy", "show", "joules"),
    ("status",),
    (
        "sql",
        "select experiment, machine, point, decode_tokens_per_s from cells order by all",
    ),
    ("results", "nonsuch"),
    ("show", "trial-none"),
    ("compare", "golden", "--by", "colour"),
)
OF_BOTH = 12
"""The older store has no answers, no energy and no imported figures: it gets the first ones."""
WITHOUT_JSON = ("--format", "--classes", "sql", "--diff")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|since [\d.]+ (s|min|h)|_unix_s\": [\d.]+")


LONG_NUMBER = re.compile(r"-?\d+\.\d{9,}(e-?\d+)?")
"""The order in which threads add up numbers shows in the last digits."""


def texts(homes: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Name of a file, and what it is to hold."""
    for name, home in homes.items():
        commands = COMMANDS if name == "current" else COMMANDS[:OF_BOTH]
        yield f"{name}-text.txt", "\n".join(_printed(home, words, "100") for words in commands)
        with_json = [words for words in commands if not set(WITHOUT_JSON) & set(words)]
        yield (
            f"{name}-json.txt",
            "\n".join(_printed(home, (*words, "--json"), "") for words in with_json),
        )
        yield f"{name}-views.txt", "\n".join(_views(home / "results"))
    yield "plans.txt", "\n".join(_plans())


def _printed(home: Path, words: Sequence[str], columns: str) -> str:
    environment = {
        "FLEET_HOME": str(home),
        "FLEET_STATE": str(home / "state"),
        "HOME": str(home),
        "COLUMNS": columns,
        "TZ": "UTC",
    }
    with patch.dict(os.environ, environment):
        done = CliRunner().invoke(build(), list(words))
    text = (done.stdout + done.stderr).replace(str(home), "HOME")
    if words[-1] == "--json":
        text = LONG_NUMBER.sub(lambda number: f"{float(number[0]):.9g}", text)
    if words[0] == "status":
        text = MOMENT.sub("MOMENT", text)
    return f"$ fleet {' '.join(words)}\n{text}exit code {done.exit_code}\n"


def _views(folder: Path) -> Iterator[str]:
    """A line for each view and column: the column's name, and a digest of its values in order."""
    with closing(open_store([folder], tuple(TABLES))) as con:
        names = [
            row["view_name"]
            for row in rows(con, "select view_name from duckdb_views() where not internal")
        ]
        for view in sorted(str(name) for name in names if not str(name).startswith("raw_")):
            found = rows(con, f"from {view} order by all")
            yield f"{view}: {len(found)} rows"
            for column in found[0] if found else ():
                yield f"  {column} {_digest([_short(row[column]) for row in found])}"


def _digest(values: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()[:12]


def _short(value: object) -> object:
    return float(f"{value:.9g}") if isinstance(value, float) else value


def _plans() -> Iterator[str]:
    both = [model("tiny"), model("big", size_bytes=80 * 2**30)]
    here = machine("studio-96", models=both, memory_gb=96, gpu_limit_mb=73728)
    there = machine("box", models=both[:1], version="0.34.4", memory_gb=24)
    requests: dict[str, tuple[Any, list[Any]]] = {
        "one cell": (request(), [here]),
        "an axis, canaries and a control": (
            request(settings={"num_batch": [64, 512]}, repeats=3, canary="on", control="on"),
            [here],
        ),
        "two machines, one of them without a model": (
            request(models=("tiny", "big"), jobs=(CHAT, SWEEP), repeats={"least": 3, "most": 5}),
            [here, there],
        ),
        "gates and a machine that is silent": (
            request(gates="strict", repeats=2),
            [here, machine("silent", engine_error="no engine answers")],
        ),
    }
    for title, (wanted, machines) in requests.items():
        plan = expand(wanted, machines)
        yield f"== {title}"
        yield from plan_lines(plan)
        yield from order_lines(plan)
        yield json.dumps(as_data(plan), default=str, sort_keys=True, indent=1)
