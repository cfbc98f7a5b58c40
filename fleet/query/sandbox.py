"""The child process of `fleet sql`: answers one query and can write nothing.

DuckDB has no rights of its own to take away: a folder it may read it may also overwrite, by
`COPY ... (use_tmp_file false)` even where no file may grow. So it is given no folder at all; the
tables come as Arrow datasets opened before the door is shut.

Standard input: {"roots": [...], "query": "..."}; standard output: {"columns": [...], "rows": [...]}
or {"error": "..."}.
"""

from __future__ import annotations

import datetime
import decimal
import json
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet

from fleet.query.moments import ALL_IN_UTC
from fleet.query.open_store import first_line
from fleet.query.views import OWN_FILES, TABLES, fill_views, union_of, views_named_in

ADDRESS_SPACE_BYTES = 6 * 2**30
LARGEST_ANSWER_BYTES = 128 * 2**20
"""In memory: JSON, the texts in it once more, and what each row takes beside them."""
ROW_BYTES = 64
ROWS_AT_ONCE = 500
SHUT = (
    "set memory_limit = '2GB'",
    "set temp_directory = ''",
    "set max_temp_directory_size = '0B'",
    "set python_enable_replacements = false",
    "set autoinstall_known_extensions = false",
    "set autoload_known_extensions = false",
    "set allow_community_extensions = false",
    "set enable_external_access = false",
    "set lock_configuration = true",
)


def main() -> None:
    task = json.load(sys.stdin)
    limit_process()
    try:
        reply = _reply(_answer([Path(root) for root in task["roots"]], task["query"]))
    except (duckdb.Error, pa.ArrowException, MemoryError, OSError) as problem:
        reply = {"error": first_line(problem)}
    sys.stdout.write(reply if isinstance(reply, str) else json.dumps(reply))


def _reply(answer: duckdb.DuckDBPyConnection) -> str | dict[str, str]:
    """Return the answer as JSON, or an error where it is larger than a reader can use."""
    rows, size = list[str](), 0
    while answer.description and (batch := answer.fetchmany(ROWS_AT_ONCE)):
        for row in batch:
            size += sum(len(value) for value in row if isinstance(value, (str, bytes)))
            rows.append(json.dumps(row, default=_plain) if size <= LARGEST_ANSWER_BYTES else "")
            size += len(rows[-1]) + ROW_BYTES
            if size > LARGEST_ANSWER_BYTES:
                return {"error": f"the answer is larger than {LARGEST_ANSWER_BYTES >> 20} MiB"}
    columns = json.dumps([column[0] for column in answer.description or ()])
    return f'{{"columns": {columns}, "rows": [{", ".join(rows)}]}}'


def _answer(roots: Sequence[Path], query: str) -> duckdb.DuckDBPyConnection:
    """Answer a query; where it names no view, over all of them, so that the message is apt."""
    try:
        return open_locked(roots, views_named_in(query)).execute(query)
    except duckdb.CatalogException:
        return open_locked(roots).execute(query)


def open_locked(roots: Sequence[Path], views: Sequence[str] = ()) -> duckdb.DuckDBPyConnection:
    """Open these views, or all of them, so that no file, setting or network can be reached."""
    con = duckdb.connect()
    con.execute(ALL_IN_UTC)
    sources = {}
    for table in TABLES:
        datasets = []
        for number, root in enumerate(roots):
            name, dataset = f"raw_{table}_{number}", _dataset(root / table)
            con.register(name, dataset)
            datasets.append((name, dataset.schema.names))
        sources[table] = union_of(table, datasets)
    con.execute(fill_views(sources, views, several_folders=len(roots) > 1))
    for statement in SHUT:
        con.execute(statement)
    return con


def _dataset(folder: Path) -> pyarrow.dataset.Dataset:
    """Return every file of a table, read by the names of its newest schema."""
    schema = pyarrow.parquet.read_schema(folder / "_schema.parquet")
    files = [str(path) for path in sorted(folder.glob(OWN_FILES))]
    return pyarrow.dataset.dataset(files, schema=schema, format="parquet")


def limit_process() -> None:
    """Let no file grow, and bound the memory; a limit that the system lacks stays as it is."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    for kind, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, ADDRESS_SPACE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            _, hard = resource.getrlimit(kind)
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # macOS refuses RLIMIT_AS
            continue


def _plain(value: object) -> object:
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    main()
